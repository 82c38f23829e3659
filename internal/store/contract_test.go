package store

import (
	"context"
	"crypto/sha256"
	"path/filepath"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// onEach runs test against each database, fresh.
func onEach(t *testing.T, test func(*testing.T, *Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		test(t, open(t, "sqlite://"+filepath.Join(t.TempDir(), "ca.db")))
	})
}

func open(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(context.Background(), Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func hash(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

func wantReason(t *testing.T, err error, want fault.Reason) {
	t.Helper()
	if got := fault.ReasonOf(err); got != want {
		t.Fatalf("reason %q, want %q (%v)", got, want, err)
	}
}

func aLogin(name, token string) Login {
	return Login{
		Identity: Identity{Name: id.Identity(name), Issuer: "https://issuer", Subject: "sub-" + name, Groups: []string{"eng"}, Seen: 1000},
		Once:     []Once{{"nonce", hash("n" + token), 9e9}, {"token", hash("t" + token), 9e9}},
		Intent:   Intent{Profile: ProfileLogin, Subject: name, KeyPrint: "SHA256:x", ValidAfter: 1, ValidBefore: 9e9},
	}
}

func TestALoginGetsTheNextSerial(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		for want := id.Serial(1); want < 4; want++ {
			got, err := s.RecordLogin(ctx, aLogin("you@example.com", string(rune('a'+want))))
			if err != nil || got != want {
				t.Fatalf("serial %d, %v; want %d", got, err, want)
			}
			if err := s.Complete(ctx, got, []byte("cert")); err != nil {
				t.Fatal(err)
			}
			wantReason(t, s.Complete(ctx, got, []byte("cert")), fault.CertificateStored)
		}
		_, err := s.RecordLogin(ctx, aLogin("you@example.com", "b"))
		wantReason(t, err, fault.TokenReplayed)
		c, err := s.Certificate(ctx, 3)
		if err != nil || string(c.Blob) != "cert" || c.Subject != "you@example.com" {
			t.Fatalf("%+v, %v", c, err)
		}
	})
}
