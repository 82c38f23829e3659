package hour

import (
	"bytes"
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

// TestSeekInEightHours: any moment of a long session is there within 100 ms.
func TestSeekInEightHours(t *testing.T) {
	var frames []recording.Frame
	for i := range uint64(8) {
		part := Frames(i + 1)
		start := time.Duration(0)
		if i > 0 {
			part = part[1:]
			start = frames[len(frames)-1].At
		}
		if i < 7 {
			part = part[:len(part)-1] // the end
		}
		for _, f := range part {
			f.Number, f.At = uint64(len(frames)), f.At+start
			frames = append(frames, f)
		}
	}
	b, key := packed(frames, 512<<10)
	file := bytes.NewReader(b)
	for i := range 20 {
		want := frames[len(frames)*i/20]
		began := time.Now()
		r, err := recording.Join(recording.Holding(key), file)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Seek(want.At); err != nil {
			t.Fatal(err)
		}
		got, err := r.Next()
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("to %v: %v", want.At, took)
		}
		if err != nil || got.At != want.At || got.Number > want.Number {
			t.Errorf("to %v: frame %d at %v, %v", want.At, got.Number, got.At, err)
		}
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

// pack makes an encrypted finished part whose blocks hold about so many bytes of
// tail.
func pack(frames []recording.Frame, block int) []byte {
	b, _ := packed(frames, block)
	return b
}

// packed returns the key, too.
func packed(frames []recording.Frame, block int) ([]byte, recording.ContentKey) {
	key := recording.NewContentKey()
	h, err := recording.NewHeader(Meta, key, make([]byte, 220)) // an age file's size
	if err != nil {
		panic(err)
	}
	p, veil := recording.NewPacker(), key.Veil()
	if err := p.Start(h, key, h.Chain()); err != nil {
		panic(err)
	}
	b, size := h.Append(nil), 0
	for i, f := range frames {
		if f.Kind == recording.KindVeiled {
			f.Payload = bytes.Clone(f.Payload)
			veil.Apply(f.Number, f.Payload)
		}
		full := p.Add(f)
		if size += recording.RecordSize + len(f.Payload); full || size >= block || i == len(frames)-1 {
			b, size = p.Block(b), 0
		}
	}
	return b, key
}
