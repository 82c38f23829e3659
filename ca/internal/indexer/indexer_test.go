package indexer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// golden is the recording of a bundle in internal/bundle/testdata.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(rig.Root(), "internal", "bundle", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if path.Base(h.Name) != "recording.rec" {
			continue
		}
		file, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
}

// house is a store with sealed sessions, and an indexer of them.
type house struct {
	*testing.T
	store *store.Store
	open  func(id.Session) (*recording.Recording, error)
}

func newHouse(t *testing.T, file []byte) *house {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "ca.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h := &house{T: t, store: s}
	h.open = func(id.Session) (*recording.Recording, error) {
		return recording.OpenAt(bytes.NewReader(file), int64(len(file)), nil)
	}
	return h
}

func (h *house) seal(session id.Session) {
	h.Helper()
	_, err := h.store.OpenSession(h.Context(), store.Opening{
		Session: wire.Session{ID: session, Identity: "you@example.com", Login: "deploy", Node: "web-1", NodeID: "n-0123456789ab", Proxy: "p-1", Client: "10.0.4.7:1", Way: wire.WayConnect, Role: "web", Revision: 1, LoginSerial: 1, Started: 100},
		Roles:   []string{"web"}, Intent: store.Intent{Profile: store.ProfileSession, Subject: "you@example.com", KeyPrint: "SHA256:x"},
	})
	if err == nil {
		err = h.store.EndSession(h.Context(), session, wire.EndRequest{End: "closed"}, &store.Sealed{
			Header: make([]byte, 32), Digest: make([]byte, 32), Seal: []byte("seal"), SealedBy: "SHA256:key", Frames: 7, Bytes: 700, At: 160,
		}, 150)
	}
	if err != nil {
		h.Fatal(err)
	}
}

// run indexes until is says so, and then stops.
func (h *house) run(is func() bool) {
	h.Helper()
	x := New(Config{
		Store: h.store, Open: func(_ context.Context, s id.Session) (*recording.Recording, error) { return h.open(s) },
		Holder: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ctx, stop := context.WithCancel(h.Context())
	done := make(chan struct{})
	go func() { defer close(done); x.Run(ctx) }()
	defer func() { stop(); <-done }()
	rig.Eventually(h, 20*time.Second, "the index is as it should be", is)
}

// gaps are what a search cannot see.
func (h *house) gaps() (locked, pending int64) {
	h.Helper()
	locked, pending, err := h.store.SearchGaps(h.Context(), store.ChunkSearch{})
	if err != nil {
		h.Fatal(err)
	}
	return locked, pending
}

// finds counts the chunks that have a word.
func (h *house) finds(word string) int {
	h.Helper()
	hits, err := h.store.SearchChunks(h.Context(), store.ChunkSearch{Words: []string{word}, Limit: 100})
	if err != nil {
		h.Fatal(err)
	}
	return len(hits)
}

func (h *house) settled() bool { _, pending := h.gaps(); return pending == 0 }

func TestASealedRecordingIsFound(t *testing.T) {
	h := newHouse(t, golden(t, "clear.bundle"))
	h.seal("7kq2-m9x4d")
	h.run(h.settled)
	if h.finds("deploy") == 0 {
		t.Error("its login is not found")
	}
	h.seal("7kq2-m9x4f") // by another start
	h.run(h.settled)
	if h.finds("deploy") < 2 {
		t.Error("the later one is not found")
	}
}

func TestALockedRecordingIsCountedAndKnownByWhose(t *testing.T) {
	h := newHouse(t, golden(t, "encrypted.bundle"))
	h.seal("7kq2-m9x4d")
	h.run(h.settled)
	if locked, _ := h.gaps(); locked != 1 || h.finds("deploy") != 1 {
		t.Errorf("%d are locked, %d found", locked, h.finds("deploy"))
	}
	// A CA that was given the key.
	key, err := recording.LoadIdentities(filepath.Join(rig.Root(), "internal", "bundle", "testdata", "auditor.key"))
	if err != nil {
		t.Fatal(err)
	}
	file := golden(t, "encrypted.bundle")
	h.open = func(id.Session) (*recording.Recording, error) {
		return recording.OpenAt(bytes.NewReader(file), int64(len(file)), key)
	}
	h.run(func() bool { locked, _ := h.gaps(); return locked == 0 })
}

func TestADamagedRecordingIsMarkedAndHoldsNobodyUp(t *testing.T) {
	h := newHouse(t, golden(t, "clear.bundle"))
	good, bad := h.open, golden(t, "clear.bundle")
	for i := len(bad) / 3; i < len(bad)/2; i++ {
		bad[i] ^= 0x55
	}
	h.open = func(s id.Session) (*recording.Recording, error) {
		if s == "7kq2-m9x4d" {
			return recording.OpenAt(bytes.NewReader(bad), int64(len(bad)), nil)
		}
		return good(s)
	}
	h.seal("7kq2-m9x4d")
	h.seal("7kq2-m9x4f")
	h.run(h.settled)
}

func TestAStorageThatIsAwayLosesNothing(t *testing.T) {
	h := newHouse(t, golden(t, "clear.bundle"))
	h.seal("7kq2-m9x4d")
	h.seal("7kq2-m9x4f")
	good := h.open
	var tries atomic.Int64
	h.open = func(s id.Session) (*recording.Recording, error) {
		if s == "7kq2-m9x4f" {
			return good(s)
		}
		tries.Add(1)
		return nil, fault.New(fault.Unavailable, fault.RecordingAway, "the storage does not answer").Because(errors.New("test"))
	}
	h.run(func() bool { _, pending := h.gaps(); return tries.Load() > 0 && pending == 1 }) // the other is not held up
	h.open = good
	h.run(h.settled)
}
