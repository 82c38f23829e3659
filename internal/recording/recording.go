// Package recording is the format of a session's evidence: an append-only
// sequence of frames, byte-exact, from which everything that crossed the proxy
// in one session can be told again.
//
// # Shape
//
// A recording is a header and then blocks. A block holds one or more frames,
// compressed (zstd) or plain, with its length, the number of its first frame and
// a checksum. Frames are numbered from zero without gaps, so that a reader can
// join a finished part and a crash's tail, and drop what it has seen.
//
// A frame is: time since the start (microseconds), channel number, kind, payload.
//
// # Two files while it lives
//
// The proxy appends every frame, plain, to ID.tail before it delivers the bytes
// (one write(2); the kernel has it when it returns, so a killed proxy loses
// nothing). When the tail is large enough or the session rests, its frames are
// compressed into one block that is appended to ID.rec, and the tail starts
// again. A crash between the two leaves frames in both; their numbers tell.
//
// The package encodes and decodes and owns no file: proxy/internal/recorder
// writes, and readers hand it an io.Reader. It is pure: no network, no database,
// no clock.
//
// The header has a place for the recipients of encryption, for the seal and for
// the digest chain. Version 1 leaves them empty and a version 1 reader refuses a
// header in which they are not.
package recording

// Kind is what a frame tells. Values are the format's and never change.
type Kind uint8

const (
	KindSession Kind = 1  // JSON Meta: who, where, as whom, by which certificates. First frame
	KindOpen    Kind = 2  // JSON Open: a channel was opened (or refused), by which side
	KindRequest Kind = 3  // JSON Request: a channel or global request, with its raw payload, and the answer
	KindInput   Kind = 4  // bytes from the client to the node
	KindOutput  Kind = 5  // bytes from the node, stdout
	KindStderr  Kind = 6  // bytes from the node, extended data type 1
	KindEOF     Kind = 7  // one side will send no more: payload "c" or "n"
	KindClose   Kind = 8  // a channel has closed
	KindBulk    Kind = 9  // JSON Bulk: what was not kept of a non-interactive channel, count and SHA-256 of the whole direction
	KindNotice  Kind = 10 // text that the proxy itself said to the person
	KindEnd     Kind = 11 // JSON End: why it ended. Last frame
)
