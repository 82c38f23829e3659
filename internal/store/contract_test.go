package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// promise is one sentence of the contract. Every promise is kept by both
// databases, each time on a fresh one.
type promise struct {
	name string
	test func(*testing.T, *Store)
}

var contract = slices.Concat(loginPromises, certificatePromises, enrolPromises, nodePromises,
	sessionPromises, policyPromises, evidencePromises, batchPromises, eventPromises, entryPromises, treePromises,
	recordingPromises, searchPromises)

func TestSQLiteKeepsTheContract(t *testing.T) {
	for _, p := range contract {
		t.Run(p.name, func(t *testing.T) { p.test(t, open(t, sqliteURL(t))) })
	}
}

func TestPostgreSQLKeepsTheContract(t *testing.T) {
	server := rig.Postgres(t)
	as := func(role string, url string) string { return strings.Replace(url, "user=sallyport", "user="+role, 1) }
	run(t, as("postgres", server.URL), `CREATE ROLE sallyport_ca LOGIN`)
	for n, p := range contract {
		t.Run(p.name, func(t *testing.T) {
			schema := fmt.Sprintf("promise%d", n)
			owner := server.Empty(schema)
			ok(t, open(t, owner).Close())
			run(t, owner, strings.ReplaceAll(grants(t), "SCHEMA public", "SCHEMA "+schema))
			p.test(t, open(t, as("sallyport_ca", owner)))
		})
	}
}

// run runs statements on PostgreSQL.
func run(t testing.TB, url, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	ok(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), statements)
	ok(t, err)
}

// grants is what the migrations' README tells an operator to run, so that the CA
// does not own its tables.
func grants(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rig.Root(), "migrations", "README.md"))
	ok(t, err)
	_, rest, found := strings.Cut(string(text), "```sql\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("migrations/README.md has no SQL to run")
	}
	return block
}

func sqliteURL(t testing.TB) string { return "sqlite://" + filepath.Join(t.TempDir(), "ca.db") }

func open(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(context.Background(), Config{URL: url})
	if err != nil {
		t.Fatalf("open %s: %+v", url, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

func hash(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

// must fails the test on err and returns v.
func must[V any](v V, err error) func(testing.TB) V {
	return func(t testing.TB) V {
		t.Helper()
		ok(t, err)
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", fault.ReasonOf(err), err)
	}
}

func refused(t testing.TB, err error, want fault.Reason) {
	t.Helper()
	if got := fault.ReasonOf(err); got != want {
		t.Fatalf("reason %q, want %q (%v)", got, want, err)
	}
}

// expect is refused for goroutines, which must not end the test; want is "" for
// no error.
func expect(t testing.TB, err error, want fault.Reason) {
	t.Helper()
	if got := fault.ReasonOf(err); got != want {
		t.Errorf("reason %q, want %q (%v)", got, want, err)
	}
}

// far is a time that no test reaches.
const far = 9_000_000_000

// login is a login of name with its own nonce and token.
func login(name, token string) Login {
	return Login{
		Identity: Identity{
			Name: id.Identity(name), Issuer: "https://issuer.example", Subject: "sub-" + name,
			Groups: []string{"eng"}, Claims: []byte(`{"a": 1}`), Seen: 1000,
		},
		Once:   []Once{{"nonce", hash("nonce " + token), far}, {"id_token", hash("token " + token), far}},
		Intent: intent(ProfileLogin, name),
	}
}

func intent(p Profile, subject string) Intent {
	return Intent{Profile: p, Subject: subject, KeyPrint: "SHA256:key", ValidAfter: 100, ValidBefore: far}
}

// ada does what admins do.
var ada = Actor{"ada@example.com", "192.0.2.9"}

// reserved is the serial of one intent.
func reserved(t testing.TB, s *Store, i Intent) id.Serial {
	t.Helper()
	return must(s.Reserve(t.Context(), ada, i))(t)[0]
}

// by is an enrolment with the token of that secret.
func by(secret string, intents ...Intent) Enrolment {
	return Enrolment{Secret: hash(secret), Client: "192.0.2.7", Intents: intents}
}

func opening(ws wire.Session, i Intent) Opening {
	return Opening{Session: ws, Roles: []string{ws.Role, "other"}, Intent: i}
}
