package auditlog

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func TestTheLogIsSignedAsItGrows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.log()
	w.step(l)
	if _, err := l.Checkpoint(t.Context()); fault.ReasonOf(err) != fault.NotFound {
		t.Errorf("an empty log has a checkpoint: %v", err)
	}
	size := int64(0)
	for _, n := range []int{1, 1, 253, 1, 1, 255, 1000, 3} {
		w.append(n)
		size += int64(n)
		w.step(l)
		w.whole(l, size)
	}
	w.step(l)
	if w.key.n != 8 {
		t.Errorf("%d signatures for 8 states", w.key.n)
	}
	again := w.log()
	w.append(70_000)
	w.step(again)
	w.whole(again, size+70_000)
}

// TestACheckpointComesWithinASecond, and none while nothing happens.
func TestACheckpointComesWithinASecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.log()
	w.run(l)
	for i := range int64(3) {
		begin := time.Now()
		w.append(1)
		rig.Eventually(t, 10*time.Second, "the event is under a checkpoint", func() bool {
			signed, _ := l.current()
			return signed.Size == i+1
		})
		if took := time.Since(begin); took > 5*time.Second { // on a machine with others
			t.Errorf("it took %v", took)
		}
	}
	w.key.mu.Lock()
	defer w.key.mu.Unlock()
	if w.key.n != 3 {
		t.Errorf("%d signatures for 3 events", w.key.n)
	}
}

// TestReadersDoNotDisturb: they ask for what is newer than the tree, while it
// grows, and find no damage where there is none.
func TestReadersDoNotDisturb(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.log()
	w.append(1)
	w.step(l)
	w.run(l)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				state, err := w.store.LogState(ctx)
				if err != nil {
					continue
				}
				last := state.Size - 1
				tile := audit.Tile{Index: last / 256, Width: int(last%256) + 1, Entries: true}
				if _, err := l.Bundle(ctx, tile); err != nil && ctx.Err() == nil {
					t.Errorf("%s: %v", tile.Path(), err)
				}
			}
		})
	}
	for range 60 {
		w.append(20)
	}
	rig.Eventually(t, 20*time.Second, "all is signed", func() bool { signed, _ := l.current(); return signed.Size == 1201 })
	stop()
	readers.Wait()
	if err := l.Damage(); err != nil {
		t.Error(err)
	}
	w.whole(l, 1201)
}

