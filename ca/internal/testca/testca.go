// Package testca is a CA in one process for the tests of its rooms: a real store
// on SQLite, a real directory, real issuance, and the CA's and the log's keys in
// the test's hands, so that it can also sign what no CA would. The signer's process
// is left out; package ca's tests have it.
//
// The product never imports it.
package testca

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/auditlog"
	"github.com/sallyport-ssh/sallyport/ca/internal/directory"
	"github.com/sallyport-ssh/sallyport/ca/internal/holder"
	"github.com/sallyport-ssh/sallyport/ca/internal/issue"
	"github.com/sallyport-ssh/sallyport/ca/internal/keep"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/storage"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// CA is what the doors stand on.
type CA struct {
	Store     *store.Store
	Directory *directory.Directory
	Issuer    *issue.Issuer
	Holders   *holder.Checker
	Keys      map[cert.Profile]ssh.Signer
	LogKey    ed25519.PrivateKey

	t testing.TB
}

// New makes a CA with an empty store, which ends with the test.
func New(t testing.TB) *CA { return NewAt(t, time.Now) }

// NewAt is New with a store that goes by another clock.
func NewAt(t testing.TB, now func() time.Time) *CA {
	t.Helper()
	c := &CA{t: t, Keys: map[cert.Profile]ssh.Signer{}}
	for _, p := range cert.Profiles() {
		c.Keys[p] = Key(t)
	}
	var err error
	if _, c.LogKey, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if c.Store, err = store.Open(t.Context(), store.Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "ca.db"), Log: log, Now: now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Store.Close() })
	if c.Directory, err = directory.Open(t.Context(), c.Store, time.Now, log); err != nil {
		t.Fatal(err)
	}
	c.Issuer = issue.New(c, c.Store)
	c.Holders = holder.New(c.Store, c.Public(cert.LoginProfile), time.Now)
	return c
}

// Keep is the CA's hold on recordings, which are in dir, also as a directory in
// which a proxy records.
func (c *CA) Keep(dir string, change ...func(*keep.Config)) *keep.Keep {
	c.t.Helper()
	config := keep.Config{
		Store: c.Store, Storage: storage.NewLocal(dir, time.Now), Live: dir, Holder: "test",
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&config)
	}
	k, err := keep.New(config)
	if err != nil {
		c.t.Fatal(err)
	}
	return k
}

// LogOrigin is the name of the test's audit log.
const LogOrigin = "access.example.com/log"

// LogTrust is by what the log is known.
func (c *CA) LogTrust() wire.LogTrust {
	c.t.Helper()
	vkey, err := audit.VerifierKey(LogOrigin, c.LogKey.Public().(ed25519.PublicKey))
	if err != nil {
		c.t.Fatal(err)
	}
	return wire.LogTrust{Origin: LogOrigin, Keys: []string{vkey}}
}

