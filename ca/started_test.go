package ca

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/testissuer"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// leaves are the whole log of a CA on SQLite.
func (in *installation) leaves() [][]byte {
	in.t.Helper()
	s, err := store.Open(in.ctx(), store.Config{URL: "sqlite://" + filepath.Join(in.dir, "data", "ca.db")})
	if err != nil {
		in.t.Fatal(err)
	}
	defer s.Close()
	if err := s.CheckLog(in.ctx()); err != nil {
		in.t.Error(err)
	}
	entries, err := s.EventsFrom(in.ctx(), 0, 1000)
	if err != nil {
		in.t.Fatal(err)
	}
	var all [][]byte
	for _, e := range entries {
		all = append(all, e.Leaf)
	}
	return all
}

func TestACAThatStartsSaysByWhichKeysAndSettings(t *testing.T) {
	in := install(t, "https://login.example.com", "certificates: {login: 4h}").start()
	first, err := audit.Entry{Leaf: in.leaves()[0]}.Event()
	if err != nil {
		t.Fatal(err)
	}
	s := first.Settings
	if first.Kind != audit.CAStarted || first.Actor != audit.CA || s["user_ca"] != ssh.FingerprintSHA256(in.trust.UserCA[0]) ||
		s["log_key"] != in.trust.Log || s["certificates.login"] != "4h0m0s" || s["admins.groups"] != "platform" ||
		s["oidc.device"] != "yes" || s["oidc.issuer"] != "https://login.example.com" || s["url"] != in.url {
		t.Errorf("%+v", first)
	}
}

func TestACAThatCannotWriteItsLogDoesNotStart(t *testing.T) {
	in := install(t, "https://login.example.com").start()
	in.run.Kill()
	db, err := sql.Open("sqlite", filepath.Join(in.dir, "data", "ca.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'full'); END`); err != nil {
		t.Fatal(err)
	}
	if _, _, err := run(t, "run", "--config", in.config); err == nil {
		t.Error("it ran")
	} else if f := fault.Of(err); f.Kind != fault.Internal {
		t.Errorf("got %v", err)
	}
}

// TestPromise7NoSecretOfTheCAStandsInTheAuditLog is promise 7 of DESIGN, section
// 7, for a whole CA: what it was configured with, what its signer holds, and what
// people and machines brought.
func TestPromise7NoSecretOfTheCAStandsInTheAuditLog(t *testing.T) {
	i := testissuer.New(t)
	secret := filepath.Join(t.TempDir(), "client-secret")
	if err := os.WriteFile(secret, []byte("the-client-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := install(t, i.URL, "oidc:", "  issuer: "+i.URL, "  client_id: sallyport", "  device: true", "  client_secret_file: "+secret,
		"admins: {groups: [platform]}").start()
	ada := in.login(i, map[string]any{"email": "ada@example.com", "sub": "ada", "groups": []string{"platform"}})
	var token wire.JoinTokenSecret
	if err := in.as(ada).Do(t.Context(), "POST", wire.PathAdminTokens, wire.NewJoinToken{Part: wire.PartAgent, Names: []string{"x"}, Uses: 1, Seconds: 60}, &token); err != nil {
		t.Fatal(err)
	}
	printed := strings.TrimSpace(in.must("token", "--part", "proxy", "--name", "p1"))
	passphrase, err := os.ReadFile(filepath.Join(in.dir, "data", "passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{
		"the client's secret": "the-client-secret", "a join token": token.Secret, "a join token from the machine": printed,
		"the passphrase": strings.TrimSpace(string(passphrase)), "its path": secret, "a private key": "PRIVATE",
	}
	kinds := map[audit.Kind]int{}
	for _, leaf := range in.leaves() {
		for what, secret := range secrets {
			if secret == "" || bytes.Contains(leaf, []byte(secret)) {
				t.Errorf("%s (%q) stands in %s", what, secret, leaf)
			}
		}
		e, err := audit.Entry{Leaf: leaf}.Event()
		if err != nil {
			t.Fatal(err)
		}
		kinds[e.Kind]++
	}
	if got := fmt.Sprint(kinds[audit.CAStarted], kinds[audit.LoginGranted], kinds[audit.TokenMade]); got != "1 1 2" {
		t.Errorf("the log does not tell what was done: %v", kinds)
	}
}
