package recording

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testHeader = Header{Session: "7kq2-m9x4d", Started: time.UnixMicro(1772460131123456).UTC()}

// sample is a small session with every kind of frame.
func sample() []Frame {
	var list []Frame
	add := func(kind Kind, channel uint32, payload any) {
		b, ok := payload.([]byte)
		if !ok {
			b, _ = json.Marshal(payload)
		}
		n := uint64(len(list))
		list = append(list, Frame{Number: n, At: time.Duration(n*n) * 137 * time.Microsecond, Channel: channel, Kind: kind, Payload: b})
	}
	add(KindSession, 0, Meta{Session: testHeader.Session, Identity: "you@example.com", Login: "deploy", Node: "web-1", Client: "192.0.2.7:51234", Way: "connect", Roles: []string{"web-deploy"}, Revision: 61, Started: testHeader.Started.UnixMicro()})
	add(KindNotice, 0, []byte("This session is recorded.\n"))
	add(KindRequest, 0, Request{From: Client, Type: "tcpip-forward", WantReply: true, Data: wireData("0.0.0.0", 8080)})
	add(KindAnswer, 0, Answer{From: Proxy, To: "tcpip-forward", Reason: "channel_not_allowed"})
	add(KindOpen, 1, Open{From: Client, Type: "session"})
	add(KindAnswer, 1, Answer{From: Node, To: "open", OK: true})
	add(KindRequest, 1, Request{From: Client, Type: "pty-req", WantReply: true, Data: wireData("xterm-256color", 120, 36, 0, 0, "")})
	add(KindAnswer, 1, Answer{From: Node, To: "pty-req", OK: true})
	add(KindRequest, 1, Request{From: Client, Type: "shell", WantReply: true})
	add(KindOutput, 1, []byte("$ "))
	add(KindInput, 1, []byte("é"[:1]))
	add(KindInput, 1, []byte("é"[1:]))
	add(KindOutput, 1, []byte("é\xff\r\n"))
	add(KindRequest, 1, Request{From: Client, Type: "window-change", Data: wireData(80, 24, 0, 0)})
	add(KindOpen, 2, Open{From: Client, Type: "session"})
	add(KindRequest, 2, Request{From: Client, Type: "exec", WantReply: true, Data: wireData("tar c /srv")})
	add(KindOutput, 2, bytes.Repeat([]byte("0123456789abcdef"), 40))
	add(KindStderr, 2, []byte("tar: removing leading /\n"))
	add(KindBulk, 2, Bulk{Of: KindOutput, Kept: 640, Bytes: 640, SHA256: make([]byte, 32), Ahead: 1 << 20})
	add(KindBulk, 2, Bulk{Of: KindOutput, Kept: 640, Bytes: 5000, SHA256: bytes.Repeat([]byte{7}, 32), Final: true})
	add(KindEOF, 2, []byte(Node))
	add(KindRequest, 2, Request{From: Node, Type: "exit-status", Data: wireData(3)})
	add(KindClose, 2, []byte(Node))
	add(KindClose, 2, []byte(Client))
	add(Kind(200), 1, []byte("of a later version"))
	add(KindOutput, 1, []byte{})
	add(KindEnd, 0, End{Reason: EndClosed})
	return list
}

// wireData encodes strings and uint32s as SSH does.
func wireData(fields ...any) []byte {
	var b []byte
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

// tailOf is a tail that holds these frames.
func tailOf(h Header, first uint64, frames []Frame) []byte {
	h.Tail, h.First = true, first
	b := h.Append(nil)
	for _, f := range frames {
		head := make([]byte, FrameHeaderSize)
		PutFrameHeader(head, h.Seed(), &f, Checksum(f.Payload))
		b = append(append(b, head...), f.Payload...)
	}
	return b
}

// recOf is a finished part that holds these frames, so many in a block.
func recOf(p *Packer, h Header, frames []Frame, each int) []byte {
	b := h.Append(nil)
	p.Start(h)
	for i, f := range frames {
		p.Add(f)
		if (i+1)%each == 0 || i == len(frames)-1 {
			b = p.Block(b)
		}
	}
	return b
}

// drain reads all frames; the error is nil where they ended with io.EOF.
func drain(r Frames) ([]Frame, error) {
	var list []Frame
	for {
		f, err := r.Next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		f.Payload = bytes.Clone(f.Payload)
		list = append(list, f)
	}
}

func same(t testing.TB, got, want []Frame) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Transformer("payload", func(f Frame) any {
		return [...]any{f.Number, f.At, f.Channel, f.Kind, string(f.Payload)}
	})); diff != "" {
		t.Fatalf("frames differ (-want +got):\n%s", diff)
	}
}

// equal is same without a report.
func equal(a, b []Frame) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if x.Number != y.Number || x.At != y.At || x.Channel != y.Channel || x.Kind != y.Kind || !bytes.Equal(x.Payload, y.Payload) {
			return false
		}
	}
	return true
}

func at(b []byte) io.ReaderAt {
	if b == nil {
		return nil
	}
	return bytes.NewReader(b)
}

// join reads the frames of these files together.
func join(rec []byte, tails ...[]byte) ([]Frame, error) {
	files := make([]io.ReaderAt, len(tails))
	for i, t := range tails {
		files[i] = at(t)
	}
	r, err := Join(at(rec), files...)
	if err != nil {
		return nil, err
	}
	return drain(r)
}

// stream reads the frames of a finished part as a stream.
func stream(rec []byte) ([]Frame, error) {
	r, err := NewReader(bytes.NewReader(rec))
	if err != nil {
		return nil, err
	}
	return drain(r)
}
