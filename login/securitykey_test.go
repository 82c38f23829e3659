package login

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
	"github.com/sallyport-ssh/sallyport/login/internal/loginkey"
)

// authenticator is an ssh-agent with a FIDO2 key behind it, signing as one does
// (PROTOCOL.u2f). Whether it is touched is the test's choice.
type authenticator struct {
	agent.Agent
	key     ed25519.PrivateKey
	public  ssh.PublicKey
	touched atomic.Bool
	signed  atomic.Int32
}

func (a *authenticator) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: a.public.Type(), Blob: a.public.Marshal(), Comment: "authenticator"}}, nil
}

func (a *authenticator) Remove(ssh.PublicKey) error { return nil }

func (a *authenticator) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	if !a.touched.Load() {
		return nil, errors.New("device not touched")
	}
	a.signed.Add(1)
	rest := binary.BigEndian.AppendUint32([]byte{1}, uint32(a.signed.Load()))
	app, msg := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	return &ssh.Signature{Format: a.public.Type(), Blob: ed25519.Sign(a.key, append(append(app[:], rest...), msg[:]...)), Rest: rest}, nil
}

// plugIn makes a security key, its .pub file, and an agent that has it.
func (m *morning) plugIn() (path string, a *authenticator) {
	m.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		m.Fatal(err)
	}
	a = &authenticator{Agent: agent.NewKeyring(), key: key}
	a.touched.Store(true)
	a.public, err = ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, key.Public().(ed25519.PublicKey), "ssh:"}))
	if err != nil {
		m.Fatal(err)
	}
	path = filepath.Join(m.home.Dir, ".ssh", "id_ed25519_sk")
	for f, data := range map[string]string{path: "the handle\n", path + ".pub": string(loginkey.Line(a.public, "mine"))} {
		if err := os.WriteFile(f, []byte(data), 0o600); err != nil {
			m.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "agent-")
	if err != nil {
		m.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		m.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			all.Go(func() { defer conn.Close(); agent.ServeAgent(a, conn) })
		}
	})
	m.Cleanup(func() { socket.Close(); all.Wait(); os.RemoveAll(dir) })
	m.home.Set("SSH_AUTH_SOCK", socket.Addr().String())
	return path, a
}

func TestASecurityKey(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	m.login(hour) // with a key in a file, once
	m.ca.set(func(ca *handCA) { ca.d.SecurityKeyRequired = true })
	path, a := m.plugIn()
	l := m.node("web-1")

	t.Run("logs in, and is remembered", func(t *testing.T) {
		for _, args := range [][]string{{"login", "--key", path, m.ca.server.URL}, {"login"}, {"login", "--key", path + ".pub"}} {
			m.home.Must("sallyport", args...)
			if got := m.certificate().Key.Type(); got != ssh.KeyAlgoSKED25519 {
				t.Fatalf("%v: the certificate is for %s", args, got)
			}
		}
		if _, err := os.Stat(m.path(home.Key)); !os.IsNotExist(err) {
			t.Errorf("another key is there: %v", err)
		}
	})
	t.Run("opens a node by plain ssh", func(t *testing.T) {
		before := a.signed.Load()
		m.home.Must("ssh", "-o", "BatchMode=yes", "deploy@web-1", "true")
		if n := a.signed.Load() - before; n != 1 || len(l.preambles()) != 1 {
			t.Errorf("%d touches, %d connections", n, len(l.preambles()))
		}
	})
	t.Run("is not asked behind the person's back", func(t *testing.T) {
		m.login(almostOver)
		before := a.signed.Load()
		m.home.Must("sallyport", "check")
		if a.signed.Load() != before || m.ca.called(wire.PathRenew) != 0 {
			t.Error("it signed")
		}
		m.login(endedLife)
		if r := m.home.Run("sallyport", "check"); r.Status != 1 || !strings.Contains(r.Stderr, ": the security key has to be touched\n  run: sallyport login") {
			t.Errorf("%s", r)
		}
	})
	t.Run("renews when its person looks on", func(t *testing.T) {
		m.ca.set(func(ca *handCA) { ca.life = hour })
		if said, err := m.onTerminal(); err != nil || !strings.Contains(said, "Touch your security key") || m.ca.called(wire.PathRenew) != 1 {
			t.Errorf("%v: %s", err, said)
		}
	})
	t.Run("that nobody touches is named", func(t *testing.T) {
		a.touched.Store(false)
		if r := m.home.Run("sallyport", "login"); r.Status == 0 || !strings.Contains(r.Stderr, "the security key did not sign; was it touched?") {
			t.Errorf("%s", r)
		}
		a.touched.Store(true)
	})
	t.Run("stays the person's at logout", func(t *testing.T) {
		m.home.Must("sallyport", "logout")
		if m.read(path) != "the handle\n" {
			t.Error("its handle changed")
		}
	})
}
