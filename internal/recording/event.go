package recording

import (
	"encoding/json"
	"fmt"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// The JSON payloads. Bytes that came from a peer are []byte, which JSON carries
// as base64, and never strings: a JSON string cannot hold bytes that are not
// UTF-8, and replaces them without a word. Names that peers chose (request and
// channel types) are strings only after Printable. Readers ignore fields that
// they do not know, so that a later version may add some.

// Meta is who, where, as whom, and by which certificates.
type Meta struct {
	Session  id.Session  `json:"session"`
	Identity id.Identity `json:"identity"`
	Login    id.Login    `json:"login"`
	Node     id.NodeName `json:"node"`
	NodeID   id.Node     `json:"node_id"`
	NodeAddr string      `json:"node_addr,omitempty"` // host:port that was dialled
	Proxy    id.Proxy    `json:"proxy"`
	Client   string      `json:"client"` // the person's address, host:port
	Way      string      `json:"way"`    // wire.Way
	Roles    []string    `json:"roles"`  // that granted; the first is shown to people
	Revision int64       `json:"revision"`
	// Certificates as SSH wire blobs.
	LoginCertificate   []byte `json:"login_certificate,omitempty"`
	SessionCertificate []byte `json:"session_certificate,omitempty"`
	// Started is in Unix microseconds and is the zero of every frame's time.
	Started int64 `json:"started"`
}

// Open says that From asked for a channel. It is written before the question is
// passed on; what became of it follows as an Answer.
type Open struct {
	From Side   `json:"from"`
	Type string `json:"type"`           // "session", "direct-tcpip", ... (RFC 4254, section 5.1)
	Data []byte `json:"data,omitempty"` // type-specific data of SSH_MSG_CHANNEL_OPEN, raw
}

// Request is a channel request (RFC 4254, section 5.4) or, on channel 0, a global
// request (section 4). It is written before it is passed on.
type Request struct {
	From      Side   `json:"from"`
	Type      string `json:"type"`
	WantReply bool   `json:"want_reply,omitempty"`
	Data      []byte `json:"data,omitempty"` // type-specific data, raw
}

// Answer is what became of an Open or of a Request. Answers of one channel come
// in the order of the requests that wanted one (RFC 4254, section 5.4); To
// repeats the type for people. An answer by the Proxy is a decision: the other
// side never saw the question.
type Answer struct {
	From   Side   `json:"from"`
	To     string `json:"to"` // "open", or the request's type
	OK     bool   `json:"ok"`
	Code   uint32 `json:"code,omitempty"`   // of a refused open: RFC 4254, section 5.1
	Reason string `json:"reason,omitempty"` // fault.Reason, where the proxy refused
	Text   []byte `json:"text,omitempty"`   // of a refused open, raw
	Data   []byte `json:"data,omitempty"`   // reply data of a global request, raw
}

// Bulk tells of one direction of a channel of which not everything is kept.
// Before the end it is a permit: at its time Bytes had gone through, and up to
// Bytes+Ahead may be delivered before the next Bulk of the direction is written.
// So after a crash the record says between which two figures the truth lies,
// and the digest of everything up to the lower one. With Final, Bytes and SHA256
// are of the whole direction, kept and not kept alike.
type Bulk struct {
	Of     Kind   `json:"of"`     // KindInput, KindOutput or KindStderr
	Kept   int64  `json:"kept"`   // so many of the first bytes are in frames of kind Of
	Bytes  int64  `json:"bytes"`  // went through so far
	SHA256 []byte `json:"sha256"` // of the first Bytes bytes
	Ahead  int64  `json:"ahead,omitempty"`
	Final  bool   `json:"final,omitempty"`
}

// End says why a session ended.
type End struct {
	// Reason is "closed", a fault.Reason, or EndCut.
	Reason string `json:"reason"`
	Text   string `json:"text,omitempty"` // what the person was told
	// Dropped counts the bytes of a frame that a crash left half written.
	Dropped int64 `json:"dropped,omitempty"`
}

// Reasons for an end that are no faults.
const (
	EndClosed = "closed" // both sides were done
	EndCut    = "cut"    // the proxy died; somebody finished the recording at its next start
)

// Printable returns a peer's name for a thing so that JSON holds it exactly, or
// an unmistakable spelling of it: names are US-ASCII by RFC 4251, section 6.
func Printable(name []byte) string {
	for _, c := range name {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%q", name)
		}
	}
	return string(name)
}

// Decode reads the JSON payload of f into event, which must be a pointer to the
// type that f's kind calls for.
func (f Frame) Decode(event any) error {
	if err := json.Unmarshal(f.Payload, event); err != nil {
		return &DamageError{Where: "frame", Number: f.Number, What: "payload of a " + f.Kind.String() + " is malformed", Err: err}
	}
	return nil
}
