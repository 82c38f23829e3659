package keep_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/keep"
	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/storage"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

var ada = store.Actor{Name: "ada@example.com"}

// house is a CA with recordings, whose clock the test moves.
type house struct {
	*testca.CA
	t       *testing.T
	now     time.Time
	storage storage.Store
	log     *rig.Log
	keep    *keep.Keep
}

// begun is a Tuesday morning.
var begun = time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)

func newHouse(t *testing.T, where func(now func() time.Time) storage.Store) *house {
	t.Helper()
	h := &house{t: t, now: begun, log: &rig.Log{}}
	h.CA = testca.NewAt(t, func() time.Time { return h.now })
	h.storage = where(func() time.Time { return h.now })
	h.keep = h.another()
	return h
}

// another is a further CA's keep on the same database and storage.
func (h *house) another(change ...func(*keep.Config)) *keep.Keep {
	h.t.Helper()
	return h.Keep("", append([]func(*keep.Config){func(c *keep.Config) {
		c.Storage, c.Now, c.Holder = h.storage, func() time.Time { return h.now }, string(id.NewSession())
		c.Log = slog.New(slog.NewTextHandler(h.log, nil))
	}}, change...)...)
}

func local(dir string) func(func() time.Time) storage.Store {
	return func(now func() time.Time) storage.Store { return storage.NewLocal(dir, now) }
}

// sealed is a session that ended now, whose recording is to be kept for days and
// is in the storage.
func (h *house) sealed(days int) id.Session {
	h.t.Helper()
	x := h.ended(days)
	if err := h.storage.Put(h.t.Context(), x, 0, []byte("recording of "+x)); err != nil {
		h.t.Fatal(err)
	}
	return x
}

// ended is such a session whose recording is not in the storage yet.
func (h *house) ended(days int) id.Session {
	h.t.Helper()
	x := id.NewSession()
	now := h.now.Unix()
	o := store.Opening{
		Session: wire.Session{
			ID: x, Identity: "you@example.com", Login: "root", Node: "web-1", NodeID: "n-1", Proxy: "p1",
			Client: "192.0.2.1:5000", Way: wire.WayJump, Role: "r", Revision: 1, LoginSerial: 1, Started: now,
		},
		Intent: store.Intent{Profile: store.ProfileSession, Subject: "you@example.com", KeyPrint: "SHA256:x", ValidAfter: now, ValidBefore: now + 60},
	}
	if days > 0 {
		o.Recording.Retain = now + int64(days)*86400
	}
	if _, err := h.Store.OpenSession(h.t.Context(), o); err != nil {
		h.t.Fatal(err)
	}
	header, digest := sha256.Sum256([]byte(x)), sha256.Sum256([]byte(x+" end"))
	err := h.Store.EndSession(h.t.Context(), x, wire.EndRequest{End: "closed"}, &store.Sealed{
		Header: header[:], Digest: digest[:], Seal: []byte("seal"), Frames: 7, Bytes: int64(len("recording of " + x)), At: now,
	}, now)
	if err != nil {
		h.t.Fatal(err)
	}
	return x
}

// turns works as the worker does, a turn each six hours, until the clock has moved by d.
func (h *house) turns(d time.Duration) {
	h.t.Helper()
	for end := h.now.Add(d); h.now.Before(end); {
		h.now = h.now.Add(min(6*time.Hour, end.Sub(h.now)))
		if err := h.keep.Turn(h.t.Context()); err != nil {
			h.t.Fatalf("at %v: %v", h.now, err)
		}
	}
}

func (h *house) is(x id.Session, state string) {
	h.t.Helper()
	s, err := h.Store.Session(h.t.Context(), x)
	if err != nil || s.Recording.State != state {
		h.t.Errorf("at %v the recording is %q, %v; want %q", h.now, s.Recording.State, err, state)
	}
	size, err := h.storage.Size(h.t.Context(), x)
	if err != nil || (size > 0) != (state != "deleted") {
		h.t.Errorf("at %v the storage has %d bytes, %v, of a recording that is %s", h.now, size, err, state)
	}
}

