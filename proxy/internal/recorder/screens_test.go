package recorder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/hour"
	"github.com/sallyport-ssh/sallyport/internal/screen"
)

// pty is a terminal's request.
func pty(cols, rows byte) recording.Request {
	return recording.Request{From: recording.Client, Type: "pty-req",
		Data: append([]byte("\x00\x00\x00\x05xterm"), 0, 0, 0, cols, 0, 0, 0, rows, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)}
}

func TestEveryBlockBeginsWithWhatTheTerminalShowed(t *testing.T) {
	dir := t.TempDir()
	d, _, err := OpenDir(Config{Path: dir, Seal: p1.seal, Screens: FollowTerminals})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r := open(t, d)
	n := r.NewChannel()
	if err := r.Requested(n, pty(hour.Columns, hour.Rows)); err != nil {
		t.Fatal(err)
	}
	for i, e := range hour.Script(3)[:6000] {
		if e.Kind == recording.KindOutput {
			err = r.Append(e.Kind, n, e.Payload)
		}
		if err == nil && i%500 == 0 {
			err = r.shrink()
		}
		if err == nil && i == 2000 {
			err = r.Requested(n, recording.Request{From: recording.Client, Type: "window-change", Data: []byte{0, 0, 0, 90, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	finished(t, r)
	rec, err := recording.OpenDir(dir, session, ann.opener)
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	var want *screen.Screen
	compared := map[string]bool{}
	for {
		f, err := rec.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if list, ok := rec.Screens(); ok && len(list) == 1 && !compared[string(list[0].ANSI)] {
			compared[string(list[0].ANSI)] = true
			s := list[0]
			got := screen.New(s.Columns, s.Rows)
			got.Write(s.ANSI)
			if s.Channel != n || !bytes.Equal(got.Snapshot(), want.Snapshot()) {
				t.Fatalf("before frame %d the terminal showed something else:\n%s", f.Number, strings.Join(got.Lines(), "\n"))
			}
		}
		var q recording.Request
		switch {
		case f.Kind == recording.KindOutput:
			want.Write(f.Payload)
		case f.Kind == recording.KindRequest && f.Decode(&q) == nil && want == nil:
			want = screen.New(hour.Columns, hour.Rows)
		case f.Kind == recording.KindRequest:
			want.Resize(90, 30)
		}
	}
	if len(compared) < 10 {
		t.Errorf("only %d blocks had a screen", len(compared))
	}
}

func TestATerminalThatIsTooMuchWorkIsNotFollowed(t *testing.T) {
	s := FollowTerminals(session)
	frame := func(kind recording.Kind, channel uint32, payload []byte) {
		s.Frame(recording.Frame{Kind: kind, Channel: channel, Payload: payload})
	}
	ask := func(channel uint32) {
		b, err := json.Marshal(pty(200, 200))
		if err != nil {
			t.Fatal(err)
		}
		frame(recording.KindRequest, channel, b)
	}
	ask(1)
	if list, ok := s.Now(); !ok || len(list) != 1 {
		t.Fatalf("%v, %v", list, ok)
	}
	evil := bytes.Repeat([]byte("\x1b[120;1;1;200;200$x"), 1<<20/19)
	for range 200 {
		frame(recording.KindOutput, 1, evil)
	}
	if list, ok := s.Now(); ok {
		t.Errorf("it is still followed: %d", len(list))
	}

	s = FollowTerminals(session)
	for channel := range uint32(maxTerminals + 1) {
		ask(channel + 1)
	}
	if _, ok := s.Now(); ok {
		t.Error("more terminals than there may be are followed")
	}
}

func TestARestingTerminalIsASnapshot(t *testing.T) {
	s := FollowTerminals(session).(*terminals)
	b, err := json.Marshal(pty(80, 24))
	if err != nil {
		t.Fatal(err)
	}
	s.Frame(recording.Frame{Kind: recording.KindRequest, Channel: 1, Payload: b})
	for i := range 50 {
		s.Frame(recording.Frame{Kind: recording.KindOutput, Channel: 1, Payload: fmt.Appendf(nil, "line %d\r\n\x1b[3", i)})
		before, _ := s.Now()
		s.Rest()
		after, ok := s.Now()
		if s.open[1].screen != nil || !ok || !bytes.Equal(before[0].ANSI, after[0].ANSI) || after[0].Columns != 80 {
			t.Fatalf("%v and %v", before, after)
		}
		s.Frame(recording.Frame{Kind: recording.KindOutput, Channel: 1, Payload: []byte("1m")})
	}
	s.Frame(recording.Frame{Kind: recording.KindClose, Channel: 1, Payload: []byte(recording.Node)})
	if list, ok := s.Now(); !ok || len(list) != 0 {
		t.Errorf("a closed terminal is followed: %v, %v", list, ok)
	}
}
