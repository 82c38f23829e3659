package recorder

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

func TestStreamsKeepTheHeadAndTheDigestOfTheWhole(t *testing.T) {
	for _, test := range []struct {
		name  string
		keep  int64 // Config.Keep
		size  int
		chunk int
		kept  int64
	}{
		{"nothing at all", 0, 0, 1, 0},
		{"less than is kept", 0, 5000, 700, 5000},
		{"exactly what is kept", 0, DefaultKeep, 32 << 10, DefaultKeep},
		{"one byte more", 0, DefaultKeep + 1, 32 << 10, DefaultKeep},
		{"much more, in pieces that do not fit", 0, 5<<20 + 77, 31_337, DefaultKeep},
		{"in pieces larger than a permit", 100, 9 << 20, 3 << 20, 100},
		{"where nothing is kept", -1, 3 << 20, 32 << 10, 0},
		{"where one byte is kept", 1, 10, 10, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			d, _, err := OpenDir(Config{Seal: p1.seal, Path: dir, Keep: test.keep})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			r := open(t, d)
			content := make([]byte, test.size)
			for i := range content {
				content[i] = byte(i * 31 >> 3)
			}
			s := r.Stream(recording.KindStderr, 5)
			for rest := content; len(rest) > 0; {
				n := min(test.chunk, len(rest))
				if err := s.Append(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
				permitted(t, dir, int64(test.size-len(rest)))
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Close(recording.End{Reason: recording.EndClosed}); err != nil {
				t.Fatal(err)
			}
			var kept []byte
			var last recording.Bulk
			for _, f := range frames(t, dir) {
				switch f.Kind {
				case recording.KindStderr:
					kept = append(kept, f.Payload...)
				case recording.KindBulk:
					last = recording.Bulk{}
					if err := f.Decode(&last); err != nil || f.Channel != 5 {
						t.Fatal(err)
					}
				}
			}
			if int64(len(kept)) != test.kept || !bytes.Equal(kept, content[:test.kept]) {
				t.Errorf("%d bytes are kept, want %d", len(kept), test.kept)
			}
			if int64(test.size) == test.kept {
				if last.SHA256 != nil {
					t.Errorf("all is kept, and there is %+v", last)
				}
				return
			}
			sum := sha256.Sum256(content)
			if !last.Final || last.Bytes != int64(test.size) || last.Kept != test.kept || last.Ahead != 0 || !bytes.Equal(last.SHA256, sum[:]) || last.Of != recording.KindStderr {
				t.Errorf("%+v", last)
			}
		})
	}
}

// permitted fails unless the files say, now, that delivered bytes may have been
// delivered.
func permitted(t *testing.T, dir string, delivered int64) {
	t.Helper()
	r, err := recording.OpenDir(dir, session, ann.opener)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := recording.Summarize(r)
	if err != nil {
		t.Fatal(err)
	}
	if f := s.Channels[0].Stderr; delivered > f.AtMost || delivered < f.Bytes {
		t.Fatalf("%d bytes were delivered, and the record says %+v", delivered, f)
	}
}

func TestAStreamStopsWithItsRecorder(t *testing.T) {
	d, _, err := OpenDir(Config{Seal: p1.seal, Path: t.TempDir(), Keep: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r := open(t, d)
	s := r.Stream(recording.KindOutput, 1)
	if err := s.Append(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	r.Append(recording.KindOutput, 2, make([]byte, recording.MaxPayload+1)) // fails
	// The permit has room; the session has not.
	if err := s.Append([]byte("x")); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Errorf("append: %v", err)
	}
	if err := s.Close(); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Errorf("close: %v", err)
	}
	other, err := d.Open(recording.Meta{Session: "7kq2-m9x4e"}, ann.order)
	if err != nil {
		t.Fatal(err)
	}
	ended := other.Stream(recording.KindOutput, 1)
	ended.Close()
	if err := ended.Append([]byte("x")); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Errorf("append to a stream that has ended: %v", err)
	}
	if err := other.Append(recording.KindOutput, 1, nil); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Errorf("a misuse does not end the session: %v", err)
	}
}

// TestABrokenConnectionLeavesExactFigures: nobody closed the stream, and the
// session's end is known all the same.
func TestABrokenConnectionLeavesExactFigures(t *testing.T) {
	dir := t.TempDir()
	d, _, err := OpenDir(Config{Seal: p1.seal, Path: dir, Keep: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r := open(t, d)
	for range 2 {
		if err := r.Stream(recording.KindOutput, r.NewChannel()).Append(make([]byte, 12345)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Close(recording.End{Reason: string(fault.NodeAway)}); err != nil {
		t.Fatal(err)
	}
	f, err := recording.OpenDir(dir, session, ann.opener)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := recording.Summarize(f)
	if err != nil || len(s.Channels) != 2 || s.End == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, c := range s.Channels {
		if c.Output.Bytes != 12345 || c.Output.AtMost != 12345 || c.Output.Kept != 10 {
			t.Errorf("channel %d: %+v", c.Number, c.Output)
		}
	}
}