// TestTwoCAsSignOneLog: both follow one database, with one signer or with one
// each, and never sign two roots for one size.
func TestTwoCAsSignOneLog(t *testing.T) {
	t.Parallel()
	postgres := rig.Postgres(t).URL
	for name, shared := range map[string]bool{"one signer for both": true, "a signer each": false, "a signer each, PostgreSQL": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if strings.Contains(name, "PostgreSQL") {
				w.url = postgres
				w.store = w.open()
			}
			other := *w
			other.store = w.open()
			if !shared {
				other.key = &key{private: w.key.private}
			}
			one, two := w.log(), other.log()
			stops := []func(){w.run(one), other.run(two)}
			for range 20 {
				w.append(40)
				other.append(27)
			}
			size := int64(20 * 67)
			rig.Eventually(t, 20*time.Second, "both have seen a checkpoint of all", func() bool {
				a, _ := one.current()
				b, _ := two.current()
				return a.Size == size && b.Size == size
			})
			for _, stop := range stops {
				stop()
			}
			w.whole(one, size)
			other.whole(two, size)
			if err := one.Damage(); err != nil {
				t.Error(err)
			}
			if err := two.Damage(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestADatabaseThatWasAwayDelaysCheckpoints, and nothing is lost or signed twice.
func TestADatabaseThatWasAwayDelaysCheckpoints(t *testing.T) {
	t.Parallel()
	db := rig.Postgres(t)
	w := &world{t: t, url: db.URL, key: newKey(t)}
	w.store = w.open()
	l := w.log()
	w.run(l)
	for i := range int64(2) {
		w.append(300)
		rig.Eventually(t, 20*time.Second, "all is signed", func() bool { signed, _ := l.current(); return signed.Size == 300*(i+1) })
		if i == 0 {
			db.Kill()
			rig.Eventually(t, 20*time.Second, "the log notices", func() bool { _, err := l.Checkpoint(t.Context()); return err != nil })
			db.Start()
			rig.Eventually(t, 20*time.Second, "the database is back", func() bool { return w.store.Ping(t.Context()) == nil })
		}
	}
	if err := l.Damage(); err != nil {
		t.Error(err)
	}
	w.whole(l, 600)
}

// TestFaults: each step failed, and failed but persisted; then every invariant.
func TestFaults(t *testing.T) {
	t.Parallel()
	away := fault.New(fault.Unavailable, fault.SignerAway, "away")
	for name, fail := range map[string]func(w *world, l *Log) *Log{
		"the signer is away": func(w *world, l *Log) *Log {
			w.key.set(away, false)
			if err := l.step(t.Context()); fault.ReasonOf(err) != fault.SignerAway {
				t.Errorf("got %v", err)
			}
			w.key.set(nil, false)
			return l
		},
		"the signer dies after it has signed": func(w *world, l *Log) *Log {
			w.key.set(nil, true)
			if err := l.step(t.Context()); fault.ReasonOf(err) != fault.SignerAway {
				t.Errorf("got %v", err)
			}
			w.key.set(nil, false)
			return l
		},
		"the CA is killed between signature and storage": func(w *world, l *Log) *Log {
			w.key.set(nil, true)
			l.step(t.Context())
			w.key.set(nil, false)
			w.append(300) // more, before the next one starts
			return w.log()
		},
		"the CA and its signer are killed": func(w *world, l *Log) *Log {
			w.key.set(nil, true)
			l.step(t.Context())
			w.key = &key{private: w.key.private}
			return w.log()
		},
		"the CA is killed before it stored its tiles": func(w *world, l *Log) *Log {
			w.owner(`DELETE FROM tiles WHERE idx > 0 OR level > 0`)
			return w.log()
		},
		"the database is away": func(w *world, l *Log) *Log {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := l.step(ctx); err == nil {
				t.Error("it is not noticed")
			}
			return l
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l := w.log()
			w.append(600)
			w.step(l)
			w.append(600)
			l = fail(w, l)
			w.step(l)
			state, err := w.store.LogState(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w.whole(l, state.Size)
		})
	}
}

// TestWhatIsWrittenInTheDatabaseIsFound: the database's owner changes history.
func TestWhatIsWrittenInTheDatabaseIsFound(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		sql   []string
		fresh bool   // after a start; else in the running CA
		says  string // in the damage
	}{
		{"an event that is not signed yet is changed", []string{`UPDATE events SET leaf = replace(leaf, 'ann', 'eve') WHERE idx = 610`}, false, "are not those that were logged"},
		{"an event that is not signed yet is removed", []string{`DELETE FROM events WHERE idx = 610`}, false, "610"},
		{"the newest event is removed", []string{`DELETE FROM events WHERE idx = 619`}, false, "619"},
		{"the log is cut, counters and all", []string{`DELETE FROM events WHERE idx >= 500`, `UPDATE counters SET size = 500`}, false, "rolled back"},
		{"the log is cut, checkpoints and all", []string{`DELETE FROM events WHERE idx >= 500`, `UPDATE counters SET size = 500`, `DELETE FROM checkpoints`}, false, "rolled back"},
		{"the frontier is another's", []string{`UPDATE counters SET frontier = zeroblob(length(frontier))`}, false, "are not those that were logged"},
		{"the checkpoint is changed", []string{`UPDATE checkpoints SET note = replace(note, '600', '601')`}, false, "not what"},
		{"the checkpoint is of another size", []string{`UPDATE checkpoints SET size = 610`}, false, "is one of 600"},
		{"the checkpoint is garbage", []string{`UPDATE checkpoints SET note = 'x'`}, false, "no signed checkpoint"},

		{"a signed event at the edge is changed", []string{`UPDATE events SET leaf = replace(leaf, 'ann', 'eve') WHERE idx = 590`}, true, "not those that were signed"},
		{"a tile is changed", []string{`UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND idx = 1`}, true, "not those that were signed"},
		{"a tile is removed, and its events are changed", []string{`DELETE FROM tiles WHERE idx = 1`, `UPDATE events SET leaf = replace(leaf, 'ann', 'eve') WHERE idx = 300`}, true, "not those that were signed"},
		{"the log is cut before a start", []string{`DELETE FROM events WHERE idx >= 500`, `UPDATE counters SET size = 500`}, true, "rolled back"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			l := w.log()
			w.append(600)
			w.step(l)
			w.append(20)
			w.owner(row.sql...)
			if row.fresh {
				l = w.log()
			}
			signatures := w.key.n
			err := l.step(t.Context())
			if fault.ReasonOf(err) != fault.LogDamaged || !strings.Contains(err.Error(), row.says) {
				t.Fatalf("got %v, want %q", err, row.says)
			}
			if w.key.n != signatures {
				t.Error("it was signed")
			}
		})
	}
}

// TestABackupThatIsRestoredIsFound by what the signer remembers. What came after
// the backup is gone, and something else would be signed in its place.
func TestABackupThatIsRestoredIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.log()
	w.append(500)
	w.step(l)
	backup := filepath.Join(t.TempDir(), "backup.db")
	w.owner(`VACUUM INTO '` + backup + `'`)
	w.append(100)
	w.step(l)

	restored := &world{t: t, path: backup, key: w.key}
	restored.store = restored.open()
	l = restored.log()
	restored.append(10)
	if err := l.step(t.Context()); fault.ReasonOf(err) != fault.LogDamaged || !strings.Contains(err.Error(), "600 events were signed, and now there are 510") {
		t.Errorf("got %v", err)
	}
	// A CA that is only a moment behind is not damaged.
	if err := l.ahead(t.Context(), 505); fault.ReasonOf(err) != fault.SignerAway {
		t.Errorf("got %v", err)
	}
}

