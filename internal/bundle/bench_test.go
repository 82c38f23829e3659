package bundle

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// BenchmarkVerify verifies a bundle whose recording is of 256 MiB that do not
// compress: chain, seal, certificates, log and SHA256SUMS.
func BenchmarkVerify(b *testing.B) {
	h, f := newHouse(b), newFacts(b)
	noise := rand.NewChaCha8([32]byte{1})
	for i := range 256 {
		payload := make([]byte, 1<<20-64)
		noise.Read(payload)
		f.more = append(f.more, recording.Frame{Channel: 1, Kind: recording.KindOutput, At: time.Duration(i), Payload: payload})
	}
	file := packed(b, h.evidence(f))
	f.more = nil
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		got, err := Read(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			b.Fatal(err)
		}
		if r := verified(b, got, h.trust(), nil); !r.Holds() {
			b.Fatalf("%+v", r.Findings)
		}
	}
}
