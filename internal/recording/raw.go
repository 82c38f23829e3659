package recording

import "encoding/binary"

// A raw block carries records of a tail as they were, by somebody who has no key
// to open them: a proxy that was started again after a crash, or one who copies
// a live recording. Its stored bytes are the tag of the frame before the first
// record (zero in clear), and the records.
//
// Its times are in the records. The header repeats that of the last frame before
// whose time is known, twice: not before then.

// rawTarget is when a raw block is closed.
const rawTarget = 1 << 20

// rawPacker makes raw blocks.
type rawPacker struct {
	keys    *keyring
	chain   Chain
	header  block
	records []byte // with the tag before
}

// add puts a record behind those before it; before is the tag of the one before.
func (p *rawPacker) add(record []byte, before Tag) (full bool) {
	if p.header.frames == 0 {
		p.header = block{kind: blockRaw, first: binary.BigEndian.Uint64(record), start: p.chain.Last, last: p.chain.Last}
		p.records = append(p.records[:0], before[:]...)
	}
	p.header.frames++
	p.records = append(p.records, record...)
	return len(p.records) >= rawTarget
}

func (p *rawPacker) empty() bool { return p.header.frames == 0 }

// block appends a block of what was added to dst, and begins the next.
func (p *rawPacker) block(dst []byte) []byte {
	h := p.header
	p.header = block{}
	h.stored, h.body = uint32(len(p.records)), uint32(len(p.records))
	start := len(dst)
	dst = append(dst, make([]byte, BlockHeaderSize)...)
	dst = append(dst, p.records...)
	h.fixed(dst[start:], p.keys)
	return p.chain.put(dst, start, &h)
}

// rawCursor walks over a raw block's records.
type rawCursor struct {
	left    uint32
	records []byte
	before  Tag
	opener  recordOpener
}

// check walks over the records of a raw block, without opening them.
func checkRaw(h block, stored []byte, keys *keyring) (how Damage, what string) {
	if len(stored) < len(Tag{}) {
		return Malformed, "it is smaller than a raw block can be"
	}
	rest := stored[len(Tag{}):]
	for i := range h.frames {
		if len(rest) < RecordHeaderSize {
			return Malformed, "its records are cut short"
		}
		var r recordHead
		if how, what := r.parse(rest, keys, h.first+uint64(i)); what != "" {
			return how, what
		}
		if len(rest)-RecordHeaderSize < r.size {
			return Malformed, "its records are cut short"
		}
		if Checksum(rest[RecordHeaderSize:RecordHeaderSize+r.size]) != r.sum {
			return Changed, "the checksum of a record is wrong"
		}
		rest = rest[RecordHeaderSize+r.size:]
	}
	if len(rest) > 0 {
		return Malformed, "something follows its records"
	}
	return "", ""
}

// begin starts on a raw block that checkRaw let pass.
func (c *rawCursor) begin(h block, stored []byte, keys *keyring) {
	c.left, c.records = h.frames, stored[len(Tag{}):]
	c.before = Tag(stored)
	c.opener.keys, c.opener.last = keys, h.start
}

// frame returns the next frame; ok is false at the end of the block. Its payload
// is valid until the next call.
func (c *rawCursor) frame() (f Frame, ok bool, how Damage, what string) {
	if c.left == 0 {
		return f, false, "", ""
	}
	c.left--
	size := RecordHeaderSize + int(binary.BigEndian.Uint32(c.records[8:]))
	record := c.records[:size:size]
	f, how, what = c.opener.open(record, &c.before)
	if c.records = c.records[size:]; c.opener.keys.encrypted {
		c.before = tagOf(record)
	}
	return f, true, how, what
}
