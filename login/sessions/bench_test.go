package sessions

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/hour"
	"github.com/sallyport-ssh/sallyport/internal/screen"
)

// BenchmarkSeek goes to moments anywhere in an eight-hour recording of a
// terminal, whose blocks are as a recorder makes them, and draws the screen.
func BenchmarkSeek(b *testing.B) {
	h, p := begin(recording.Meta{Session: session, Started: start.UnixMicro()})
	out := h.Append(nil)
	s := screen.New(hour.Columns, hour.Rows)
	n, size, at := uint64(1), 0, time.Duration(0)
	for eighth := range uint64(8) {
		since := at
		for _, e := range hour.Script(eighth) {
			at = (since + e.At).Truncate(time.Microsecond)
			if size += len(e.Payload) + recording.RecordSize; size > 512<<10 {
				out, size = p.Block(out), 0
				p.SetScreens([]recording.Screen{{Channel: 1, Columns: hour.Columns, Rows: hour.Rows, ANSI: s.Snapshot()}})
			}
			if e.Kind == recording.KindOutput {
				s.Write(e.Payload)
			}
			p.Add(recording.Frame{Number: n, At: at, Channel: 1, Kind: e.Kind, Payload: e.Payload})
			n++
		}
	}
	r, err := recording.Join(nil, bytes.NewReader(p.Block(out)))
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var worst time.Duration
	for b.Loop() {
		began := time.Now()
		view := player{rec: r, channel: 1, out: newGuard(io.Discard), speed: 1}
		if err := view.seek(time.Duration(rng.Int64N(int64(at)))); err != nil {
			b.Fatal(err)
		}
		view.stop()
		worst = max(worst, time.Since(began))
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
}
