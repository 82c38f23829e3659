package recording

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// HeaderSize is the size of a header in version 1, in bytes.
const HeaderSize = 56

// version of the format that this package writes, and the only one it reads.
const version = 1

// Magic numbers. As in PNG, the first byte is no ASCII and the end catches line
// ends that somebody translated.
var (
	magicRec  = []byte("\x89SPR\r\n\x1a\n")
	magicTail = []byte("\x89SPT\r\n\x1a\n")
)

// Header opens each of a recording's files.
type Header struct {
	Session id.Session
	Started time.Time // zero of the frames' times; whole microseconds
	// First is the number of the first frame of a tail; 0 in a finished part.
	First uint64
	// Tail says that frames follow plain and one by one; otherwise blocks do.
	Tail bool
}

// Layout (RECORDING.md, "Header"):
//
//	 0  8  magic
//	 8  2  version
//	10  2  cipher      0: none. The only one in version 1
//	12  2  chain       0: none; a block ends with its CRC-32C
//	14  2  seal        0: none will follow
//	16 16  session, padded with zeros
//	32  8  start, Unix microseconds
//	40  8  number of the first frame
//	48  4  length of the recipients, which follow the header; 0
//	52  4  CRC-32C of bytes 0 to 51
//
// Numbers are big-endian, as SSH's are (RFC 4251, section 5).

// Append appends the header's bytes to b.
func (h Header) Append(b []byte) []byte {
	start := len(b)
	if h.Tail {
		b = append(b, magicTail...)
	} else {
		b = append(b, magicRec...)
	}
	b = binary.BigEndian.AppendUint16(b, version)
	b = append(b, 0, 0, 0, 0, 0, 0) // cipher, chain, seal
	var session [16]byte
	copy(session[:], h.Session)
	b = append(b, session[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Started.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, h.First)
	b = append(b, 0, 0, 0, 0) // length of the recipients
	return binary.BigEndian.AppendUint32(b, Checksum(b[start:]))
}

// Seed is where the checksums of this recording's frames and blocks start, so
// that those of another recording do not match.
func (h Header) Seed() uint32 {
	var b [24]byte
	copy(b[:16], h.Session)
	binary.BigEndian.PutUint64(b[16:], uint64(h.Started.UnixMicro()))
	return crc32.Update(0, castagnoli, b[:])
}

// readHeader reads a header of either kind from r.
func readHeader(r io.Reader) (Header, error) {
	var b [HeaderSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return Header{}, &DamageError{Where: "header", What: "it is cut short", Err: io.ErrUnexpectedEOF}
		}
		return Header{}, err
	}
	return parseHeader(b[:])
}

func parseHeader(b []byte) (Header, error) {
	refuse := func(what string) (Header, error) {
		return Header{}, &DamageError{Where: "header", What: what}
	}
	var h Header
	switch magic := b[:8]; {
	case bytes.Equal(magic, magicTail):
		h.Tail = true
	case !bytes.Equal(magic, magicRec):
		return refuse("this is no recording")
	}
	if binary.BigEndian.Uint32(b[52:]) != Checksum(b[:52]) {
		return refuse("its checksum is wrong")
	}
	if binary.BigEndian.Uint16(b[8:]) != version {
		return refuse("it is of a later version")
	}
	// A reader that passed over these would show ciphertext for content, or call
	// whole what was never verified.
	if !allZero(b[10:16]) || !allZero(b[48:52]) {
		return refuse("it is encrypted, chained or sealed, which version 1 is not")
	}
	name, padding, _ := bytes.Cut(b[16:32], []byte{0})
	session, err := id.ParseSession(string(name))
	if err != nil || !allZero(padding) {
		return refuse("its session is malformed")
	}
	h.Session = session
	h.Started = time.UnixMicro(int64(binary.BigEndian.Uint64(b[32:]))).UTC()
	h.First = binary.BigEndian.Uint64(b[40:])
	if !h.Tail && h.First != 0 {
		return refuse("a finished part starts with frame 0")
	}
	return h, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
