package hour

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"io"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/export"
)

// Frames is a whole recording of the script, with everything that a proxy would
// put around it: text that is typed is to be veiled, and revealed when it is
// echoed. What is veiled is here as a recorder is given it, in clear.
func Frames(seed uint64) []recording.Frame {
	var list []recording.Frame
	add := func(at time.Duration, kind recording.Kind, channel uint32, payload []byte) {
		list = append(list, recording.Frame{Number: uint64(len(list)), At: at.Truncate(time.Microsecond), Channel: channel, Kind: kind, Payload: payload})
	}
	add(0, recording.KindSession, 0, encode(Meta)) // stands in the header
	add(0, recording.KindOpen, 1, encode(recording.Open{From: recording.Client, Type: "session"}))
	add(0, recording.KindAnswer, 1, encode(recording.Answer{From: recording.Node, To: "open", OK: true}))
	add(0, recording.KindRequest, 1, encode(Pty()))
	add(0, recording.KindRequest, 1, encode(recording.Request{From: recording.Client, Type: "shell", WantReply: true}))
	at, typed := time.Duration(0), uint64(0)
	for _, e := range Script(seed) {
		at = e.At
		switch {
		case e.Kind == recording.KindOutput:
			if typed != 0 && bytes.HasPrefix(e.Payload, list[typed].Payload) {
				add(at, recording.KindReveal, 1, recording.AppendReveal(nil, []recording.Run{{Frame: typed, Bytes: list[typed].Payload}}))
			}
			typed = 0
		case len(e.Payload) == 1 && e.Payload[0] >= ' ' && e.Payload[0] <= '~':
			e.Kind, typed = recording.KindVeiled, uint64(len(list))
		}
		add(at, e.Kind, 1, e.Payload)
	}
	add(at, recording.KindRequest, 1, encode(recording.Request{From: recording.Node, Type: "exit-status", Data: make([]byte, 4)}))
	add(at, recording.KindClose, 1, []byte(recording.Node))
	add(at, recording.KindClose, 1, []byte(recording.Client))
	add(at, recording.KindEnd, 0, encode(recording.End{Reason: recording.EndClosed}))
	return list
}

// Session of the script.
const Session = id.Session("7kq2-m9x4d")

// Meta of the script's session, with certificates of the size that they have.
var Meta = recording.Meta{
	Session: Session, Identity: "you@example.com", Login: "deploy", Node: "web-1", NodeID: "n-0123456789ab",
	NodeAddr: "192.0.2.10:22", Proxy: "p-1", Client: "192.0.2.7:51234", Way: "connect", Roles: []string{"web-deploy"}, Revision: 61,
	LoginCertificate: noise(480), SessionCertificate: noise(520),
}

// Pty is the script's pty-req.
func Pty() recording.Request {
	data := binary.BigEndian.AppendUint32(nil, 14)
	data = append(data, "xterm-256color"...)
	for _, n := range []uint32{Columns, Rows, 0, 0, 0} {
		data = binary.BigEndian.AppendUint32(data, n)
	}
	return recording.Request{From: recording.Client, Type: "pty-req", WantReply: true, Data: data}
}

func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func encode(e any) []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // the script is constant
	}
	return b
}

// GzipAsciicast is the size in bytes of the output of frames as asciicast v2,
// compressed by gzip at its default level: what a recording is compared with.
func GzipAsciicast(frames []recording.Frame) (int, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	s, err := recording.Summarize(&reader{frames})
	if err != nil {
		return 0, err
	}
	if err := export.Asciicast(w, &reader{frames}, s, &s.Channels[0], export.Options{Version: export.V2}); err != nil {
		return 0, err
	}
	err = w.Close()
	return out.Len(), err
}

// reader is recording.Frames over a slice.
type reader struct{ frames []recording.Frame }

func (r *reader) Next() (recording.Frame, error) {
	if len(r.frames) == 0 {
		return recording.Frame{}, io.EOF
	}
	f := r.frames[0]
	r.frames = r.frames[1:]
	return f, nil
}
