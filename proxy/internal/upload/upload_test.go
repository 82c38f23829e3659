package upload_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/storage"
	"github.com/sallyport-ssh/sallyport/proxy/internal/upload"
)

const limit = 20 * time.Second

// proxy is a directory of recordings that grow, and the Uploader that follows.
type proxy struct {
	t     *testing.T
	dir   string
	store storage.Store
	up    *upload.Uploader
	stop  func()
	log   *rig.Log
}

func start(t *testing.T, dir string, store storage.Store, change func(*upload.Config)) *proxy {
	t.Helper()
	p := &proxy{t: t, dir: dir, store: store, log: &rig.Log{}}
	c := upload.Config{
		Store: store, Dir: dir, Linger: time.Hour, Log: slog.New(slog.NewTextHandler(p.log, nil)),
		Remove: func(x id.Session) error { return os.Remove(p.path(x)) },
	}
	if change != nil {
		change(&c)
	}
	p.up = upload.New(c)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.up.Run(ctx) })
	p.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(p.stop)
	return p
}

func (p *proxy) path(x id.Session) string { return filepath.Join(p.dir, string(x)+".rec") }

// grow appends to a recording and says so.
func (p *proxy) grow(x id.Session, more []byte, sealed bool) {
	p.t.Helper()
	f, err := os.OpenFile(p.path(x), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.Write(more)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		p.t.Fatal(err)
	}
	info, err := os.Stat(p.path(x))
	if err != nil {
		p.t.Fatal(err)
	}
	p.up.Grown(x, info.Size(), sealed)
}

func (p *proxy) here(x id.Session) bool { _, err := os.Stat(p.path(x)); return err == nil }

// stored is what the storage has.
func stored(t *testing.T, s storage.Store, x id.Session) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), x)
	if fault.ReasonOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func local(t *testing.T) storage.Store { return storage.NewLocal(t.TempDir(), time.Now) }

func TestPiecesGoUpWhileTheSessionRuns(t *testing.T) {
	p := start(t, t.TempDir(), local(t), nil)
	x, all := id.NewSession(), noise(2*storage.MaxPiece+100)
	p.grow(x, all[:1000], false)
	p.grow(x, all[1000:storage.MaxPiece+7], false)
	rig.Eventually(t, limit, "what was there is in the storage", func() bool {
		return bytes.Equal(stored(t, p.store, x), all[:storage.MaxPiece+7])
	})
	p.grow(x, all[storage.MaxPiece+7:], true)
	rig.Eventually(t, limit, "it left", func() bool { return !p.here(x) })
	if !bytes.Equal(stored(t, p.store, x), all) {
		t.Error("the storage has something else")
	}
	if n := p.up.Waiting(); n != 0 {
		t.Errorf("%d bytes wait", n)
	}
}

func TestLessThanAPieceWaitsNoLongerThanLinger(t *testing.T) {
	p := start(t, t.TempDir(), local(t), func(c *upload.Config) { c.Linger = 200 * time.Millisecond })
	x := id.NewSession()
	p.grow(x, []byte("one"), false)
	rig.Eventually(t, limit, "it is in the storage", func() bool { return string(stored(t, p.store, x)) == "one" })
	p.grow(x, []byte("two"), false)
	rig.Eventually(t, limit, "it is in the storage", func() bool { return string(stored(t, p.store, x)) == "onetwo" })
	if !p.here(x) {
		t.Error("a recording left that is not sealed")
	}
}

