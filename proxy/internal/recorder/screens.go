package recorder

import (
	"bytes"
	"slices"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/screen"
)

// Limits of following terminals.
const (
	// maxTerminals is of how many at once, in one session.
	maxTerminals = 16
	// followFirst and one part in followShare of the session's length are how much
	// time of a processor may go into it. A node can send what is laborious to
	// draw; the recording then is as good, and only slower to seek in.
	followFirst = 2 * time.Second
	followShare = 50
)

// FollowTerminals is for Config.Screens: it draws what a session's terminals are
// sent. Between two compressions it keeps of each no more than a snapshot.
func FollowTerminals(id.Session) Screens {
	return &terminals{open: map[uint32]*terminal{}}
}

// terminals are those of one session.
type terminals struct {
	open  map[uint32]*terminal // nil: given up
	spent time.Duration
}

// terminal is one channel's.
type terminal struct {
	screen     *screen.Screen // nil while it rests
	cols, rows int
	snapshot   []byte // while it rests
}

func (t *terminal) awake() *screen.Screen {
	if t.screen == nil {
		t.screen = screen.New(t.cols, t.rows)
		t.screen.Write(t.snapshot)
		t.snapshot = nil
	}
	return t.screen
}

// Frame draws f.
func (s *terminals) Frame(f recording.Frame) {
	if s.open == nil {
		return
	}
	switch f.Kind {
	case recording.KindRequest:
		s.request(f)
	case recording.KindOutput, recording.KindStderr:
		if t := s.open[f.Channel]; t != nil {
			s.draw(t, f.Payload, f.At)
		}
	case recording.KindNotice: // the proxy's own words have no carriage returns
		text := bytes.ReplaceAll(f.Payload, []byte("\n"), []byte("\r\n"))
		for channel, t := range s.open {
			if f.Channel == channel || f.Channel == 0 {
				s.draw(t, text, f.At)
			}
		}
	case recording.KindClose:
		if string(f.Payload) == string(recording.Node) { // nothing more comes from there
			delete(s.open, f.Channel)
		}
	}
}

// request sees terminals and their sizes.
func (s *terminals) request(f recording.Frame) {
	var r recording.Request
	if f.Decode(&r) != nil || r.From != recording.Client {
		return
	}
	cols, rows, ok := r.Size()
	t := s.open[f.Channel]
	switch {
	case !ok:
	case t != nil:
		t.awake().Resize(cols, rows)
	case r.Type != "pty-req":
	case len(s.open) == maxTerminals:
		s.open = nil
	default:
		s.open[f.Channel] = &terminal{screen: screen.New(cols, rows)}
	}
}

// draw has t draw b, if it does not take too long.
func (s *terminals) draw(t *terminal, b []byte, at time.Duration) {
	began := time.Now()
	for piece := range slices.Chunk(b, 16<<10) {
		t.awake().Write(piece)
		if s.spent+time.Since(began) > followFirst+at/followShare {
			s.open = nil // what it would show from now on, would be wrong
			return
		}
	}
	s.spent += time.Since(began)
}

// Now is what the terminals show.
func (s *terminals) Now() (list []recording.Screen, ok bool) {
	for channel, t := range s.open {
		x := recording.Screen{Channel: channel, ANSI: t.snapshot, Columns: t.cols, Rows: t.rows}
		if t.screen != nil {
			if t.screen.Faults() > 0 {
				s.open = nil
				return nil, false
			}
			x.ANSI = t.screen.Snapshot()
			x.Columns, x.Rows = t.screen.Size()
		}
		list = append(list, x)
	}
	return list, s.open != nil
}

// Rest keeps no more than snapshots.
func (s *terminals) Rest() {
	for _, t := range s.open {
		if t.screen != nil {
			t.snapshot = t.screen.Snapshot()
			t.cols, t.rows = t.screen.Size()
			t.screen = nil
		}
	}
}
