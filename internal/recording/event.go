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

// FileOp is one operation of SFTP (draft-ietf-secsh-filexfer-02), told when its
// answer came, and before that went on; for a file that was opened, when it was
// closed, or at the channel's end.
type FileOp struct {
	Op     string `json:"op"`               // read, write, stat, list, remove, rename, mkdir, rmdir, setstat, symlink, readlink, realpath, or an extension's name
	Path   []byte `json:"path"`             // raw, as the client sent it
	Target []byte `json:"target,omitempty"` // of rename, symlink, hardlink; of realpath and readlink the answer
	Code   uint32 `json:"code"`             // SSH_FX_*: 0 is OK
	Text   []byte `json:"text,omitempty"`   // of the node, where Code is not 0
	Began  int64  `json:"began"`            // microseconds since the session's start
	Flags  uint32 `json:"flags,omitempty"`  // of an open SSH_FXF_*, of a setstat SSH_FILEXFER_ATTR_*: what it sets
	Mode   uint32 `json:"mode,omitempty"`   // permissions that were set
	Size   int64  `json:"size,omitempty"`   // of the file as far as it is known
	Read   int64  `json:"read,omitempty"`   // bytes that were read
	Write  int64  `json:"write,omitempty"`  // bytes that were written
	// SHA256 is the content's, where it was read or written whole and from the
	// beginning; nil where it was not.
	SHA256 []byte `json:"sha256,omitempty"`
	// Unhashed is why SHA256 is nil although something was read or written:
	// package sftp has the list.
	Unhashed string `json:"unhashed,omitempty"`
	Entries  int    `json:"entries,omitempty"` // names that a list brought
	Kept     int64  `json:"kept,omitempty"`    // bytes in KindContent frames
	File     uint32 `json:"file,omitempty"`    // number by which KindContent frames name it, from 1 within its channel
	Open     bool   `json:"open,omitempty"`    // it was never closed: the channel ended before
}

// Transfer says what a channel without a terminal was for, and how much of it
// there was. It is told when the channel has ended.
type Transfer struct {
	Tool      string   `json:"tool"`                // exec, shell, subsystem, sftp, scp, rsync, git, forward, agent
	Direction string   `json:"direction,omitempty"` // up, down; "" where both or unknown
	Args      [][]byte `json:"args,omitempty"`      // of scp, rsync, git: words of the command, raw
	Paths     [][]byte `json:"paths,omitempty"`     // that they name on the node
	To        string   `json:"to,omitempty"`        // of a forward: host:port or path
	Input     int64    `json:"input"`               // bytes from the client
	Output    int64    `json:"output"`              // bytes from the node
	Stderr    int64    `json:"stderr,omitempty"`
	Exit      *uint32  `json:"exit,omitempty"`  // exit status; nil where there was none
	Files     int      `json:"files,omitempty"` // that were read or written, where it is known
	// Unfollowed says that a conversation of Tool could not be followed to its
	// end, and why: what is told of its files ends there.
	Unfollowed string `json:"unfollowed,omitempty"`
	Reason     string `json:"reason,omitempty"` // fault.Reason, where the proxy ended the channel
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
		return &DamageError{How: Malformed, Where: "frame", Number: f.Number, What: "payload of a " + f.Kind.String() + " is malformed", Err: err}
	}
	return nil
}
