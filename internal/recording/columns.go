package recording

import (
	"bytes"
	"encoding/binary"
	"time"
)

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
//	appendix   what is derived from frames before (screen.go)
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
	appendix []byte
}

// open checks the whole structure of body; what it returns is why not. After it,
// frame cannot fail.
func (c *cursor) open(h block, body []byte) string {
	n := int(h.frames)
	*c = cursor{next: h.first, at: h.start}
	if n > len(body) {
		return "its number of frames cannot be"
	}
	c.kinds = body[:n]
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
	if !wellFormed(rest) || h.screens && len(rest) == 0 {
		return "its appendix is malformed"
	}
	c.appendix = rest
	c.left = h.frames
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
