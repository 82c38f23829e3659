package loginkey

import (
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func newKey(t *testing.T) Key {
	t.Helper()
	k, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// certify makes a certificate of an hour for key.
func certify(t *testing.T, key ssh.PublicKey, now time.Time) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{Key: key, CertType: ssh.UserCert, ValidPrincipals: []string{"you@example.com"}, ValidBefore: uint64(now.Add(time.Hour).Unix())}
	if err := c.SignCert(rand.Reader, newKey(t)); err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSSHKeygenReadsOurFiles(t *testing.T) {
	k, path := newKey(t), filepath.Join(t.TempDir(), "id")
	private, public, err := k.Files("sallyport you@example.com")
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, private)
	out, err := exec.Command(rig.Need(t, "ssh-keygen", "openssh-client"), "-y", "-f", path).Output()
	if err != nil || string(out) != string(public) {
		t.Errorf("%v: %q is not %q", err, out, public)
	}
	again, err := Load(path, nil)
	if err != nil || string(again.PublicKey().Marshal()) != string(k.PublicKey().Marshal()) {
		t.Errorf("%v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	keygen := rig.Need(t, "ssh-keygen", "openssh-client")
	make := func(name string, args ...string) string {
		path := filepath.Join(dir, name)
		if out, err := exec.Command(keygen, append([]string{"-q", "-f", path}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return path
	}
	garbage := filepath.Join(dir, "garbage")
	write(t, garbage, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"))
	for name, path := range map[string]string{
		"nothing":               filepath.Join(dir, "none"),
		"a directory":           dir,
		"garbage":               garbage,
		"a key of another kind": make("ecdsa", "-t", "ecdsa", "-N", ""),
		"a key with passphrase": make("locked", "-t", "ed25519", "-N", "passphrase"),
	} {
		if _, err := Load(path, nil); fault.ReasonOf(err) != fault.CertificateInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadCertificateRefuses(t *testing.T) {
	k := newKey(t)
	host := certify(t, k.PublicKey(), time.Now())
	host.CertType = ssh.HostCert
	for name, data := range map[string][]byte{
		"nothing":            nil,
		"garbage":            []byte("ssh-ed25519-cert-v01@openssh.com AAAA"),
		"a plain key":        Line(k.PublicKey(), "comment"),
		"a host certificate": Line(host, "comment"),
	} {
		if c, err := ReadCertificate(data); c != nil || err == nil {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if _, err := ReadCertificate(Line(certify(t, k.PublicKey(), time.Now()), "comment")); err != nil {
		t.Error(err)
	}
}

// realAgent runs ssh-agent and returns the environment that names it.
func realAgent(t *testing.T) func(string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	rig.Start(t, exec.Command(rig.Need(t, "ssh-agent", "openssh-client"), "-D", "-a", socket))
	rig.Eventually(t, 10*time.Second, "ssh-agent listens", func() bool { _, err := os.Stat(socket); return err == nil })
	return func(name string) string {
		if name == "SSH_AUTH_SOCK" {
			return socket
		}
		return ""
	}
}

func dial(t *testing.T, getenv func(string) string) *Agent {
	t.Helper()
	a := Dial(getenv)
	if a == nil {
		t.Fatal("no agent answers")
	}
	t.Cleanup(a.Close)
	return a
}

func TestTheAgentForgetsOursAlone(t *testing.T) {
	a, k, now := dial(t, realAgent(t)), newKey(t), time.Now()
	other := newKey(t)
	if err := a.client.Add(agent.AddedKey{PrivateKey: &other.Private, Comment: "theirs"}); err != nil {
		t.Fatal(err)
	}
	held := func() (comments []string) {
		keys, err := a.client.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			comments = append(comments, k.Comment)
		}
		return comments
	}
	for range 2 { // a renewal replaces
		if err := a.Add(k, certify(t, k.PublicKey(), now), "ours", now); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(held(), " "); got != "theirs ours ours" {
			t.Fatalf("it holds %s", got)
		}
	}
	if err := a.Remove(k.PublicKey()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(held(), " "); got != "theirs" {
		t.Errorf("it holds %s", got)
	}
}

func TestACertificateThatHasEndedIsNotAdded(t *testing.T) {
	a, k, now := dial(t, realAgent(t)), newKey(t), time.Now()
	if err := a.Add(k, certify(t, k.PublicKey(), now), "ours", now.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if keys, err := a.client.List(); err != nil || len(keys) > 0 {
		t.Errorf("it holds %v, %v", keys, err)
	}
}

func TestNoAgentHoldsNothing(t *testing.T) {
	for _, socket := range []string{"", filepath.Join(t.TempDir(), "gone")} {
		a := Dial(func(string) string { return socket })
		k := newKey(t)
		if a != nil || a.Add(k, certify(t, k.PublicKey(), time.Now()), "", time.Now()) != nil || a.Remove(k.PublicKey()) != nil {
			t.Errorf("%q: %v", socket, a)
		}
		a.Close()
	}
}

// counting is an agent that holds what a keyring does, and remembers.
type counting struct {
	agent.Agent
	mu    sync.Mutex
	added []uint32 // lifetimes
}

func (c *counting) Add(k agent.AddedKey) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added = append(c.added, k.LifetimeSecs)
	return c.Agent.Add(k)
}

func TestTheAgentsKeyEndsWithTheCertificate(t *testing.T) {
	c := &counting{Agent: agent.NewKeyring()}
	here, there := net.Pipe()
	var served sync.WaitGroup
	served.Go(func() { agent.ServeAgent(c, there) })
	a := &Agent{conn: here, client: agent.NewClient(here)}
	k, now := newKey(t), time.Now()
	if err := a.Add(k, certify(t, k.PublicKey(), now), "ours", now.Add(10*time.Minute)); err != nil {
		t.Fatal(err)
	}
	a.Close()
	served.Wait()
	if len(c.added) != 2 || c.added[0] != 50*60 || c.added[1] != 50*60 {
		t.Errorf("lifetimes %v", c.added)
	}
}

func TestOpenSecurityKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	write(t, plain+".pub", Line(newKey(t).PublicKey(), ""))
	sk := filepath.Join(dir, "sk")
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, private.Public().(ed25519.PublicKey), "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	write(t, sk+".pub", Line(public, ""))
	write(t, sk, []byte("not a handle"))
	a := dial(t, realAgent(t))
	for name, c := range map[string]struct {
		path  string
		agent *Agent
		says  string
	}{
		"a key that is not there":        {filepath.Join(dir, "none"), a, "cannot be read"},
		"a key of the usual kind":        {plain, a, "not a security key"},
		"a security key, and no agent":   {sk, nil, "none is running"},
		"a handle that no agent can use": {sk, a, "does not take the security key"},
	} {
		if _, err := OpenSecurityKey(c.path, c.agent); fault.ReasonOf(err) != fault.KeyRefused || !strings.Contains(fault.Of(err).Text, c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASecurityKeyThatIsNotPluggedInIsNamed(t *testing.T) {
	rig.Need(t, "ssh-keygen", "openssh-client")
	path := filepath.Join(t.TempDir(), "sk")
	for agent, want := range map[*Agent]string{nil: "none is running", dial(t, realAgent(t)): "is it plugged in?"} {
		var out strings.Builder
		err := agent.MakeSecurityKey(t.Context(), path, strings.NewReader(""), &out)
		if fault.ReasonOf(err) != fault.KeyRefused || !strings.Contains(fault.Of(err).Text, want) {
			t.Errorf("%v, want %q\n%s", err, want, out.String())
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("there is a handle: %v", err)
	}
}
