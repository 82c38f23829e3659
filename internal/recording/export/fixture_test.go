package export

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// list is recording.Frames over a slice.
type list struct{ frames []recording.Frame }

func (l *list) Next() (recording.Frame, error) {
	if len(l.frames) == 0 {
		return recording.Frame{}, io.EOF
	}
	f := l.frames[0]
	l.frames = l.frames[1:]
	return f, nil
}

// script builds a session of one channel.
type script struct {
	frames []recording.Frame
	at     time.Duration
}

func newScript() *script {
	s := &script{}
	s.event(recording.KindSession, 0, recording.Meta{Session: "7kq2-m9x4d", Identity: "you@example.com", Login: "deploy", Node: "web-1", Started: 1772460131123456})
	s.event(recording.KindOpen, 1, recording.Open{From: recording.Client, Type: "session"})
	return s
}

func (s *script) frame(kind recording.Kind, channel uint32, payload []byte) *script {
	s.frames = append(s.frames, recording.Frame{Number: uint64(len(s.frames)), At: s.at, Channel: channel, Kind: kind, Payload: payload})
	return s
}

func (s *script) event(kind recording.Kind, channel uint32, e any) *script {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return s.frame(kind, channel, b)
}

func (s *script) wait(d time.Duration) *script { s.at += d; return s }

func (s *script) out(text string) *script { return s.frame(recording.KindOutput, 1, []byte(text)) }

func (s *script) request(from recording.Side, typ string, fields ...any) *script {
	return s.event(recording.KindRequest, 1, recording.Request{From: from, Type: typ, Data: wireData(fields...)})
}

// terminal gives the channel a terminal and a shell.
func (s *script) terminal(columns, rows int) *script {
	return s.request(recording.Client, "pty-req", "xterm-256color", columns, rows, 0, 0, "").request(recording.Client, "shell")
}

func wireData(fields ...any) []byte {
	b := []byte{}
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
			b = append(b, f...)
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(f))
		}
	}
	return b
}

// about is the summary of s and its first channel.
func (s *script) about(t testing.TB) (*recording.Summary, *recording.Channel) {
	t.Helper()
	sum, err := recording.Summarize(&list{s.frames})
	if err != nil || len(sum.Channels) == 0 {
		t.Fatalf("%+v, %v", sum, err)
	}
	return sum, &sum.Channels[0]
}
