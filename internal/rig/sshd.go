package rig

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// SSHDConfig says what a node's sshd is like beyond the defaults: a free
// loopback port, fresh host keys, sftp, public keys and certificates, every
// refusal in the log. The zero value is a node that trusts nobody yet.
type SSHDConfig struct {
	// Lines of sshd_config(5) that come first, and so win.
	Lines []string
	// SessionCA is the content of TrustedUserCAKeys; none leaves it out.
	SessionCA []ssh.PublicKey
	// Node makes AuthorizedPrincipalsCommand print "<login>@<Node>", as DESIGN,
	// section 2 wants it. Empty leaves it out.
	Node id.Node
	// Certify is given each host key and returns its host certificate, or nil.
	Certify func(ssh.PublicKey) *ssh.Certificate
	// Logins are the accounts that exist on the node, each with an empty home
	// and no password; none is "deploy". Without root there is one, the test's.
	Logins []string
	// PAM switches UsePAM on; it takes root.
	PAM bool
	// RSA adds an RSA host key, which takes a moment to make.
	RSA bool
	// Addr is where sshd listens, "127.0.0.1:port"; empty takes a free port.
	Addr string
}

// Sshd is a running sshd with a configuration of its own.
type Sshd struct {
	Addr     string
	Login    string          // the first of the Logins
	Dir      string          // of sshd_config, sshd_config.d (included first), host keys; owned by root if that runs the test
	HostKeys []ssh.PublicKey // Ed25519 first
	Process  *Process

	t       T
	config  SSHDConfig
	program string
}

// SSHD starts an sshd on loopback that ends with the test, its sessions with it.
//
// As root it runs in a mount namespace where its Logins exist and root's home
// is another, so that nothing of this machine's accounts is used or changed;
// where namespaces are forbidden (a plain container) the accounts are made on
// the machine and removed after. Its files lie below a directory that only root
// may write, because StrictModes refuses those below a temporary directory.
func SSHD(t T, config SSHDConfig) *Sshd {
	t.Helper()
	s := &Sshd{t: t, config: config, program: Need(t, "sshd", "openssh-server"), Addr: config.Addr}
	if s.Addr == "" {
		s.Addr = FreeAddr(t)
	}
	s.Dir = RootDir(t)
	run := []string{s.program}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd's privilege separation directory
			t.Fatalf("%v", err)
		}
		if len(s.config.Logins) == 0 {
			s.config.Logins = []string{"deploy"}
		}
		run = accounts(t, s.Dir, s.config.Logins, s.program)
	} else {
		me, err := user.Current()
		if err != nil {
			t.Fatalf("who runs the test: %v", err)
		}
		s.config.Logins = []string{me.Username}
	}
	s.Login = s.config.Logins[0]
	s.makeHostKeys()
	s.writeConfig()

	// A file and not a pipe: what a session leaves running holds it open.
	log, err := os.OpenFile(s.path("sshd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer log.Close()
	args := append(run[1:], "-D", "-f", s.path("sshd_config"), "-E", log.Name())
	cmd := exec.Command(run[0], args...)
	cmd.Stdout, cmd.Stderr = log, log
	s.Process = Start(t, cmd)
	t.Cleanup(s.endSessions) // runs before Start's own cleanup
	s.await("start", func() bool { return s.answers() })
	return s
}

// Home returns the home directory of login as this process sees it.
func (s *Sshd) Home(login string) string { return filepath.Join(s.Dir, "home", login) }

// Config is the path of sshd_config.
func (s *Sshd) Config() string { return s.path("sshd_config") }

// PidFile is where sshd wrote its process id.
func (s *Sshd) PidFile() string { return s.path("sshd.pid") }

// Log returns what sshd has logged.
func (s *Sshd) Log() string {
	data, _ := os.ReadFile(s.path("sshd.log"))
	return string(data)
}

// KnownHost is a known_hosts line for the Ed25519 host key.
func (s *Sshd) KnownHost() string {
	host, port, _ := net.SplitHostPort(s.Addr)
	return fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(s.HostKeys[0]))
}

// Change replaces the configuration, as its owner would, and reloads sshd.
// Addr and Logins stay as they are.
func (s *Sshd) Change(change func(*SSHDConfig)) {
	s.t.Helper()
	change(&s.config)
	s.writeConfig()
	s.Reload()
}

// Reload has sshd read its configuration again, and waits until it listens.
// Live sessions go on.
func (s *Sshd) Reload() {
	s.t.Helper()
	was := strings.Count(s.Log(), "Server listening on")
	s.Process.Cmd.Process.Signal(syscall.SIGHUP)
	s.await("reload", func() bool {
		return strings.Count(s.Log(), "Server listening on") > was && s.answers()
	})
}

