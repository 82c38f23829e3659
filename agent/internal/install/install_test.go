package install_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/agent/internal/install"
	"github.com/sallyport-ssh/sallyport/agent/internal/sshd"
	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/krl"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

const thisNode = id.Node("n-0123456789ab")

// bench is a node before the agent came: a real sshd, an account whose own key
// opens it, and the CA keys of an installation.
type bench struct {
	*rig.Sshd
	t             *testing.T
	sessionCA, ca ssh.Signer // the host CA
	own           ssh.Signer // in the account's authorized_keys
	program       sshd.Program
	dir           string
}

func newBench(t *testing.T, config rig.SSHDConfig) *bench {
	t.Helper()
	b := &bench{t: t, Sshd: rig.SSHD(t, config), sessionCA: rig.NewKey(t, ""), ca: rig.NewKey(t, ""), own: rig.NewKey(t, ""), dir: rig.RootDir(t)}
	b.program = sshd.Program{Path: rig.Need(t, "sshd", "openssh-server"), Config: b.Config()}
	if os.Geteuid() == 0 {
		keys := filepath.Join(b.Home(b.Login), ".ssh")
		if err := os.Mkdir(keys, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(keys, "authorized_keys"), ssh.MarshalAuthorizedKey(b.own.PublicKey()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Skip("as another user, an account's authorized_keys would be the tester's own")
	}
	return b
}

func (b *bench) dropIn() string { return filepath.Join(b.Dir, "sshd_config.d", "00-sallyport.conf") }

func (b *bench) installer() *install.Installer {
	return &install.Installer{
		Dir: b.dir, Config: b.Config(), DropIn: b.dropIn(), Sshd: b.program, Disk: install.OS{},
		Log: discard,
	}
}

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

// set is a generation whose host certificates have the given serial.
func (b *bench) set(serial uint64) install.Set {
	b.t.Helper()
	version, err := b.program.Version(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	list, err := krl.List{Version: serial, Revoked: []krl.Authority{{CA: b.sessionCA.PublicKey(), Serials: krl.Serials(1000 + serial)}}}.Marshal()
	if err != nil {
		b.t.Fatal(err)
	}
	s := install.Set{
		Sshd: sshdconf.DropIn{
			Node: thisNode, SessionCA: []ssh.PublicKey{b.sessionCA.PublicKey()}, CommandUser: "nobody",
			Exempt: []string{"10.0.4.7/32"}, Version: version, Methods: []string{"hostbasedauthentication"},
		},
		Trust: cert.AuthorizedKeys("session CA", b.sessionCA.PublicKey()), KRL: list,
		Certificates: map[string]*ssh.Certificate{}, Source: []byte(`{"serial":` + string(rune('0'+serial)) + "}"),
	}
	for _, key := range b.HostKeys {
		c := &ssh.Certificate{
			Key: key, Serial: serial, CertType: ssh.HostCert, KeyId: "host=web-1", ValidPrincipals: []string{"web-1"},
			ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
		}
		if err := c.SignCert(rand.Reader, b.ca); err != nil {
			b.t.Fatal(err)
		}
		s.Certificates[key.Type()+"-cert.pub"] = c
	}
	return s
}

// session is a session certificate for a login on node.
func (b *bench) session(login string, node id.Node, serial uint64) ssh.Signer {
	b.t.Helper()
	key := rig.NewKey(b.t, "")
	c := &ssh.Certificate{
		Key: key.PublicKey(), Serial: serial, CertType: ssh.UserCert, KeyId: "session=7kq2-m9x4d",
		ValidPrincipals: []string{id.Principal(id.Login(login), node)}, ValidBefore: uint64(time.Now().Add(time.Minute).Unix()),
	}
	if err := c.SignCert(rand.Reader, b.sessionCA); err != nil {
		b.t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(c, key)
	if err != nil {
		b.t.Fatal(err)
	}
	return signer
}

// opens says whether signer gets in, and tries again where the connection was cut
// off, as a reload does with those that are not logged in yet.
func (b *bench) opens(signer ssh.Signer) (ok bool, err error) {
	b.t.Helper()
	rig.Eventually(b.t, 20*time.Second, "sshd says yes or no", func() bool {
		ok, err = b.opensNow(signer)
		return ok || err != nil && strings.Contains(err.Error(), "unable to authenticate")
	})
	return ok, err
}

func (b *bench) opensNow(signer ssh.Signer) (bool, error) {
	conn, err := net.DialTimeout("tcp", b.Addr, time.Second)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	c, _, _, err := ssh.NewClientConn(conn, b.Addr, &ssh.ClientConfig{
		User: b.Login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return false, err
	}
	return true, c.Close()
}

func (b *bench) mustOpen(what string, signer ssh.Signer) {
	b.t.Helper()
	if ok, err := b.opens(signer); !ok {
		b.t.Errorf("%s does not open the login: %v", what, err)
	}
}

func (b *bench) mustNotOpen(what string, signer ssh.Signer) {
	b.t.Helper()
	if ok, _ := b.opens(signer); ok {
		b.t.Errorf("%s opens the login", what)
	}
}

func (b *bench) mustInstall(s install.Set) {
	b.t.Helper()
	if err := b.installer().Install(b.t.Context(), s); err != nil {
		b.t.Fatalf("install: %v\n%s", err, b.Log())
	}
}

// valid asks the real program about the real configuration.
func (b *bench) valid() {
	b.t.Helper()
	if out, err := exec.Command(b.program.Path, "-t", "-f", b.Config()).CombinedOutput(); err != nil {
		b.t.Errorf("sshd -t: %v: %s", err, out)
	}
}

func TestAnInstalledNodeOpensToItsOwnSessionCertificatesAndToNoOthers(t *testing.T) {
	b := newBench(t, rig.SSHDConfig{RSA: true})
	b.mustInstall(b.set(1))
	b.mustOpen("a session certificate", b.session(b.Login, thisNode, 5))
	b.mustOpen("the account's own key", b.own)
	b.mustNotOpen("a certificate for another node", b.session(b.Login, "n-ba9876543210", 5))
	b.mustNotOpen("a certificate for another login", b.session("root", thisNode, 5))
	b.mustNotOpen("a revoked certificate", b.session(b.Login, thisNode, 1001))
	if drift, err := b.installer().Drift(t.Context()); err != nil || len(drift) > 0 {
		t.Errorf("drift %q, %v", drift, err)
	}
	if err := b.program.Probe(t.Context(), certificates(b.set(2))); err == nil {
		t.Error("a probe for other certificates succeeds")
	}
}

func certificates(s install.Set) (all []*ssh.Certificate) {
	for _, c := range s.Certificates {
		all = append(all, c)
	}
	return all
}

func TestStrictModeClosesEveryOtherWayAndOpensThemAgain(t *testing.T) {
	b := newBench(t, rig.SSHDConfig{})
	strict := b.set(1)
	strict.Sshd.Strict = true
	b.mustInstall(strict)
	b.mustOpen("a session certificate", b.session(b.Login, thisNode, 5))
	b.mustNotOpen("the account's own key", b.own)
	b.mustInstall(b.set(2))
	b.mustOpen("the account's own key", b.own)
}

func TestANewKRLTakesEffectWithoutAReload(t *testing.T) {
	b := newBench(t, rig.SSHDConfig{})
	first := b.set(1)
	b.mustInstall(first)
	reloads := strings.Count(b.Log(), "Server listening on")
	second := b.set(2)
	second.Certificates = first.Certificates
	b.mustInstall(second)
	b.mustNotOpen("a certificate that was revoked since", b.session(b.Login, thisNode, 1002))
	b.mustOpen("a certificate that is revoked no longer", b.session(b.Login, thisNode, 1001))
	if now := strings.Count(b.Log(), "Server listening on"); now != reloads {
		t.Errorf("sshd was reloaded %d times", now-reloads)
	}
	// Nor do host keys that were changed meanwhile keep it out.
	os.Remove(filepath.Join(b.Dir, "ssh_host_ed25519_key"))
	rig.NewKey(t, filepath.Join(b.Dir, "ssh_host_ed25519_key"))
	third := b.set(3)
	third.Certificates = first.Certificates
	b.mustInstall(third)
	b.mustNotOpen("a certificate that was revoked since", b.session(b.Login, thisNode, 1003))
}

func TestInstallRefuses(t *testing.T) {
	b := newBench(t, rig.SSHDConfig{})
	b.mustInstall(b.set(1))
	for name, spoil := range map[string]func(*install.Set){
		"an empty KRL":  func(s *install.Set) { s.KRL = nil },
		"no trust":      func(s *install.Set) { s.Trust = nil },
		"no session CA": func(s *install.Set) { s.Sshd.SessionCA = nil },
		"no node":       func(s *install.Set) { s.Sshd.Node = "" },
		"no user":       func(s *install.Set) { s.Sshd.CommandUser = "" },
		"an unknown CA algorithm": func(s *install.Set) {
			s.Sshd.SessionCA = []ssh.PublicKey{strange{s.Sshd.SessionCA[0]}}
		},
		"a certificate of a key that sshd does not have": func(s *install.Set) {
			c := &ssh.Certificate{Key: rig.NewKey(t, "").PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"web-1"}}
			if err := c.SignCert(rand.Reader, b.ca); err != nil {
				t.Fatal(err)
			}
			s.Certificates = map[string]*ssh.Certificate{"ssh-ed25519-cert.pub": c}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := b.set(2)
			spoil(&s)
			if err := b.installer().Install(t.Context(), s); err == nil {
				t.Fatal("it was installed")
			}
			b := *b
			b.t = t
			b.valid()
			b.mustOpen("a session certificate", b.session(b.Login, thisNode, 5))
			b.mustOpen("the account's own key", b.own)
			if drift, err := b.installer().Drift(t.Context()); err != nil || len(drift) > 0 {
				t.Errorf("drift %q, %v", drift, err)
			}
		})
	}
}

// strange is a key of a type that no sshd knows.
type strange struct{ ssh.PublicKey }

func (strange) Type() string { return "ssh-strange" }

func TestAnSshdConfigWithoutIncludeGetsOneLineAndLosesItAgain(t *testing.T) {
	b := newBench(t, rig.SSHDConfig{})
	config, err := os.ReadFile(b.Config())
	if err != nil {
		t.Fatal(err)
	}
	without := strings.Replace(string(config), "Include ", "# Include ", 1)
	if err := errors.Join(os.WriteFile(b.Config(), []byte(without), 0o644), os.Chmod(b.Config(), 0o640)); err != nil {
		t.Fatal(err)
	}
	b.mustInstall(b.set(1))
	b.mustInstall(b.set(2))
	b.mustOpen("a session certificate", b.session(b.Login, thisNode, 5))
	got, err := os.ReadFile(b.Config())
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(got), "\nInclude "); n != 1 || !strings.HasSuffix(string(got), without) {
		t.Errorf("sshd_config has %d Include lines:\n%s", n, got)
	}
	if info, _ := os.Stat(b.Config()); info.Mode().Perm() != 0o640 {
		t.Errorf("sshd_config has mode %v", info.Mode())
	}
	if err := b.installer().Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ = os.ReadFile(b.Config()); string(got) != without {
		t.Errorf("sshd_config is now\n%s", got)
	}
	b.mustNotOpen("a session certificate", b.session(b.Login, thisNode, 5))
	b.mustOpen("the account's own key", b.own)
	left, err := os.ReadDir(b.dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestUninstallLeavesNothingThatSshdStillReads(t *testing.T) {
	b := newBench(t, rig.SSHDConfig{})
	b.mustInstall(b.set(1))
	list := filepath.Join(b.dir, "current", "revoked.krl")
	// Somebody's own line leads to our KRL.
	appendTo(t, b.Config(), "Match User deploy\n  RevokedKeys "+list+"\n")
	if err := b.installer().Uninstall(t.Context()); err == nil || !strings.Contains(err.Error(), "leads to "+list) {
		t.Fatalf("got %v", err)
	}
	b.mustOpen("the account's own key", b.own)
	config, err := os.ReadFile(b.Config())
	if err != nil {
		t.Fatal(err)
	}
	config, _, _ = bytes.Cut(config, []byte("Match User"))
	if err := os.WriteFile(b.Config(), config, 0o644); err != nil {
		t.Fatal(err)
	}
	// And an edited copy stands in the drop-in's place.
	ours, err := os.ReadFile(b.dropIn())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(b.dropIn()), os.WriteFile(b.dropIn(), append(ours, "MaxSessions 3\n"...), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := b.installer().Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.valid()
	b.mustOpen("the account's own key", b.own)
	if kept, err := os.ReadFile(b.dropIn() + ".edited"); err != nil || !bytes.HasSuffix(kept, []byte("MaxSessions 3\n")) {
		t.Errorf("the edit was lost: %v", err)
	}
}

func TestALineThatWouldWinIsNamedOrOvertaken(t *testing.T) {
	b := newBench(t, rig.SSHDConfig{Lines: []string{"RevokedKeys none"}}) // before the Include
	b.mustInstall(b.set(1))
	b.mustNotOpen("a revoked certificate", b.session(b.Login, thisNode, 1001))

	// Nothing comes before a line that does not belong to us and is not moved.
	other := filepath.Join(b.Dir, "sshd_config.d", "00-aaa.conf")
	if err := os.WriteFile(other, []byte("TrustedUserCAKeys none\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.mustInstall(b.set(2))
	b.mustOpen("a session certificate", b.session(b.Login, thisNode, 5))
}

func TestABrokenConfigurationIsBlamedOnItselfAndNotReloaded(t *testing.T) {
	b := newBench(t, rig.SSHDConfig{})
	b.mustInstall(b.set(1))
	if err := os.WriteFile(filepath.Join(b.Dir, "sshd_config.d", "50-admin.conf"), []byte("Nonsense yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := b.installer().Install(t.Context(), b.set(2))
	if err == nil || !strings.Contains(err.Error(), "broken by itself") || !strings.Contains(err.Error(), "50-admin.conf") {
		t.Errorf("got %v", err)
	}
	b.mustOpen("a session certificate", b.session(b.Login, thisNode, 5))
}

func TestDriftNamesWhatSomebodyDid(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(b *bench)
		want string
	}{
		"the drop-in edited through its link": {func(b *bench) { appendTo(b.t, b.dropIn(), "PermitRootLogin yes\n") }, "sshd.conf was edited"},
		"the drop-in replaced":                {func(b *bench) { os.Remove(b.dropIn()); appendTo(b.t, b.dropIn(), "UsePAM yes\n") }, "00-sallyport.conf was replaced"},
		"the drop-in removed":                 {func(b *bench) { os.Remove(b.dropIn()) }, "00-sallyport.conf is gone"},
		"the KRL emptied":                     {func(b *bench) { os.Truncate(filepath.Join(b.dir, "current", "revoked.krl"), 0) }, "revoked.krl was edited"},
		"a CA added":                          {func(b *bench) { appendTo(b.t, filepath.Join(b.dir, "current", "session_ca.pub"), "ssh-ed25519 AAAA\n") }, "session_ca.pub was edited"},
		"a host certificate removed":          {func(b *bench) { os.Remove(filepath.Join(b.dir, "current", "ssh-ed25519-cert.pub")) }, "ssh-ed25519-cert.pub is gone"},
		"the current link removed":            {func(b *bench) { os.Remove(filepath.Join(b.dir, "current")) }, "nothing is installed"},
		"a line before ours": {func(b *bench) {
			config, _ := os.ReadFile(b.Config())
			os.WriteFile(b.Config(), append([]byte("TrustedUserCAKeys none\n"), config...), 0o644)
		}, "trustedusercakeys is set elsewhere: "},
		"the Include taken out": {func(b *bench) {
			config, _ := os.ReadFile(b.Config())
			os.WriteFile(b.Config(), []byte(strings.ReplaceAll(string(config), "Include ", "# Include ")), 0o644)
		}, "no longer includes"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, rig.SSHDConfig{})
			b.mustInstall(b.set(1))
			c.do(b)
			drift, err := b.installer().Drift(t.Context())
			if err != nil || len(drift) == 0 || !strings.Contains(strings.Join(drift, "\n"), c.want) {
				t.Fatalf("drift is %q, %v; want %q", drift, err, c.want)
			}
			b.mustInstall(b.set(1)) // which is the repair
			if drift, err := b.installer().Drift(t.Context()); err != nil || len(drift) > 0 {
				t.Errorf("drift after the repair is %q, %v", drift, err)
			}
			b.mustOpen("a session certificate", b.session(b.Login, thisNode, 5))
			b.mustNotOpen("a revoked certificate", b.session(b.Login, thisNode, 1001))
		})
	}
}

func TestExceptionsOfMatchBlocksAreToldWithTheirPlace(t *testing.T) {
	b := newBench(t, rig.SSHDConfig{})
	strict := b.set(1)
	strict.Sshd.Strict = true
	appendTo(t, b.Config(), "Match User deploy Address 10.0.0.0/8\n  PasswordAuthentication yes\n  AuthorizedKeysFile none\n  PermitTTY no\n")
	b.mustInstall(strict)
	got, err := b.installer().Exceptions()
	if err != nil || len(got) != 1 || !strings.Contains(got[0], "Match User deploy Address 10.0.0.0/8: passwordauthentication yes") {
		t.Errorf("got %q, %v", got, err)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
