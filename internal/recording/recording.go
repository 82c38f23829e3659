// Package recording is the format of a session's evidence: an append-only
// sequence of frames, byte-exact, from which everything that crossed the proxy
// in one session can be told again. RECORDING.md says it byte by byte, for
// somebody who wants to write another reader.
//
// # Shape
//
// A frame is: number, time since the start, channel, kind, payload. Frames are
// numbered from zero without gaps.
//
// A recording lies in up to three files, through which frames move in one
// direction:
//
//	ID.tail   every new frame, one write each, before its bytes are delivered
//	ID.full   a tail that was large enough, while it is being compressed
//	ID.rec    the finished part: blocks of frames, compressed; at the end the seal
//
// A crash may leave a frame in two of them; the numbers tell, and a reader drops
// what it has seen. Whoever reads a live session opens tail, full and rec in
// this order, so that a frame which moves meanwhile is met once more and never
// missed (OpenDir does).
//
// Each begins with a header that says whose session it is, in clear, and holds
// the content key, encrypted to the auditors. When the session has ended there is
// only the finished part, and its last record is the seal.
//
// # Promises
//
// A reader returns exactly the frames that were appended, or an error that names
// the place and how it differs (Damage). One thing is dropped in silence: a last
// frame of a tail that is shorter than its length says. Its write had not
// returned, so its bytes were delivered to nobody. No length that the input
// claims makes a reader allocate beyond the limits below.
//
// In an encrypted recording each frame is bound to the one before, and nobody
// without the content key reads it or makes one that is accepted. The blocks of a
// finished part are a chain of SHA-256 digests over what is stored; the seal is
// the proxy's signature over its end. So Verify needs public keys alone to say
// that a sealed recording is what the proxy wrote, whole, in order and of this
// session.
//
// It does not promise anything about a proxy that lies while it records, and of a
// recording without a seal not that its end is the end.
//
// The package encodes and decodes; proxy/internal/recorder writes. It is pure: no
// network, no database, no clock; files only in OpenDir, OpenFile, LoadIdentities
// and Follow, to read.
package recording

import (
	"fmt"
	"hash/crc32"
	"time"
)

// Kind is what a frame tells. Values are the format's and never change. A
// reader passes on kinds that it does not know: they carry the same header.
type Kind uint8

const (
	KindSession Kind = 1  // JSON Meta: who, where, as whom, by which certificates. Frame 0, made of the header
	KindOpen    Kind = 2  // JSON Open: somebody asked for a channel
	KindRequest Kind = 3  // JSON Request: a channel or global request, with its raw payload
	KindInput   Kind = 4  // bytes from the client to the node
	KindOutput  Kind = 5  // bytes from the node, stdout
	KindStderr  Kind = 6  // bytes from the node, extended data type 1
	KindEOF     Kind = 7  // one side will send no more: payload is its Side, one byte
	KindClose   Kind = 8  // one side has closed the channel: payload is its Side, one byte
	KindBulk    Kind = 9  // JSON Bulk: what was not kept of one direction of a channel
	KindNotice  Kind = 10 // UTF-8 text that the proxy itself said to the person
	KindEnd     Kind = 11 // JSON End: why it ended. Last frame
	KindAnswer  Kind = 12 // JSON Answer: what became of an Open or a Request

	// Text typed at a terminal is veiled until the node has echoed it: what a
	// person pastes at a password prompt is not kept in clear.
	KindVeiled   Kind = 13 // like KindInput, under the recording's veil (ContentKey.Veil)
	KindReveal   Kind = 14 // binary: what of the veiled input was echoed, in clear (Reveal)
	KindFile     Kind = 15 // JSON FileOp: an SFTP operation that has ended
	KindTransfer Kind = 16 // JSON Transfer: what a channel carried, told at its end
	KindContent  Kind = 17 // binary: bytes of a file that a role wants kept (Content)
)

// IsContent says whether frames of kind k carry bytes that crossed the proxy.
func (k Kind) IsContent() bool { return k == KindInput || k == KindOutput || k == KindStderr }

func (k Kind) String() string {
	names := [...]string{"", "session", "open", "request", "input", "output", "stderr", "eof", "close", "bulk", "notice", "end", "answer", "veiled", "reveal", "file", "transfer", "content"}
	if int(k) < len(names) && k > 0 {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Side is who did something.
type Side string

const (
	Client Side = "c"
	Node   Side = "n"
	Proxy  Side = "p"
)

func (s Side) String() string {
	switch s {
	case Client:
		return "client"
	case Node:
		return "node"
	case Proxy:
		return "proxy"
	}
	return "nobody"
}

// Frame is one thing that happened.
type Frame struct {
	Number uint64
	// At is the time since the session's start, in whole microseconds; it never
	// falls from one frame to the next.
	At time.Duration
	// Channel is the recording's own number for a channel, given in the order in
	// which they were asked for, from 1, never twice. SSH's numbers differ on
	// both sides of the proxy and are used again. 0 is the connection itself.
	Channel uint32
	Kind    Kind
	Payload []byte
}

// Limits that writers keep and readers insist on, in bytes.
const (
	MaxPayload = 1 << 20 // of one frame
	MaxBlock   = 4 << 20 // of one block before compression
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is CRC-32C (RFC 3720, appendix B.4). It says what was damaged by
// accident; against intent there are tags, chain and seal.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
