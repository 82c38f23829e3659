package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/storage"
)

// Every Store is held to the contract in the package's comment.

func TestContract(t *testing.T) {
	objects := rig.ObjectStore(t)
	objects.Bucket("plain", false)
	objects.Bucket("locked", true)
	for _, s := range []struct{ name, url string }{
		{"a directory", "file://" + filepath.Join(t.TempDir(), "recordings")},
		{"a bucket", objects.URL("plain")},
		{"a bucket with object lock", objects.URL("locked")},
	} {
		t.Run(s.name, func(t *testing.T) {
			for name, test := range contract {
				t.Run(name, func(t *testing.T) {
					c := &clock{now: time.Now()}
					store, err := storage.Open(s.url, c.Now)
					if err != nil {
						t.Fatal(err)
					}
					test(t, store, c)
				})
			}
		})
	}
}

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

var contract = map[string]func(*testing.T, storage.Store, *clock){
	"what was put is read": func(t *testing.T, s storage.Store, _ *clock) {
		x, all := id.NewSession(), noise(3*storage.MaxPiece/2)
		put(t, s, x, 0, all[:storage.MaxPiece])
		put(t, s, x, storage.MaxPiece, all[storage.MaxPiece:])
		holds(t, s, x, all)
	},
	"many small pieces are read as one": func(t *testing.T, s storage.Store, _ *clock) {
		x, all := id.NewSession(), noise(40_000)
		for at := 0; at < len(all); at += 1000 {
			put(t, s, x, int64(at), all[at:at+1000])
		}
		holds(t, s, x, all)
	},
	"reads at any place give what is there": func(t *testing.T, s storage.Store, _ *clock) {
		x, all := id.NewSession(), noise(2_000_000)
		put(t, s, x, 0, all[:1_500_000])
		put(t, s, x, 1_500_000, all[1_500_000:])
		r := open(t, s, x)
		for range 50 {
			at, n := rand.IntN(len(all)), 1+rand.IntN(300_000)
			b := make([]byte, n)
			got, err := r.ReadAt(b, int64(at))
			want := all[at:min(at+n, len(all))]
			if !bytes.Equal(b[:got], want) || (err != nil) != (len(want) < n) || err != nil && !errors.Is(err, io.EOF) {
				t.Fatalf("%d bytes at %d: got %d, %v", n, at, got, err)
			}
		}
		if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
			t.Error("a read before the beginning is allowed")
		}
	},
	"a reader sees the recording as it was when it was opened": func(t *testing.T, s storage.Store, _ *clock) {
		x := id.NewSession()
		put(t, s, x, 0, []byte("one"))
		r := open(t, s, x)
		put(t, s, x, 3, []byte("two"))
		if b, err := io.ReadAll(io.NewSectionReader(r, 0, 100)); err != nil || string(b) != "one" {
			t.Errorf("read %q, %v", b, err)
		}
	},
	"the same piece again changes nothing": func(t *testing.T, s storage.Store, _ *clock) {
		x := id.NewSession()
		put(t, s, x, 0, []byte("one"))
		put(t, s, x, 0, []byte("one"))
		put(t, s, x, 3, []byte("two"))
		put(t, s, x, 0, []byte("one"))
		put(t, s, x, 3, []byte("two"))
		holds(t, s, x, []byte("onetwo"))
	},
	"another piece at its place is refused": func(t *testing.T, s storage.Store, _ *clock) {
		x := id.NewSession()
		put(t, s, x, 0, []byte("one"))
		put(t, s, x, 3, []byte("two"))
		refused(t, fault.RecordingDamaged, s.Put(ctx(t), x, 0, []byte("eno")))
		refused(t, fault.RecordingDamaged, s.Put(ctx(t), x, 3, []byte("owt")))
		holds(t, s, x, []byte("onetwo"))
	},
	"a gap is refused": func(t *testing.T, s storage.Store, _ *clock) {
		x := id.NewSession()
		refused(t, fault.BadRequest, s.Put(ctx(t), x, 3, []byte("two")))
		put(t, s, x, 0, []byte("one"))
		refused(t, fault.BadRequest, s.Put(ctx(t), x, 4, []byte("two")))
		holds(t, s, x, []byte("one"))
	},
	"what is no piece is refused": func(t *testing.T, s storage.Store, _ *clock) {
		refused(t, fault.BadRequest, s.Put(ctx(t), id.NewSession(), 0, nil))
		refused(t, fault.BadRequest, s.Put(ctx(t), id.NewSession(), -1, []byte("one")))
		refused(t, fault.BadRequest, s.Put(ctx(t), id.NewSession(), 0, make([]byte, storage.MaxPiece+1)))
	},
	"what is no session is refused by every call": func(t *testing.T, s storage.Store, _ *clock) {
		for _, x := range []id.Session{"", "..", "../../etc/passwd", "keep", "a/b"} {
			refused(t, fault.BadRequest, s.Put(ctx(t), x, 0, []byte("one")))
			_, err := s.Open(ctx(t), x)
			refused(t, fault.BadRequest, err)
			_, err = s.Size(ctx(t), x)
			refused(t, fault.BadRequest, err)
			refused(t, fault.BadRequest, s.Retain(ctx(t), x, time.Now()))
			refused(t, fault.BadRequest, s.Hold(ctx(t), x, true))
			refused(t, fault.BadRequest, s.Delete(ctx(t), x))
		}
	},
	"a session that nobody put is not found": func(t *testing.T, s storage.Store, _ *clock) {
		x := id.NewSession()
		_, err := s.Open(ctx(t), x)
		refused(t, fault.NotFound, err)
		if n, err := s.Size(ctx(t), x); n != 0 || err != nil {
			t.Errorf("its size is %d, %v", n, err)
		}
		refused(t, fault.NotFound, s.Retain(ctx(t), x, time.Now().Add(time.Hour)))
		refused(t, fault.NotFound, s.Hold(ctx(t), x, true))
		if err := s.Delete(ctx(t), x); err != nil {
			t.Errorf("delete what is not there: %v", err)
		}
	},
	"what is deleted is gone and may come again": func(t *testing.T, s storage.Store, _ *clock) {
		x := id.NewSession()
		put(t, s, x, 0, []byte("one"))
		put(t, s, x, 3, []byte("two"))
		if err := s.Delete(ctx(t), x); err != nil {
			t.Fatal(err)
		}
		_, err := s.Open(ctx(t), x)
		refused(t, fault.NotFound, err)
		if slices.Contains(list(t, s), x) {
			t.Error("it is listed")
		}
		put(t, s, x, 0, []byte("new"))
		holds(t, s, x, []byte("new"))
	},
	"what is held is not deleted until it is let go": func(t *testing.T, s storage.Store, _ *clock) {
		x := id.NewSession()
		put(t, s, x, 0, []byte("one"))
		put(t, s, x, 3, []byte("two"))
		for range 2 {
			if err := s.Hold(ctx(t), x, true); err != nil {
				t.Fatal(err)
			}
		}
		refused(t, fault.RecordingHeld, s.Delete(ctx(t), x))
		holds(t, s, x, []byte("onetwo"))
		if err := s.Hold(ctx(t), x, false); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(ctx(t), x); err != nil {
			t.Fatal(err)
		}
	},
	"what is retained is not deleted before its time": func(t *testing.T, s storage.Store, c *clock) {
		x := id.NewSession()
		put(t, s, x, 0, []byte("one"))
		// Object lock goes by the service's clock: it is short here, so that the
		// test can wait for it.
		until := time.Now().Add(3 * time.Second)
		if err := s.Retain(ctx(t), x, until); err != nil {
			t.Fatal(err)
		}
		refused(t, fault.RecordingHeld, s.Delete(ctx(t), x))
		if err := s.Retain(ctx(t), x, time.Now()); err != nil { // does not shorten
			t.Fatal(err)
		}
		refused(t, fault.RecordingHeld, s.Delete(ctx(t), x))
		holds(t, s, x, []byte("one"))
		c.now = until.Add(time.Second)
		rig.Eventually(t, 20*time.Second, "its time is over", func() bool { return s.Delete(ctx(t), x) == nil })
	},
	"all sessions are listed, and nothing else": func(t *testing.T, s storage.Store, _ *clock) {
		var want []id.Session
		for range 30 {
			x := id.NewSession()
			put(t, s, x, 0, []byte("one"))
			want = append(want, x)
		}
		if err := s.Hold(ctx(t), want[0], true); err != nil {
			t.Fatal(err)
		}
		got := list(t, s)
		for _, x := range want {
			if !slices.Contains(got, x) {
				t.Errorf("%s is not listed", x)
			}
		}
		stop := errors.New("enough")
		if err := s.List(ctx(t), func(id.Session) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("List gives %v", err)
		}
		if err := s.Hold(ctx(t), want[0], false); err != nil {
			t.Fatal(err)
		}
	},
	"a store that works says so": func(t *testing.T, s storage.Store, _ *clock) {
		if err := s.Check(ctx(t)); err != nil {
			t.Fatal(err)
		}
		before := len(list(t, s))
		if err := s.Check(ctx(t)); err != nil || len(list(t, s)) != before {
			t.Errorf("Check: %v; it leaves something", err)
		}
	},
}

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return c
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func put(t *testing.T, s storage.Store, x id.Session, at int64, piece []byte) {
	t.Helper()
	if err := s.Put(ctx(t), x, at, piece); err != nil {
		t.Fatalf("put %d bytes at %d: %v", len(piece), at, err)
	}
}

func open(t *testing.T, s storage.Store, x id.Session) storage.Reader {
	t.Helper()
	r, err := s.Open(ctx(t), x)
	if err != nil {
		t.Fatalf("open %s: %v", x, err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func holds(t *testing.T, s storage.Store, x id.Session, want []byte) {
	t.Helper()
	if n, err := s.Size(ctx(t), x); err != nil || n != int64(len(want)) {
		t.Fatalf("size of %s is %d, %v; want %d", x, n, err, len(want))
	}
	r := open(t, s, x)
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes, %v; want %d, or others", x, len(got), err, len(want))
	}
}

func refused(t *testing.T, want fault.Reason, err error) {
	t.Helper()
	if fault.ReasonOf(err) != want {
		t.Errorf("got %q (%v), want %q", fault.ReasonOf(err), err, want)
	}
}

func list(t *testing.T, s storage.Store) []id.Session {
	t.Helper()
	var all []id.Session
	if err := s.List(ctx(t), func(x id.Session) error { all = append(all, x); return nil }); err != nil {
		t.Fatalf("list: %v", err)
	}
	return all
}
