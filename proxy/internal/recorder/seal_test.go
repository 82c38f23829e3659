package recorder

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// keysDir names a directory of keys that a test's processes share.
const keysDir = "SALLYPORT_RECORDER_KEYS"

// The proxy that seals, and the auditor whom recordings are encrypted to where a
// test says nothing else.
var (
	p1  *proxyKey
	ann *auditor
)

// shareKeys makes the keys, or reads those that the process before made.
func shareKeys() (remove func()) {
	dir := os.Getenv(keysDir)
	if dir != "" {
		p1, ann = newProxyKey(dir), readAuditor(filepath.Join(dir, "ann"))
		return func() {}
	}
	dir, err := os.MkdirTemp("", "recorder-keys")
	must(err)
	must(os.Setenv(keysDir, dir))
	identity, err := age.GenerateX25519Identity()
	must(err)
	must(os.WriteFile(filepath.Join(dir, "ann"), []byte(identity.String()+"\n"), 0o600))
	p1, ann = newProxyKey(dir), readAuditor(filepath.Join(dir, "ann"))
	return func() { os.RemoveAll(dir) }
}

// proxyKey is a proxy's host key with its certificate, and the CA behind it.
type proxyKey struct {
	host        ssh.Signer
	certificate *ssh.Certificate
	ca          ssh.PublicKey
	away        atomic.Bool // it cannot seal now
}

func newProxyKey(dir string) *proxyKey {
	signer := func(name string) ssh.Signer {
		path := filepath.Join(dir, name)
		seed, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			seed = make([]byte, ed25519.SeedSize)
			rand.Read(seed)
			err = os.WriteFile(path, seed, 0o600)
		}
		must(err)
		s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed))
		must(err)
		return s
	}
	host, ca := signer("host"), signer("ca")
	after, before := cert.Window(time.Now(), cert.MaxHost)
	c, err := cert.Host{
		Proxy: "p-1", Principals: []string{"p-1"}, Key: host.PublicKey(), Serial: 1, ValidAfter: after, ValidBefore: before,
	}.Derive()
	must(err)
	must(c.SignCert(rand.Reader, ca))
	return &proxyKey{host: host, certificate: c, ca: ca.PublicKey()}
}

func (k *proxyKey) seal(s recording.Statement) (*recording.Seal, error) {
	if k.away.Load() {
		return nil, errors.New("no certificate is valid now")
	}
	s.Proxy, s.Sealed = "p-1", time.Now().UnixMicro()
	return s.Sign(k.host, k.certificate)
}

// auditor is whom a recording is encrypted to, and who reads it. The zero one
// reads recordings in clear.
type auditor struct {
	order  wire.RecordingOrder
	opener recording.Opener
}

// readAuditor reads a file of one identity, and orders for its recipient.
func readAuditor(path string) *auditor {
	text, err := os.ReadFile(path)
	must(err)
	identity, err := age.ParseX25519Identity(string(text[:len(text)-1]))
	must(err)
	o, err := recording.LoadIdentities(path)
	must(err)
	return &auditor{wire.RecordingOrder{Recipients: []string{identity.Recipient().String()}}, o}
}

// postQuantum is an auditor with the hybrid kind of key.
func postQuantum(t testing.TB) *auditor {
	t.Helper()
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(path, []byte(identity.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := recording.LoadIdentities(path)
	if err != nil {
		t.Fatal(err)
	}
	return &auditor{wire.RecordingOrder{Recipients: []string{identity.Recipient().String()}}, o}
}

// verified fails unless dir holds x's recording as one sealed file that verifies,
// and returns its frames and seal.
func (a *auditor) verified(t testing.TB, dir string, x id.Session) ([]recording.Frame, *recording.Seal) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, string(x)+recording.SuffixRec))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	report, err := recording.Verify(f, info.Size(), recording.Trust{HostCA: []ssh.PublicKey{p1.ca}}, a.opener)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	r, err := recording.OpenAt(f, info.Size(), a.opener)
	if err != nil {
		t.Fatal(err)
	}
	return drain(t, r), report.Seal
}