// AuditLog is a log that works until the test ends.
func (c *CA) AuditLog() *auditlog.Log {
	c.t.Helper()
	trust, err := audit.NewTrust(c.LogTrust().Keys, nil, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	l := auditlog.New(auditlog.Config{Store: c.Store, Signer: c, Trust: trust, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	var running sync.WaitGroup
	running.Go(func() { l.Run(context.Background()) })
	c.t.Cleanup(func() { l.Close(); running.Wait() })
	return l
}

// SignCheckpoint is auditlog.Signer with the test's key. It signs anything.
func (c *CA) SignCheckpoint(_ context.Context, _ int64, next audit.Checkpoint, _ audit.Proof) ([]byte, int64, error) {
	note, err := next.Sign(c.LogKey)
	return note, next.Size, err
}

// Key makes an SSH key.
func Key(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Public are the public keys of p's CA.
func (c *CA) Public(p cert.Profile) []ssh.PublicKey {
	return []ssh.PublicKey{c.Keys[p].PublicKey()}
}

// Sign is issue.Signer with the test's keys.
func (c *CA) Sign(_ context.Context, r cert.Request) (*ssh.Certificate, error) {
	nonce := make([]byte, 32)
	rand.Read(nonce)
	key := c.Keys[r.Profile()]
	draft, err := cert.Prepare(r, nonce, key.PublicKey())
	if err != nil {
		return nil, err
	}
	blob, err := draft.Sign(func(data []byte) (*ssh.Signature, error) { return key.Sign(rand.Reader, data) })
	if err != nil {
		return nil, err
	}
	return cert.Check(r, blob, key.PublicKey())
}

// Person is somebody who has logged in.
type Person struct {
	Name        id.Identity
	Key         ssh.Signer
	Certificate []byte
	Serial      id.Serial
}

// Parsed is the certificate.
func (p *Person) Parsed(t testing.TB) *ssh.Certificate {
	t.Helper()
	c, err := cert.Parse(p.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Client speaks for p to the door at url.
func (p *Person) Client(t testing.TB, url string) *wire.Client {
	t.Helper()
	c, err := wire.NewClient(url)
	if err != nil {
		t.Fatal(err)
	}
	return c.WithProof(p.Key, p.Certificate)
}

// Login certifies a new key for a name, as a login with these groups does.
func (c *CA) Login(name id.Identity, groups ...string) *Person {
	c.t.Helper()
	return c.LoginAt(time.Now(), name, groups...)
}

// LoginAt is a login of eight hours that began at begin.
func (c *CA) LoginAt(begin time.Time, name id.Identity, groups ...string) *Person {
	c.t.Helper()
	return c.login(cert.Login{Identity: name}, begin, groups)
}

// LoginFrom is a login whose certificate may be used from there alone.
func (c *CA) LoginFrom(there netip.Prefix, name id.Identity, groups ...string) *Person {
	c.t.Helper()
	return c.login(cert.Login{Identity: name, SourceAddress: []netip.Prefix{there}}, time.Now(), groups)
}

func (c *CA) login(request cert.Login, begin time.Time, groups []string) *Person {
	c.t.Helper()
	name := request.Identity
	p := &Person{Name: name, Key: Key(c.t)}
	request.LoginID, request.Key = id.NewLoginID(), p.Key.PublicKey()
	request.ValidAfter, request.ValidBefore = cert.Window(begin, 8*time.Hour)
	issued, err := c.Issuer.Issue(c.t.Context(), func(ctx context.Context, intents []store.Intent) ([]id.Serial, error) {
		serial, err := c.Store.RecordLogin(ctx, store.Login{
			Identity: store.Identity{Name: name, Issuer: "https://login.example.com", Subject: string(name), Groups: groups, Claims: []byte("{}"), Seen: time.Now().Unix()},
			Intent:   intents[0],
		})
		return []id.Serial{serial}, err
	}, request)
	if err != nil {
		c.t.Fatalf("login %s: %v", name, err)
	}
	p.Certificate, p.Serial = issued[0].Blob, issued[0].Serial
	return p
}

// Forge signs any certificate with a key of the test's.
func (c *CA) Forge(by ssh.Signer, certificate ssh.Certificate) *ssh.Certificate {
	c.t.Helper()
	certificate.Nonce, certificate.Signature = nil, nil
	if err := certificate.SignCert(rand.Reader, by); err != nil {
		c.t.Fatal(err)
	}
	return &certificate
}

// Policy applies one file of roles.
func (c *CA) Policy(text string) {
	c.t.Helper()
	_, err := c.Store.ApplyPolicy(c.t.Context(), store.Actor{Name: "ada@example.com"}, store.Revision{Policy: wire.Policy{
		Author: "test", Applied: time.Now().Unix(), Files: map[string]string{"policy.yaml": text},
	}}, -1)
	if err != nil {
		c.t.Fatalf("apply policy: %v", err)
	}
	c.Refresh()
}

// Node adds a node without an agent.
func (c *CA) Node(name id.NodeName, labels map[string]string) store.Node {
	c.t.Helper()
	n := store.Node{Node: wire.Node{ID: id.NewNode(), Name: name, Addr: "10.0.0.1:22", Labels: labels}}
	if err := c.Store.AddNode(c.t.Context(), store.Actor{Name: "ada@example.com"}, n); err != nil {
		c.t.Fatal(err)
	}
	c.Refresh()
	return n
}

// Refresh brings the directory up to date.
func (c *CA) Refresh() {
	c.t.Helper()
	if err := c.Directory.Refresh(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}
