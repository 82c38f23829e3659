//go:build linux

package signer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// TestMain is also the program that the tests start: `signer ARGS` is
// `sallyport signer ARGS`, and `fenced ARGS` breaks out of a fence.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		env := cli.OS()
		switch os.Args[1] {
		case "signer":
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			defer stop()
			os.Exit(cli.Report(env, Main(ctx, env, os.Args[2:])))
		case "fenced":
			os.Exit(fenced(os.Args[2:]))
		}
	}
	status := m.Run()
	os.RemoveAll(keys.dir)
	os.Exit(status)
}

const testPassphrase = "correct horse battery staple"

const testOrigin = "access.example.com/log"

// keys is one key folder for all tests: to stretch a passphrase takes a while.
var keys struct {
	sync.Once
	dir string
	err error
}

// keyFolder returns a key folder of the test's own, and its passphrase file.
func keyFolder(t testing.TB) Config {
	t.Helper()
	keys.Do(func() {
		if keys.dir, keys.err = os.MkdirTemp("", "signer-keys-"); keys.err == nil {
			_, keys.err = Init(keys.dir, []byte(testPassphrase), Ed25519, testOrigin)
		}
	})
	if keys.err != nil {
		t.Fatal(keys.err)
	}
	dir := t.TempDir()
	c := Config{
		Keys:           filepath.Join(dir, "keys"),
		PassphraseFile: filepath.Join(dir, "passphrase"),
		RequireFence:   true,
		Stderr:         io.Discard,
		Log:            slog.New(slog.DiscardHandler),
	}
	if err := os.CopyFS(c.Keys, os.DirFS(keys.dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.PassphraseFile, []byte(testPassphrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func start(t testing.TB, c Config) *Client {
	t.Helper()
	client, err := Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

var lastSerial atomic.Uint64

func newSerial() id.Serial { return id.Serial(lastSerial.Add(1)) }

func newKey25519(t testing.TB) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func loginRequest(key ssh.PublicKey) cert.Login {
	after, before := cert.Window(time.Now(), 8*time.Hour)
	return cert.Login{
		Identity: "you@example.com", LoginID: id.NewLoginID(), Key: key,
		Serial: newSerial(), ValidAfter: after, ValidBefore: before,
	}
}

func sessionRequest(key ssh.PublicKey) cert.Session {
	after, before := cert.Window(time.Now(), time.Minute)
	return cert.Session{
		Session: id.NewSession(), Identity: "you@example.com", Revision: 1,
		Login: "root", Node: id.NewNode(), Key: key,
		Serial: newSerial(), ValidAfter: after, ValidBefore: before,
		SourceAddress: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	}
}

func hostRequest(key ssh.PublicKey) cert.Host {
	after, before := cert.Window(time.Now(), cert.MaxHost)
	return cert.Host{
		Name: "web-1", Node: id.NewNode(), Principals: []string{"web-1", "10.0.0.7"}, Key: key,
		Serial: newSerial(), ValidAfter: after, ValidBefore: before,
	}
}

func TestEachProfileIsSignedByItsOwnCA(t *testing.T) {
	client := start(t, keyFolder(t))
	key := newKey25519(t)
	for _, r := range []cert.Request{loginRequest(key), sessionRequest(key), hostRequest(key)} {
		c, err := client.Sign(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range cert.Profiles() {
			_, err := cert.Lint(p, c.Marshal(), client.Keys().Of(p)[0])
			if (err == nil) != (p == r.Profile()) {
				t.Errorf("a %s certificate as a %s certificate: %v", r.Profile(), p, err)
			}
		}
	}
}

func BenchmarkLoginCertificates(b *testing.B) {
	client := start(b, keyFolder(b))
	key := newKey25519(b)
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := client.Sign(context.Background(), loginRequest(key)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certs/s")
}

func rsaKey(t testing.TB) ssh.PublicKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
