package rig

import (
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func sessionCertificate(t *testing.T, ca ssh.Signer, principal string) ssh.Signer {
	t.Helper()
	key := NewKey(t, "")
	c := &ssh.Certificate{
		Key: key.PublicKey(), Serial: 1, CertType: ssh.UserCert, KeyId: "test", ValidPrincipals: []string{principal},
		ValidAfter: uint64(time.Now().Add(-time.Minute).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
	}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func dial(s *Sshd, login string, signer ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", s.Addr, &ssh.ClientConfig{
		User: login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(s.HostKeys[0]), HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		Timeout: 5 * time.Second,
	})
}

func TestSshdLetsACertificateForThisNodeInAndAnotherNodesNot(t *testing.T) {
	ca := NewKey(t, "")
	for _, pam := range []bool{false, true} {
		if pam && os.Geteuid() != 0 {
			continue
		}
		s := SSHD(t, SSHDConfig{SessionCA: []ssh.PublicKey{ca.PublicKey()}, Node: "n-0123456789ab", PAM: pam})
		client, err := dial(s, s.Login, sessionCertificate(t, ca, s.Login+"@n-0123456789ab"))
		if err != nil {
			t.Fatalf("pam %v: %v\n%s", pam, err, s.Log())
		}
		defer client.Close()
		if os.Geteuid() == 0 {
			session, err := client.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			out, err := session.CombinedOutput("id -un; pwd")
			if want := s.Login + "\n" + s.Home(s.Login) + "\n"; err != nil || string(out) != want {
				t.Errorf("pam %v: got %q, %v; want %q", pam, out, err, want)
			}
		}
		if c, err := dial(s, s.Login, sessionCertificate(t, ca, s.Login+"@n-ba9876543210")); err == nil {
			c.Close()
			t.Errorf("pam %v: a certificate for another node was let in", pam)
		}
		if !strings.Contains(s.Log(), "Accepted publickey for "+s.Login) {
			t.Errorf("the log does not tell of the login:\n%s", s.Log())
		}
	}
}

func TestSshdShowsTheHostCertificateAfterAChangeAndKeepsSessions(t *testing.T) {
	ca, host := NewKey(t, ""), NewKey(t, "")
	s := SSHD(t, SSHDConfig{SessionCA: []ssh.PublicKey{ca.PublicKey()}, Node: "n-0123456789ab"})
	client, err := dial(s, s.Login, sessionCertificate(t, ca, s.Login+"@n-0123456789ab"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s.Change(func(c *SSHDConfig) {
		c.Certify = func(key ssh.PublicKey) *ssh.Certificate {
			cert := &ssh.Certificate{Key: key, Serial: 7, CertType: ssh.HostCert, KeyId: "web-1", ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
			if err := cert.SignCert(rand.Reader, host); err != nil {
				t.Fatal(err)
			}
			return cert
		}
	})
	checker := &ssh.CertChecker{IsHostAuthority: func(key ssh.PublicKey, _ string) bool {
		return string(key.Marshal()) == string(host.PublicKey().Marshal())
	}}
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _, _, err = ssh.NewClientConn(conn, s.Addr, &ssh.ClientConfig{
		User: s.Login, Auth: []ssh.AuthMethod{ssh.PublicKeys(sessionCertificate(t, ca, s.Login+"@n-0123456789ab"))},
		HostKeyAlgorithms: []string{ssh.CertAlgoED25519v01}, HostKeyCallback: checker.CheckHostKey,
	})
	if err != nil {
		t.Errorf("host certificate: %v", err)
	}
	if _, _, err := client.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Errorf("the session from before the reload: %v", err)
	}
}

func TestSshdEndsWithEverythingThatASessionLeftBehind(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a session without root may get a shell that is none")
	}
	var dir, left string
	t.Run("node", func(t *testing.T) {
		ca := NewKey(t, "")
		s := SSHD(t, SSHDConfig{SessionCA: []ssh.PublicKey{ca.PublicKey()}, Node: "n-0123456789ab"})
		dir = s.Dir
		client, err := dial(s, s.Login, sessionCertificate(t, ca, s.Login+"@n-0123456789ab"))
		if err != nil {
			t.Fatal(err)
		}
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		out, err := session.Output("setsid sleep 300 >/dev/null 2>&1 & echo $!")
		if err != nil {
			t.Fatal(err)
		}
		left = strings.TrimSpace(string(out))
	})
	pid, err := strconv.Atoi(left)
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, 5*time.Second, "the session's background process ends", func() bool {
		cmdline, _ := os.ReadFile(filepath.Join("/proc", left, "cmdline"))
		return syscall.Kill(pid, 0) != nil || len(cmdline) == 0
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there", dir)
	}
}

// TestSshdRunsWithoutRoot runs the tests above once more as a user of Debian's
// base system. It cannot be nobody, whom nss-systemd shows as locked.
func TestSshdRunsWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it does already")
	}
	const games, gamesGroup = 5, 60 // fixed numbers, base-passwd
	dir := filepath.Join(RootDir(t), "tmp")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, games, gamesGroup); err != nil {
		t.Fatal(err)
	}
	test, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(dir), "rig.test")
	if err := os.WriteFile(program, test, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestSshd(Lets|Shows)", "-test.count=1", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: games, Gid: gamesGroup}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
