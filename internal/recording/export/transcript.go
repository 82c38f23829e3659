package export

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Transcript writes one channel as a transcript to w: what stood on the screen, line by
// line as lines were finished, and in brackets what no screen showed: files, what
// was typed without echo. Nothing in it commands a terminal. Of a full-screen
// program only its presence is told.
func Transcript(w io.Writer, frames recording.Frames, s *recording.Summary, c *recording.Channel, times Times) error {
	t := &transcript{w: bufio.NewWriter(w), started: time.UnixMicro(s.Meta.Started).In(times.Zone), times: times.Shown}
	fmt.Fprintf(t.w, "session %s  %s  %s@%s  %s\nchannel %d: %s\n\n", s.Meta.Session, s.Meta.Identity, s.Meta.Login, s.Meta.Node,
		t.started.Format("2006-01-02 15:04:05 MST"), c.Number, c.What())
	t.out.emit, t.err.emit = t.shown, t.shown
	for e, err := range withSilences(frames, c) {
		if err != nil {
			t.finish()
			return join(t.w.Flush(), err)
		}
		t.event(e)
	}
	t.finish()
	return t.w.Flush()
}

// Times says how a transcript tells time.
type Times struct {
	Zone  *time.Location // must not be nil
	Shown bool           // each line begins with its time of day
}

type transcript struct {
	w       *bufio.Writer
	started time.Time
	times   bool
	out     screenLine
	err     screenLine
	told    []Event // to be written behind the line in which the cursor is
}

func (t *transcript) event(e Event) {
	switch e.Code {
	case Output:
		if e.Stderr {
			t.err.write(e.At, e.Data)
		} else {
			t.out.write(e.At, e.Data)
		}
	case Exit:
		t.finish()
		t.line(e.At, "[exit status "+string(e.Data)+"]")
	case Marker:
		if e.Told {
			t.told = append(t.told, e)
		}
		if len(t.out.line) == 0 && len(t.err.line) == 0 {
			t.tell()
		}
	}
}

// shown writes a line of the screen, and what was told meanwhile.
func (t *transcript) shown(at time.Duration, text string) {
	t.line(at, text)
	t.tell()
}

func (t *transcript) tell() {
	for _, e := range t.told {
		t.line(e.At, "["+string(e.Data)+"]")
	}
	t.told = t.told[:0]
}

// finish tells of lines that were never ended.
func (t *transcript) finish() {
	t.out.finish()
	t.err.finish()
	t.tell()
}

func (t *transcript) line(at time.Duration, text string) {
	if t.times {
		t.w.WriteString(t.started.Add(at).Format("15:04:05  "))
	}
	t.w.WriteString(text)
	t.w.WriteByte('\n')
}
