package hour

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

func TestTheScriptIsAnHourAndTheSameForEverybody(t *testing.T) {
	digest := func(seed uint64) string {
		h := sha256.New()
		for _, e := range Script(seed) {
			fmt.Fprintf(h, "%d %d %q\n", e.At, e.Kind, e.Payload)
		}
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	if digest(1) != digest(1) || digest(1) == digest(2) {
		t.Error("the seed does not decide")
	}
	events := Script(1)
	keys, output := 0, 0
	for i, e := range events {
		if i > 0 && e.At < events[i-1].At {
			t.Fatalf("event %d is before the one before", i)
		}
		if e.Kind == recording.KindInput {
			keys++
		} else {
			output += len(e.Payload)
		}
	}
	// An hour in which somebody works: two keys a second, and more than a
	// megabyte on the screen.
	if last := events[len(events)-1].At; last < time.Hour || last > 75*time.Minute || keys < 5000 || output < 1<<20 {
		t.Errorf("%v, %d keys, %d bytes", last, keys, output)
	}
}

// BenchmarkSize prints what an hour takes by the size of the blocks, and what
// its output takes as asciicast v2 with gzip -6.
func BenchmarkSize(b *testing.B) {
	for seed := range uint64(3) {
		frames := Frames(seed + 1)
		b.Run(fmt.Sprintf("seed %d/asciicast v2 with gzip", seed+1), func(b *testing.B) {
			n, err := GzipAsciicast(frames)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(n), "bytes")
		})
		for _, block := range []int{64 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20} {
			b.Run(fmt.Sprintf("seed %d/blocks of %d KiB", seed+1, block>>10), func(b *testing.B) {
				b.ReportMetric(float64(len(pack(frames, block))), "bytes")
			})
		}
	}
}

// pack makes a finished part whose blocks hold about so many bytes of tail.
func pack(frames []recording.Frame, block int) []byte {
	h := recording.Header{Session: "7kq2-m9x4d"}
	p := recording.NewPacker()
	p.Start(h)
	b, size := h.Append(nil), 0
	for i, f := range frames {
		full := p.Add(f)
		if size += recording.FrameHeaderSize + len(f.Payload); full || size >= block || i == len(frames)-1 {
			b, size = p.Block(b), 0
		}
	}
	return b
}
