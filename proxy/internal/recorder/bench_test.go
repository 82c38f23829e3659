package recorder

import (
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/hour"
)

// BenchmarkAppend is what recording adds to a keystroke, and to a packet of
// output.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 100, 4 << 10, 32 << 10} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			r := open(b, openDir(b, b.TempDir()))
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Append(recording.KindOutput, 1, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStream is what recording adds to 32 KiB of a file beyond what is kept,
// beside SHA-256 alone, which is its floor.
func BenchmarkStream(b *testing.B) {
	p := make([]byte, 32<<10)
	b.Run("recorded", func(b *testing.B) {
		s := open(b, openDir(b, b.TempDir())).Stream(recording.KindOutput, 1)
		for range DefaultKeep / len(p) {
			if err := s.Append(p); err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(int64(len(p)))
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Append(p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("SHA-256 alone", func(b *testing.B) {
		h := sha256.New()
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			h.Write(p)
		}
	})
}

// BenchmarkSession is a whole short session: open, ten frames, close with its
// sync. Several at a time, as a busy proxy has them.
func BenchmarkSession(b *testing.B) {
	d := openDir(b, b.TempDir())
	var n atomic.Uint32
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m := hour.Meta
			m.Session = id.Session(fmt.Sprintf("7kq2-%05d", n.Add(1)%100000))
			r, err := d.Open(m, ann.order)
			if err != nil {
				b.Fatal(err)
			}
			for range 10 {
				r.Append(recording.KindOutput, 1, []byte("hello\r\n"))
			}
			if _, err := r.Close(recording.End{Reason: recording.EndClosed}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCompact is the background's share: a full tail of an interactive hour is
// read, compressed, encrypted, chained, written and synced.
func BenchmarkCompact(b *testing.B) {
	var frames []recording.Frame
	size := 0
	for _, f := range hour.Frames(1) {
		if f.Kind != recording.KindSession && f.Kind != recording.KindEnd && size < tailFull {
			frames = append(frames, f)
			size += len(f.Payload) + recording.RecordSize
		}
	}
	r := open(b, openDir(b, b.TempDir()))
	r.queued = true // the Dir's own compactor keeps out
	b.SetBytes(int64(size))
	for b.Loop() {
		b.StopTimer()
		for _, f := range frames {
			if err := r.Append(f.Kind, f.Channel, f.Payload); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if err := r.shrink(); err != nil {
			b.Fatal(err)
		}
		r.queued = true
	}
}

// BenchmarkHour is the size of the scripted hour on disk, as the recorder leaves
// it, beside what its output takes as asciicast v2 with gzip.
func BenchmarkHour(b *testing.B) {
	for seed := range uint64(3) {
		b.Run(fmt.Sprintf("seed %d", seed+1), func(b *testing.B) {
			frames := hour.Frames(seed + 1)
			gzip, err := hour.GzipAsciicast(frames)
			if err != nil {
				b.Fatal(err)
			}
			size, err := recordHour(b, b.TempDir(), frames)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(size), "bytes")
			b.ReportMetric(float64(gzip), "gzip-bytes")
			b.ReportMetric(float64(size)/float64(gzip), "of-gzip")
		})
	}
}

// recordHour writes frames in no time, but compresses where the hour would have.
func recordHour(t testing.TB, dir string, frames []recording.Frame) (int64, error) {
	d := openDir(t, dir)
	r, err := d.Open(hour.Meta, ann.order)
	if err != nil {
		return 0, err
	}
	r.queued = true // the Dir's own compactor keeps out
	var last time.Duration
	for _, f := range frames[1 : len(frames)-1] {
		if r.size >= tailFull || r.size >= tailRest && f.At-last >= restAfter+restEvery {
			if err := r.shrink(); err != nil {
				return 0, err
			}
			r.queued = true
		}
		last = f.At
		r.began = time.Now().Add(-f.At)
		if err := r.Append(f.Kind, f.Channel, f.Payload); err != nil {
			return 0, err
		}
	}
	f, err := r.Close(recording.End{Reason: recording.EndClosed})
	return f.Size, err
}

func TestAnInteractiveHourFitsInHalfAMegabyte(t *testing.T) {
	for seed := range uint64(3) {
		size, err := recordHour(t, t.TempDir(), hour.Frames(seed+1))
		if err != nil || size > 500_000 {
			t.Errorf("seed %d: %d bytes, %v", seed+1, size, err)
		}
	}
}
