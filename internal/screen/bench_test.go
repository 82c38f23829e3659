package screen_test

import (
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/hour"
	"github.com/sallyport-ssh/sallyport/internal/screen"
)

// BenchmarkHour draws the output of an hour at a terminal, with vim, less and
// top.
func BenchmarkHour(b *testing.B) {
	var output []byte
	for _, e := range hour.Script(1) {
		if e.Kind == recording.KindOutput {
			output = append(output, e.Payload...)
		}
	}
	b.SetBytes(int64(len(output)))
	for b.Loop() {
		s := screen.New(hour.Columns, hour.Rows)
		s.Write(output)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	s := screen.New(hour.Columns, hour.Rows)
	for _, e := range hour.Script(1)[:10000] {
		if e.Kind == recording.KindOutput {
			s.Write(e.Payload)
		}
	}
	for b.Loop() {
		b.SetBytes(int64(len(s.Snapshot())))
	}
}