func TestNewsMayOvertakeEachOther(t *testing.T) {
	p := start(t, t.TempDir(), local(t), nil)
	x := id.NewSession()
	if err := os.WriteFile(p.path(x), []byte("onetwo"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.up.Grown(x, 6, true)
	p.up.Grown(x, 3, false)
	rig.Eventually(t, limit, "it left", func() bool { return !p.here(x) })
	if got := stored(t, p.store, x); string(got) != "onetwo" {
		t.Errorf("the storage has %q", got)
	}
}

func TestWhatIsKeptStaysForItsTime(t *testing.T) {
	p := start(t, t.TempDir(), local(t), func(c *upload.Config) { c.Keep = 2 * time.Second })
	x := id.NewSession()
	p.grow(x, []byte("one"), true)
	rig.Eventually(t, limit, "it is in the storage", func() bool { return len(stored(t, p.store, x)) == 3 && p.up.Waiting() == 0 })
	if !p.here(x) {
		t.Error("it left at once")
	}
	rig.Eventually(t, limit, "it left", func() bool { return !p.here(x) })
}

func TestAnotherProcessGoesOnWhereTheFirstWas(t *testing.T) {
	dir, store := t.TempDir(), local(t)
	first := start(t, dir, store, func(c *upload.Config) { c.Linger = 0 })
	x := id.NewSession()
	first.grow(x, []byte("one"), false)
	rig.Eventually(t, limit, "one is in the storage", func() bool { return len(stored(t, store, x)) == 3 })
	first.stop()
	second := start(t, dir, store, nil)
	second.grow(x, []byte("two"), true)
	rig.Eventually(t, limit, "it left", func() bool { return !second.here(x) })
	if got := stored(t, store, x); string(got) != "onetwo" {
		t.Errorf("the storage has %q", got)
	}
}

func TestWhatCannotBeRemovedYetIsAskedAgain(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	p := start(t, t.TempDir(), local(t), func(c *upload.Config) {
		remove := c.Remove
		c.Remove = func(x id.Session) error {
			mu.Lock()
			defer mu.Unlock()
			if asked++; asked < 2 {
				return errors.New("the CA was not told of it yet")
			}
			return remove(x)
		}
	})
	x := id.NewSession()
	p.grow(x, []byte("one"), true)
	rig.Eventually(t, limit, "it left", func() bool { return !p.here(x) })
}

// Nothing that differs from what the storage shows is ever removed.
func TestNothingIsRemovedThatTheStorageDoesNotHave(t *testing.T) {
	x := id.NewSession()
	for name, there := range map[string]string{
		"other bytes":     "eno",
		"more bytes":      "onetwosix",
		"an other prefix": "e",
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, t.TempDir(), local(t), nil)
			if err := p.store.Put(t.Context(), x, 0, []byte(there)); err != nil {
				t.Fatal(err)
			}
			p.grow(x, []byte("onetwo"), true)
			rig.Eventually(t, limit, "it is said", func() bool { return bytes.Contains([]byte(p.log.String()), []byte("it stays here")) })
			p.stop()
			if !p.here(x) {
				t.Fatal("it left")
			}
			if b, _ := os.ReadFile(p.path(x)); string(b) != "onetwo" {
				t.Errorf("here is %q", b)
			}
		})
	}
}

func TestNewSessionsAreRefusedBeforeRunningOnesSuffer(t *testing.T) {
	objects := rig.ObjectStore(t)
	objects.Bucket("bucket", false)
	line := rig.NewLine(t, objects.Addr)
	store, err := storage.Open(objects.URLAt(line.Addr, "bucket"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	line.Set(rig.Fault{Refuse: true})
	p := start(t, t.TempDir(), store, func(c *upload.Config) { c.Most = 1000 })
	if err := p.up.Backlog(); err != nil {
		t.Fatalf("nothing waits: %v", err)
	}
	x := id.NewSession()
	all := noise(5000)
	p.grow(x, all[:900], false)
	if err := p.up.Backlog(); err != nil {
		t.Fatalf("there is room: %v", err)
	}
	p.grow(x, all[900:], true) // a session that runs is not stopped
	if got := fault.ReasonOf(p.up.Backlog()); got != fault.RecordingsFull {
		t.Errorf("got %q", got)
	}
	rig.Eventually(t, limit, "it is said", func() bool {
		return bytes.Contains([]byte(p.log.String()), []byte("recordings wait for their storage"))
	})
	line.Set(rig.Fault{})
	rig.Eventually(t, limit, "it left", func() bool { return !p.here(x) })
	if err := p.up.Backlog(); err != nil {
		t.Errorf("nothing waits any more: %v", err)
	}
	if !bytes.Equal(stored(t, store, x), all) {
		t.Error("the storage has something else")
	}
}

func TestTheZeroUploaderRefusesSessions(t *testing.T) {
	if got := fault.ReasonOf(new(upload.Uploader).Backlog()); got != fault.RecordingsFull {
		t.Errorf("got %q", got)
	}
}