// TestAChangedEventIsNotShown, although its tile is whole and the CA runs on.
func TestAChangedEventIsNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.log()
	w.append(600)
	w.step(l)
	w.owner(`UPDATE events SET leaf = replace(leaf, 'ann', 'eve') WHERE idx = 17`)
	if _, err := l.Bundle(t.Context(), audit.Tile{Width: 256, Entries: true}); fault.ReasonOf(err) != fault.LogDamaged || !strings.Contains(err.Error(), "event 17 ") {
		t.Errorf("its bundle: %v", err)
	}
	if l.Damage() == nil {
		t.Error("nobody is told")
	}
	e, err := w.store.Entry(t.Context(), 17)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Prove(t.Context(), signed.Checkpoint, e); fault.ReasonOf(err) != fault.LogDamaged {
		t.Errorf("its proof: %v", err)
	}
	if _, err := l.Bundle(t.Context(), audit.Tile{Index: 1, Width: 256, Entries: true}); err != nil {
		t.Errorf("the next bundle: %v", err)
	}
}

// TestDamageIsToldOnceAndSignsNothingMore: in the log of the CA, and as an event.
func TestDamageIsToldOnceAndSignsNothingMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.log()
	var lines lockedBuffer
	l.Log = slog.New(slog.NewTextHandler(&lines, nil))
	w.append(10)
	w.step(l)
	w.append(1)
	w.owner(`UPDATE events SET leaf = replace(leaf, 'ann', 'eve') WHERE idx = 10`)
	w.run(l)
	rig.Eventually(t, 10*time.Second, "the damage is logged as an event", func() bool {
		entries, err := w.store.EventsFrom(t.Context(), 11, 1)
		return err == nil && len(entries) == 1 && strings.Contains(string(entries[0].Leaf), `"log_damaged"`)
	})
	w.append(5)
	rig.Eventually(t, 10*time.Second, "it follows the log on", func() bool { return l.tree.size() >= 17 })
	if n := strings.Count(lines.String(), "DAMAGED"); n == 0 || n > 3 {
		t.Errorf("it is said %d times:\n%s", n, &lines)
	}
	if signed, _ := l.current(); signed.Size != 10 || w.key.n != 1 {
		t.Errorf("signed %d, %d signatures", signed.Size, w.key.n)
	}
}
