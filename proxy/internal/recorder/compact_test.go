package recorder

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

func exists(t testing.TB, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err == nil
}

func tailSize(r *Recorder) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.size
}

func TestATailThatIsLargeEnoughIsCompressedWhileTheSessionGoesOn(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := openDir(t, dir)
		r := open(t, d)
		n := uint64(0)
		for tailSize(r) < tailFull && n < 1000 {
			n++
			if err := r.Append(recording.KindOutput, 1, payload(n)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if err := r.Append(recording.KindOutput, 1, payload(n+1)); err != nil {
			t.Fatal(err)
		}
		if !exists(t, r.path(recording.SuffixRec)) || exists(t, r.path(recording.SuffixFull)) || tailSize(r) > 100_000 {
			t.Errorf("the tail of %d bytes was not compressed", tailSize(r))
		}
		if got := frames(t, dir); uint64(len(got)) != n+2 {
			t.Errorf("%d frames, want %d", len(got), n+2)
		}
		d.Close()
	})
}

func TestATailIsCompressedWhenTheSessionRests(t *testing.T) {
	for _, test := range []struct {
		name       string
		bytes      int
		rest       time.Duration
		compressed bool
	}{
		{"large and at rest", tailRest, restAfter + restEvery, true},
		{"large and not long enough at rest", tailRest, restAfter - restEvery, false},
		{"small", tailRest / 2, time.Hour, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				d := openDir(t, dir)
				r := open(t, d)
				if err := r.Append(recording.KindOutput, 1, make([]byte, test.bytes)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(test.rest)
				synctest.Wait()
				if got := exists(t, r.path(recording.SuffixRec)); got != test.compressed {
					t.Errorf("compressed: %v", got)
				}
				d.Close()
			})
		})
	}
}

// TestATailThatCannotBeCompressedStaysATail: the session goes on, and it is tried
// again.
func TestATailThatCannotBeCompressedStaysATail(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := openDir(t, dir)
		r := open(t, d)
		// A directory in the place of the finished part, for a while.
		if err := os.Mkdir(r.path(recording.SuffixRec), 0o700); err != nil {
			t.Fatal(err)
		}
		for n := range uint64(100) {
			if err := r.Append(recording.KindOutput, 1, payload(n+1)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if err := os.Remove(r.path(recording.SuffixRec)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(restAfter + 2*restEvery)
		synctest.Wait()
		if exists(t, r.path(recording.SuffixFull)) {
			t.Error("it was not tried again")
		}
		if got := frames(t, dir); len(got) != 101 {
			t.Errorf("%d frames, want 101", len(got))
		}
		finished(t, r)
		only(t, dir, string(session)+recording.SuffixRec)
		d.Close()
	})
}

func TestAnIdleRecorderCostsLittleMemory(t *testing.T) {
	const most = 8 << 10
	d := openDir(t, t.TempDir())
	const n = 300
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	list := make([]*Recorder, n)
	before := memory()
	for i := range list {
		r, err := d.Open(recording.Meta{Session: id.Session(fmt.Sprintf("7kq2-%05d", i))}, ann.order)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Append(recording.KindOutput, 1, make([]byte, 40_000)); err != nil {
			t.Fatal(err)
		}
		list[i] = r
	}
	each := (int64(memory()) - int64(before)) / n
	if each > most {
		t.Errorf("%d bytes, at most %d", each, most)
	}
	t.Logf("%d bytes", each)
	runtime.KeepAlive(list)
}

func TestAppendAllocatesNothing(t *testing.T) {
	r := open(t, openDir(t, t.TempDir()))
	b := make([]byte, 32)
	if n := testing.AllocsPerRun(1000, func() {
		if err := r.Append(recording.KindOutput, 1, b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