func (s *Sshd) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *Sshd) await(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.Process.Done():
			s.t.Fatalf("sshd did not %s: %v: %s", what, s.Process.Cmd.ProcessState, s.Log())
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("sshd did not %s in time: %s", what, s.Log())
		}
	}
}

func (s *Sshd) answers() bool {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	hello := make([]byte, 4)
	conn.Read(hello)
	return string(hello) == "SSH-"
}

func (s *Sshd) makeHostKeys() {
	types := []string{"ed25519", "ecdsa"}
	if s.config.RSA {
		types = append(types, "rsa")
	}
	keygen := Need(s.t, "ssh-keygen", "openssh-client")
	for _, kind := range types {
		path := s.path("ssh_host_" + kind + "_key")
		if out, err := exec.Command(keygen, "-q", "-N", "", "-t", kind, "-f", path).CombinedOutput(); err != nil {
			s.t.Fatalf("make host key: %v: %s", err, out)
		}
		line, err := os.ReadFile(path + ".pub")
		if err != nil {
			s.t.Fatalf("%v", err)
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			s.t.Fatalf("read host key: %v", err)
		}
		s.HostKeys = append(s.HostKeys, key)
	}
}

// writeConfig writes sshd_config and the files that it names. The first value
// of a keyword counts, so Lines and what is in sshd_config.d win.
func (s *Sshd) writeConfig() {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	must := func(err error) {
		if err != nil {
			s.t.Fatalf("write configuration of sshd: %v", err)
		}
	}
	must(os.MkdirAll(s.path("sshd_config.d"), 0o755))
	for _, l := range s.config.Lines {
		line("%s", l)
	}
	line("Include %s/*.conf", s.path("sshd_config.d"))
	line("ListenAddress %s", s.Addr)
	line("PidFile %s", s.PidFile())
	for _, key := range s.HostKeys {
		path := s.path("ssh_host_" + shortType(key) + "_key")
		line("HostKey %s", path)
		if s.config.Certify == nil {
			continue
		}
		if certificate := s.config.Certify(key); certificate != nil {
			must(os.WriteFile(path+"-cert.pub", ssh.MarshalAuthorizedKey(certificate), 0o644))
			line("HostCertificate %s-cert.pub", path)
		}
	}
	if len(s.config.SessionCA) > 0 {
		var keys bytes.Buffer
		for _, key := range s.config.SessionCA {
			keys.Write(ssh.MarshalAuthorizedKey(key))
		}
		must(os.WriteFile(s.path("session_ca.pub"), keys.Bytes(), 0o644))
		line("TrustedUserCAKeys %s", s.path("session_ca.pub"))
	}
	if s.config.Node != "" {
		line("AuthorizedPrincipalsCommand /bin/echo %%u@%s", s.config.Node)
		line("AuthorizedPrincipalsCommandUser %s", s.commandUser())
	}
	if s.config.PAM {
		line("UsePAM yes")
	}
	if os.Geteuid() != 0 {
		line("StrictModes no") // the temporary directory's parent is everybody's
	}
	line("AuthorizedKeysFile .ssh/authorized_keys")
	line("PasswordAuthentication no")
	line("KbdInteractiveAuthentication no")
	line("LogLevel VERBOSE")
	line("UseDNS no")
	line("PrintMotd no")
	line("PrintLastLog no")
	line("MaxStartups 1000:30:2000") // a busy proxy comes from one address
	line("MaxSessions 500")
	line("AllowStreamLocalForwarding yes")
	line("AcceptEnv LANG LC_*")
	line("Subsystem sftp internal-sftp")
	must(os.WriteFile(s.path("sshd_config"), []byte(b.String()), 0o644))
}

// commandUser runs AuthorizedPrincipalsCommand. Without root it can only be us.
func (s *Sshd) commandUser() string {
	if os.Geteuid() == 0 {
		return "nobody"
	}
	return s.Login
}

func shortType(key ssh.PublicKey) string {
	switch key.Type() {
	case ssh.KeyAlgoED25519:
		return "ed25519"
	case ssh.KeyAlgoRSA:
		return "rsa"
	}
	return "ecdsa"
}

// NewKey makes an Ed25519 key, and writes it for OpenSSH's programs to path and
// path.pub; an empty path keeps it in memory.
func NewKey(t T, path string) ssh.Signer {
	t.Helper()
	private, signer := ed25519Key(t)
	if path == "" {
		return signer
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatalf("encode key: %v", err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	if err := os.WriteFile(path+".pub", ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o644); err != nil {
		t.Fatalf("%v", err)
	}
	return signer
}
