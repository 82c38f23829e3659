package auditlog

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

const origin = "access.example.com/log"

// key is a signer as the real one decides, with its key in the test's hands.
type key struct {
	private ed25519.PrivateKey

	mu   sync.Mutex
	last audit.Checkpoint
	away error // that it answers, if not nil
	dies bool  // after it has signed, before anybody hears of it
	n    int   // signatures
}

func newKey(t testing.TB) *key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key{private: private}
}

func (k *key) vkey(t testing.TB) string {
	t.Helper()
	vkey, err := audit.VerifierKey(origin, k.private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return vkey
}

func (k *key) trust(t testing.TB, witnesses []string, quorum int) *audit.Trust {
	t.Helper()
	trust, err := audit.NewTrust([]string{k.vkey(t)}, witnesses, quorum)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func (k *key) SignCheckpoint(_ context.Context, old int64, next audit.Checkpoint, proof audit.Proof) ([]byte, int64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away != nil {
		return nil, 0, k.away
	}
	if next.Size < k.last.Size || k.last.Size != old && next.Size > k.last.Size {
		return nil, k.last.Size, nil
	}
	if k.last.Size > 0 {
		if err := next.CheckConsistency(k.last, proof); err != nil {
			return nil, 0, fault.New(fault.Conflict, fault.LogDamaged, "the signer refuses: %v", err)
		}
	}
	k.n++
	k.last = next
	if k.dies {
		return nil, 0, fault.New(fault.Unavailable, fault.SignerAway, "it died")
	}
	note, err := next.Sign(k.private)
	return note, next.Size, err
}

func (k *key) set(away error, dies bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away, k.dies = away, dies
}

// world is a database, and CAs on it.
type world struct {
	t     *testing.T
	path  string // of SQLite's file, or
	url   string // PostgreSQL's
	store *store.Store
	key   *key
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "ca.db"), key: newKey(t)}
	w.store = w.open()
	return w
}

func (w *world) open() *store.Store {
	w.t.Helper()
	url := w.url
	if url == "" {
		url = "sqlite://" + w.path
	}
	s, err := store.Open(w.t.Context(), store.Config{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { s.Close() })
	return s
}

func (w *world) vkey() string { return w.key.vkey(w.t) }

// log is a new process's log. The test steps it.
func (w *world) log() *Log {
	return New(Config{Store: w.store, Signer: w.key, Trust: w.key.trust(w.t, nil, 0), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
}

// run lets a log work until the test ends, or stop is called.
func (w *world) run(l *Log) (stop func()) {
	var running sync.WaitGroup
	running.Go(func() { l.Run(context.Background()) })
	stop = func() { l.Close(); running.Wait() }
	w.t.Cleanup(stop)
	return stop
}

// append logs n events.
func (w *world) append(n int) {
	w.t.Helper()
	for n > 0 {
		events := make([]audit.Event, min(n, 500))
		for i := range events {
			events[i] = audit.Event{Kind: audit.SessionDenied, Outcome: audit.Refused, Identity: "ann@example.com", Text: fmt.Sprint(n - i)}
		}
		if err := w.store.Append(w.t.Context(), events...); err != nil {
			w.t.Fatal(err)
		}
		n -= len(events)
	}
}

// owner runs SQL as the owner of the database, whom no trigger stops.
func (w *world) owner(statements ...string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT name FROM sqlite_master WHERE type = 'trigger'`)
	if err != nil {
		w.t.Fatal(err)
	}
	var triggers []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			w.t.Fatal(err)
		}
		triggers = append(triggers, name)
	}
	rows.Close()
	for _, name := range triggers {
		statements = append([]string{`DROP TRIGGER ` + name}, statements...)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			w.t.Fatalf("%s: %v", s, err)
		}
	}
}

// whole checks every invariant: the checkpoint opens, each checkpoint before is
// consistent with it, and every event is in it.
func (w *world) whole(l *Log, size int64) {
	w.t.Helper()
	signed, err := l.Checkpoint(w.t.Context())
	if err != nil || signed.Size != size {
		w.t.Fatalf("the checkpoint is of %d events and not of %d: %v", signed.Size, size, err)
	}
	for at := int64(1); at <= size; {
		c, err := w.store.CheckpointFrom(w.t.Context(), at)
		if err != nil {
			w.t.Fatal(err)
		}
		old, err := l.open(c)
		if err != nil {
			w.t.Fatal(err)
		}
		proof, err := signed.ProveConsistency(old.Size, l.tree.reader(w.t.Context()))
		if err == nil {
			err = signed.CheckConsistency(old.Checkpoint, proof)
		}
		if err != nil {
			w.t.Fatalf("with the checkpoint of %d: %v", old.Size, err)
		}
		at = c.Size + 1
	}
	for at := int64(0); at < size; at += max(1, size/50) {
		e, err := w.store.Entry(w.t.Context(), at)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := l.Prove(w.t.Context(), signed.Checkpoint, e); err != nil {
			w.t.Fatalf("event %d: %v", at, err)
		}
	}
}

func (w *world) step(l *Log) {
	w.t.Helper()
	if err := l.step(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