// deletions are the events that say so.
func (h *house) deletions() []audit.Event {
	h.t.Helper()
	entries, _, err := h.Store.Events(h.t.Context(), wire.AuditFilter{Kind: []string{string(audit.RecordingDeleted)}, Oldest: true, Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	var list []audit.Event
	for _, entry := range entries {
		e, err := entry.Event()
		if err != nil {
			h.t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

const day = 24 * time.Hour

func TestWhatIsOverIsDeletedAndItsDigestStays(t *testing.T) {
	h := newHouse(t, local(t.TempDir()))
	short, long, forever := h.sealed(10), h.sealed(20), h.sealed(0)
	h.turns(10*day - time.Hour)
	h.is(short, "sealed")
	h.turns(2 * time.Hour)
	h.is(short, "deleted")
	h.is(long, "sealed")
	h.turns(400 * day)
	h.is(long, "deleted")
	h.is(forever, "sealed")
	list := h.deletions()
	want := sha256.Sum256([]byte(short + " end"))
	if len(list) != 2 || list[0].Session != short || !bytes.Equal(list[0].Recording.Digest, want[:]) || list[0].Actor != "ca" {
		t.Errorf("the log says %+v", list)
	}
	s, err := h.Store.Session(t.Context(), short)
	if err != nil {
		t.Fatal(err)
	}
	if gone := keep.Gone(s); gone.Reason != fault.RecordingDeleted || !strings.Contains(gone.Text, "2026-03-13") {
		t.Errorf("who asks for it reads %v", gone)
	}
}

func TestAHoldWins(t *testing.T) {
	h := newHouse(t, local(t.TempDir()))
	x := h.sealed(10)
	h.turns(5 * day)
	if err := h.Store.Hold(t.Context(), ada, x, "case 7"); err != nil {
		t.Fatal(err)
	}
	h.turns(300 * day)
	h.is(x, "sealed")
	// The storage minds it, too: somebody deletes past the database.
	if err := h.storage.Delete(t.Context(), x); fault.ReasonOf(err) != fault.RecordingHeld {
		t.Errorf("the storage says %v", err)
	}
	if err := h.Store.Release(t.Context(), ada, x); err != nil {
		t.Fatal(err)
	}
	h.turns(3 * day)
	h.is(x, "deleted")
}

// between is a storage in which something happens just before a deletion.
type between struct {
	storage.Store
	before func(id.Session) error
}

func (b between) Delete(ctx context.Context, x id.Session) error {
	if err := b.before(x); err != nil {
		return err
	}
	return b.Store.Delete(ctx, x)
}

func TestAHoldThatComesTooLateIsRefused(t *testing.T) {
	h := newHouse(t, local(t.TempDir()))
	var got error
	h.storage = between{h.storage, func(x id.Session) error { got = h.Store.Hold(t.Context(), ada, x, "case 7"); return nil }}
	h.keep = h.another()
	x := h.sealed(10)
	h.turns(12 * day)
	h.is(x, "deleted")
	if fault.ReasonOf(got) != fault.RecordingDeleted {
		t.Errorf("the hold: %v", got)
	}
}

// Whatever step fails, also one that has happened all the same: in the end the
// recording, the row and the log say one thing, once.
func TestACrashInADeletionIsRepaired(t *testing.T) {
	for name, fails := range map[string]func(h *house) storage.Store{
		"before the storage was asked": func(h *house) storage.Store {
			return between{h.storage, func(id.Session) error { return context.Canceled }}
		},
		"when the storage had deleted": func(h *house) storage.Store {
			real := h.storage
			return between{real, func(x id.Session) error {
				if err := real.Delete(h.t.Context(), x); err != nil {
					h.t.Error(err)
				}
				return context.Canceled
			}}
		},
		"while the storage is away": func(h *house) storage.Store {
			return between{h.storage, func(id.Session) error { return fault.New(fault.Unavailable, fault.RecordingAway, "away") }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, local(t.TempDir()))
			x := h.sealed(10)
			h.turns(10*day - time.Hour)
			real := h.storage
			h.storage = fails(h)
			broken := h.another()
			h.now = h.now.Add(3 * time.Hour)
			if err := broken.Turn(t.Context()); err == nil {
				t.Fatal("the turn worked")
			}
			if n := len(h.deletions()); n != 0 {
				t.Errorf("the log tells of %d deletions", n)
			}
			if err := h.Store.Hold(t.Context(), ada, x, "case 7"); fault.ReasonOf(err) != fault.RecordingDeleted {
				t.Errorf("it can be held: %v", err)
			}
			h.storage = real
			h.keep = h.another() // the next CA
			h.turns(3 * time.Hour)
			h.is(x, "deleted")
			h.turns(3 * time.Hour)
			if n := len(h.deletions()); n != 1 {
				t.Errorf("the log tells of %d deletions", n)
			}
		})
	}
}

func TestWhatTheStorageKeepsIsNotDeleted(t *testing.T) {
	h := newHouse(t, local(t.TempDir()))
	x := h.sealed(10)
	if err := h.storage.Retain(t.Context(), x, h.now.Add(30*day)); err != nil { // an operator who wants more
		t.Fatal(err)
	}
	h.turns(29 * day)
	h.is(x, "sealed")
	h.turns(3 * day)
	h.is(x, "deleted")
	if n := len(h.deletions()); n != 1 {
		t.Errorf("the log tells of %d deletions", n)
	}
}

func TestAClockThatJumpsDeletesNothing(t *testing.T) {
	h := newHouse(t, local(t.TempDir()))
	x := h.sealed(10)
	h.turns(2 * day)
	for range 20 {
		h.now = h.now.Add(10 * 365 * day) // forward, for an hour
		for range 4 {
			if err := h.keep.Turn(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.now = h.now.Add(15 * time.Minute)
		}
		h.is(x, "sealed")
		h.now = h.now.Add(-10 * 365 * day) // and back
		if err := h.keep.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(h.log.String(), "is the time right?") {
		t.Error("nobody is told")
	}
	// It is not forgotten either.
	h.turns(12 * day)
	h.is(x, "deleted")
}

func TestNotEverythingIsDeletedAtOnce(t *testing.T) {
	h := newHouse(t, local(t.TempDir()))
	for range 230 {
		h.sealed(10)
	}
	h.turns(11 * day)
	if n := len(h.deletions()); n != 230 {
		t.Errorf("%d are deleted after a day", n)
	}
	h2 := newHouse(t, local(t.TempDir()))
	for range 230 {
		h2.sealed(10)
	}
	h2.turns(9 * day)
	h2.now = h2.now.Add(30 * time.Hour)
	if err := h2.keep.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(h2.deletions()); n != 100 {
		t.Errorf("%d are deleted in a turn", n)
	}
}

func TestOneCAWorksAtATime(t *testing.T) {
	h := newHouse(t, local(t.TempDir()))
	for range 20 {
		h.sealed(10)
	}
	h.turns(10*day - time.Hour)
	var all sync.WaitGroup
	h.now = h.now.Add(2 * time.Hour)
	for range 5 {
		k := h.another()
		all.Go(func() {
			if err := k.Turn(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(h.deletions()); n != 20 {
		t.Errorf("the log tells of %d deletions", n)
	}
}

func TestARecordingThatComesLateIsKept(t *testing.T) {
	objects := rig.ObjectStore(t)
	objects.Bucket("locked", true)
	h := newHouse(t, func(now func() time.Time) storage.Store {
		s, err := storage.Open(objects.URL("locked"), now)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
	h.now = time.Now() // object lock goes by the service's clock
	x := h.ended(10)
	if err := h.keep.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.storage.Put(t.Context(), x, 0, []byte("recording of "+x)); err != nil {
		t.Fatal(err)
	}
	if err := h.keep.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.storage.Delete(t.Context(), x); fault.ReasonOf(err) != fault.RecordingHeld {
		t.Errorf("the storage was not told to keep it: %v", err)
	}
	objects.Kill()
	h.ended(10)
	if err := h.keep.Turn(t.Context()); fault.ReasonOf(err) != fault.RecordingAway {
		t.Errorf("the storage is away, and the turn says %v", err)
	}
}

func TestASealedRecordingThatNeverComesIsSaid(t *testing.T) {
	h := newHouse(t, local(filepath.Join(t.TempDir(), "none")))
	x := h.ended(60)
	h.turns(30 * time.Hour)
	if !strings.Contains(h.log.String(), "sealed recordings are not in the storage") || !strings.Contains(h.log.String(), string(x)) {
		t.Errorf("the log says\n%s", h.log)
	}
}
