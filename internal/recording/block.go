package recording

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// BlockHeaderSize is the size of what precedes a block's stored bytes.
const BlockHeaderSize = 44

// A block's stored bytes are its body, plain or compressed.
const (
	blockPlain = 1
	blockZstd  = 2
)

// block is a block's header. Layout (RECORDING.md, "Block"):
//
//	 0  1  type: 1 plain, 2 zstd
//	 1  3  zero
//	 4  4  length of the stored bytes
//	 8  4  length of the body
//	12  4  number of frames, at least 1
//	16  8  number of the first frame
//	24  8  time of the first frame, microseconds since the start
//	32  8  time of the last frame
//	40  4  CRC-32C, from the recording's seed, of bytes 0 to 39
//	44     stored bytes
//	 +  4  CRC-32C of the stored bytes, from the one at 40
//
// The header tells a seeking reader all that it needs: it goes from header to
// header and decodes one block. The checksum at the end is where the chain's
// digest will stand.
type block struct {
	kind        uint8
	stored      uint32
	body        uint32
	frames      uint32
	first       uint64
	start, last time.Duration
	sum         uint32 // the header's own
}

// trailerSize is the size of what follows the stored bytes.
const trailerSize = 4

// size is that of the whole block.
func (h *block) size() int64 { return BlockHeaderSize + int64(h.stored) + trailerSize }

func (h *block) put(b []byte, seed uint32) {
	_ = b[BlockHeaderSize-1]
	b[0], b[1], b[2], b[3] = h.kind, 0, 0, 0
	binary.BigEndian.PutUint32(b[4:], h.stored)
	binary.BigEndian.PutUint32(b[8:], h.body)
	binary.BigEndian.PutUint32(b[12:], h.frames)
	binary.BigEndian.PutUint64(b[16:], h.first)
	binary.BigEndian.PutUint64(b[24:], uint64(h.start/time.Microsecond))
	binary.BigEndian.PutUint64(b[32:], uint64(h.last/time.Microsecond))
	h.sum = crc32.Update(seed, castagnoli, b[:40])
	binary.BigEndian.PutUint32(b[40:], h.sum)
}

// parse reads a header; what it returns is why not, "" when it stands.
func (h *block) parse(b []byte, seed uint32) string {
	h.sum = binary.BigEndian.Uint32(b[40:])
	if h.sum != crc32.Update(seed, castagnoli, b[:40]) {
		return "the checksum of its header is wrong"
	}
	var ok, okLast bool
	h.kind = b[0]
	h.stored = binary.BigEndian.Uint32(b[4:])
	h.body = binary.BigEndian.Uint32(b[8:])
	h.frames = binary.BigEndian.Uint32(b[12:])
	h.first = binary.BigEndian.Uint64(b[16:])
	h.start, ok = micros(binary.BigEndian.Uint64(b[24:]))
	h.last, okLast = micros(binary.BigEndian.Uint64(b[32:]))
	switch {
	case h.kind != blockPlain && h.kind != blockZstd || b[1]|b[2]|b[3] != 0:
		return "it is of an unknown type"
	case h.body > MaxBlock || h.stored > MaxBlock:
		return "it is larger than a block may be"
	case h.kind == blockPlain && h.stored != h.body:
		return "its two lengths differ"
	case h.frames == 0 || h.frames > h.body/minFrame:
		return "its number of frames cannot be"
	case !ok || !okLast || h.last < h.start:
		return "its times cannot be"
	}
	return ""
}

// minFrame is what the smallest frame takes in a body: a byte in each of the
// four columns.
const minFrame = 4

// A body holds its frames in columns, because like lies well beside like: typed
// keys between their frames' times and lengths are noise to a compressor, and
// typed keys in a row are text. Columns take a tenth off an interactive hour.
//
//	kinds      1 byte each
//	channels   uvarint each
//	times      uvarint each: microseconds since the frame before; 0 for the first
//	lengths    uvarint each, of the payloads
//	payloads   all of kind 1 in order, then all of kind 2, and so on
//
// A uvarint is Go's encoding/binary form (LEB128).

// cursor walks over a body's columns.
type cursor struct {
	left     uint32
	next     uint64
	at       time.Duration
	kinds    []byte
	channels []byte
	times    []byte
	lengths  []byte
	payloads [256][]byte // by kind
}

// open checks the whole structure of body; what it returns is why not. After it,
// frame cannot fail.
func (c *cursor) open(h block, body []byte) string {
	n := int(h.frames)
	*c = cursor{left: h.frames, next: h.first, at: h.start, kinds: body[:n]}
	rest := body[n:]
	for _, column := range []*[]byte{&c.channels, &c.times, &c.lengths} {
		end := 0
		for range n {
			v, size := binary.Uvarint(rest[end:])
			if size <= 0 {
				return "a column is malformed"
			}
			end += size
			if column == &c.channels && v > 1<<32-1 || column == &c.lengths && v > MaxPayload {
				return "a column is out of range"
			}
		}
		*column, rest = rest[:end], rest[end:]
	}
	at := h.start
	for times := c.times; len(times) > 0; {
		v, size := binary.Uvarint(times)
		d, ok := micros(v)
		if at += d; !ok || at > h.last {
			return "its times are not those of its header"
		}
		times = times[size:]
	}
	if at != h.last {
		return "its times are not those of its header"
	}
	var sizes [256]int
	lengths := c.lengths
	for _, kind := range c.kinds {
		v, size := binary.Uvarint(lengths)
		lengths = lengths[size:]
		sizes[kind] += int(v)
	}
	if bytes.IndexByte(c.kinds, 0) >= 0 {
		return "a frame has no kind"
	}
	for kind, size := range sizes {
		if size > len(rest) {
			return "its payloads are cut short"
		}
		c.payloads[kind], rest = rest[:size], rest[size:]
	}
	if len(rest) > 0 {
		return "something follows its payloads"
	}
	return ""
}

// frame returns the next frame; ok is false at the end of the block.
func (c *cursor) frame() (f Frame, ok bool) {
	if c.left == 0 {
		return Frame{}, false
	}
	c.left--
	kind := c.kinds[0]
	c.kinds = c.kinds[1:]
	channel := take(&c.channels)
	c.at += time.Duration(take(&c.times)) * time.Microsecond
	length := take(&c.lengths)
	f = Frame{Number: c.next, At: c.at, Channel: uint32(channel), Kind: Kind(kind), Payload: c.payloads[kind][:length:length]}
	c.payloads[kind] = c.payloads[kind][length:]
	c.next++
	return f, true
}

func take(column *[]byte) uint64 {
	v, size := binary.Uvarint(*column)
	*column = (*column)[size:]
	return v
}
