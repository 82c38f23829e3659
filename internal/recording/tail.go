package recording

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// FrameHeaderSize is the size of what precedes a payload in a tail, in bytes.
const FrameHeaderSize = 36

// ErrTorn ends a tail whose last frame is shorter than its length says: the
// write was cut off, so it never returned, so its bytes were delivered to
// nobody. Everything before it is whole.
var ErrTorn = errors.New("the last frame of the tail was never fully written")

// Layout of a frame in a tail (RECORDING.md, "Tail"):
//
//	 0  8  number
//	 8  8  time since the start, microseconds
//	16  4  channel
//	20  4  length of the payload
//	24  1  kind
//	25  3  zero
//	28  4  CRC-32C of the payload
//	32  4  CRC-32C, from the recording's seed, of bytes 0 to 31
//	36     payload
//
// The second checksum is apart from the payload so that a damaged length is told
// from a frame that ends early.

// PutFrameHeader writes the header of f, whose payload has the checksum sum,
// into b, which is FrameHeaderSize long.
func PutFrameHeader(b []byte, seed uint32, f *Frame, sum uint32) {
	_ = b[FrameHeaderSize-1]
	binary.BigEndian.PutUint64(b, f.Number)
	binary.BigEndian.PutUint64(b[8:], uint64(f.At/time.Microsecond))
	binary.BigEndian.PutUint32(b[16:], f.Channel)
	binary.BigEndian.PutUint32(b[20:], uint32(len(f.Payload)))
	b[24], b[25], b[26], b[27] = byte(f.Kind), 0, 0, 0
	binary.BigEndian.PutUint32(b[28:], sum)
	binary.BigEndian.PutUint32(b[32:], crc32.Update(seed, castagnoli, b[:32]))
}

// TailReader reads the frames of a tail in order.
type TailReader struct {
	header Header
	seed   uint32
	r      *bufio.Reader
	offset int64 // of the next frame
	next   uint64
	last   time.Duration
	head   [FrameHeaderSize]byte
	buf    []byte
	torn   int64
	err    error // sticky
}

// NewTailReader reads the header of a tail from r.
func NewTailReader(r io.Reader) (*TailReader, error) {
	br := bufio.NewReaderSize(r, 32<<10)
	h, err := readHeader(br)
	if err != nil {
		return nil, err
	}
	if !h.Tail {
		return nil, &DamageError{Where: "header", What: "this is a finished part, not a tail"}
	}
	return &TailReader{header: h, seed: h.Seed(), r: br, offset: HeaderSize, next: h.First}, nil
}

// Header returns the tail's header.
func (t *TailReader) Header() Header { return t.header }

// Offset is where the frame that Next returns next begins; after an error, where
// the whole frames end.
func (t *TailReader) Offset() int64 { return t.offset }

// Torn is the size of the frame for which Next returned ErrTorn, as far as it is
// there.
func (t *TailReader) Torn() int64 { return t.torn }

// Next returns the next frame; its payload is valid until the next call. At the
// end it returns io.EOF, or ErrTorn where part of a frame follows; any other
// error is a *DamageError or the reader's own.
func (t *TailReader) Next() (Frame, error) {
	if t.err != nil {
		return Frame{}, t.err
	}
	f, err := t.read()
	if err != nil {
		t.err = err
		return Frame{}, err
	}
	t.offset += FrameHeaderSize + int64(len(f.Payload))
	t.next++
	t.last = f.At
	return f, nil
}

func (t *TailReader) read() (Frame, error) {
	head := t.head[:]
	if n, err := io.ReadFull(t.r, head); err != nil {
		return Frame{}, t.short(n, err)
	}
	if allZero(head) {
		return Frame{}, t.zeros()
	}
	if binary.BigEndian.Uint32(head[32:]) != crc32.Update(t.seed, castagnoli, head[:32]) {
		return Frame{}, t.damage("the checksum of its header is wrong")
	}
	at, ok := micros(binary.BigEndian.Uint64(head[8:]))
	f := Frame{
		Number:  binary.BigEndian.Uint64(head),
		At:      at,
		Channel: binary.BigEndian.Uint32(head[16:]),
		Kind:    Kind(head[24]),
	}
	size := binary.BigEndian.Uint32(head[20:])
	switch {
	case f.Number != t.next:
		return Frame{}, t.damage(fmt.Sprintf("frame %d stands in its place", f.Number))
	case size > MaxPayload:
		return Frame{}, t.damage("it is larger than a frame may be")
	case head[25]|head[26]|head[27] != 0:
		return Frame{}, t.damage("its reserved bytes are not zero")
	case f.Kind == 0:
		return Frame{}, t.damage("it has no kind")
	case !ok || at < t.last:
		return Frame{}, t.damage("its time is before that of the frame before")
	}
	if cap(t.buf) < int(size) {
		t.buf = make([]byte, max(int(size), 4096))
	}
	f.Payload = t.buf[:size]
	if n, err := io.ReadFull(t.r, f.Payload); err != nil {
		return Frame{}, t.short(FrameHeaderSize+n, err)
	}
	if binary.BigEndian.Uint32(head[28:]) != Checksum(f.Payload) {
		return Frame{}, t.damage("the checksum of its payload is wrong")
	}
	return f, nil
}

// zeros accepts a tail that ends in nothing but zeros: some file systems leave
// them after a power cut, where the size was written and the data was not.
func (t *TailReader) zeros() error {
	var b [4096]byte
	t.torn = FrameHeaderSize
	for {
		n, err := t.r.Read(b[:])
		t.torn += int64(n)
		if !allZero(b[:n]) {
			return t.damage("it is overwritten with zeros")
		}
		if err == io.EOF {
			return ErrTorn
		}
		if err != nil {
			return err
		}
	}
}

func (t *TailReader) damage(what string) error {
	return &DamageError{Where: "frame", Number: t.next, Offset: t.offset, What: what}
}

// short names the end of input inside a frame, of which n bytes are there.
func (t *TailReader) short(n int, err error) error {
	if err != io.ErrUnexpectedEOF && (err != io.EOF || n == 0) {
		return err
	}
	t.torn = int64(n)
	return ErrTorn
}

// micros reads a time; ten years is more than any session lasts, and far from
// where a time.Duration overflows.
func micros(n uint64) (time.Duration, bool) {
	const most = uint64(10 * 366 * 24 * time.Hour / time.Microsecond)
	return time.Duration(min(n, most)) * time.Microsecond, n <= most
}
