package recording

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Reader reads the frames of a finished part, or of what Merge wrote, from a
// stream.
type Reader struct {
	header Header
	r      *bufio.Reader
	blocks unpacker
	order  order
	offset int64 // of the next block
	err    error // sticky
}

// NewReader reads the header from r.
func NewReader(r io.Reader) (*Reader, error) {
	br := bufio.NewReaderSize(r, 32<<10)
	h, err := readHeader(br)
	if err != nil {
		return nil, err
	}
	if h.Tail {
		return nil, &DamageError{Where: "header", What: "this is a tail, not a finished part"}
	}
	return &Reader{header: h, r: br, blocks: unpacker{seed: h.Seed()}, offset: HeaderSize}, nil
}

// Header returns the recording's header.
func (r *Reader) Header() Header { return r.header }

// Next returns the next frame; its payload is valid until the next call. After
// the last it returns io.EOF, also when the session has not ended yet: only a
// KindEnd says that it has. Any other error is a *DamageError or r's own.
func (r *Reader) Next() (Frame, error) {
	if r.err != nil {
		return Frame{}, r.err
	}
	for {
		if f, ok := r.blocks.frame(); ok {
			r.err = r.order.check(f)
			return f, r.err
		}
		if r.err = r.read(); r.err != nil {
			return Frame{}, r.err
		}
	}
}

func (r *Reader) read() error {
	var head [BlockHeaderSize]byte
	if _, err := io.ReadFull(r.r, head[:]); err == io.EOF {
		return io.EOF
	} else if err != nil {
		return r.blocks.short(err, r.offset)
	}
	h, err := r.blocks.header(head[:], r.offset)
	if err != nil {
		return err
	}
	stored := r.blocks.buffer(h)
	if _, err := io.ReadFull(r.r, stored); err != nil {
		return r.blocks.short(err, r.offset)
	}
	if err := r.blocks.open(h, stored, r.offset); err != nil {
		return err
	}
	r.blocks.pass(h)
	r.offset += h.size()
	return nil
}

// order holds frames to what must come first and last.
type order struct {
	ended bool
}

func (o *order) check(f Frame) error {
	switch {
	case o.ended:
		return &DamageError{Where: "frame", Number: f.Number, What: "it comes after the end"}
	case (f.Number == 0) != (f.Kind == KindSession):
		return &DamageError{Where: "frame", Number: f.Number, What: "frame 0, and no other, says whose session it is"}
	}
	o.ended = f.Kind == KindEnd
	return nil
}

// unpacker turns blocks into frames and holds them to their order.
type unpacker struct {
	cursor
	seed   uint32
	count  uint64        // of the blocks that were passed
	expect uint64        // number of the next block's first frame
	last   time.Duration // of the block before
	stored []byte
	body   []byte
	dec    *zstd.Decoder // without goroutines; nothing to close
}

// header parses the next block's header, which stands at offset.
func (u *unpacker) header(b []byte, offset int64) (block, error) {
	var h block
	what := h.parse(b, u.seed)
	switch {
	case what != "":
	case h.first != u.expect:
		what = fmt.Sprintf("it starts with frame %d, and %d is the next", h.first, u.expect)
	case h.start < u.last:
		what = "it starts before the block before it has ended"
	}
	if what != "" {
		return h, u.damage(what, offset)
	}
	return h, nil
}

// pass steps over the block of h.
func (u *unpacker) pass(h block) {
	u.count++
	u.expect = h.first + uint64(h.frames)
	u.last = h.last
}

// buffer returns where the stored bytes of h and the trailer go.
func (u *unpacker) buffer(h block) []byte {
	n := int(h.stored) + trailerSize
	if cap(u.stored) < n {
		u.stored = make([]byte, n)
	}
	return u.stored[:n]
}

// open checks and unpacks the stored bytes of h with their trailer.
func (u *unpacker) open(h block, stored []byte, offset int64) error {
	stored, trailer := stored[:h.stored], stored[h.stored:]
	if crc32.Update(h.sum, castagnoli, stored) != binary.BigEndian.Uint32(trailer) {
		return u.damage("its checksum is wrong", offset)
	}
	body := stored
	if h.kind == blockZstd {
		if cap(u.body) < int(h.body) {
			u.body = make([]byte, 0, h.body)
		}
		if u.dec == nil {
			dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxMemory(MaxBlock), zstd.WithDecoderMaxWindow(MaxBlock), zstd.WithDecodeAllCapLimit(true))
			if err != nil {
				return err
			}
			u.dec = dec
		}
		var err error
		if body, err = u.dec.DecodeAll(stored, u.body[:0:h.body]); err != nil || len(body) != int(h.body) {
			return u.damage("it does not decompress to what its header says", offset)
		}
	}
	if what := u.cursor.open(h, body); what != "" {
		return u.damage(what, offset)
	}
	return nil
}

func (u *unpacker) damage(what string, offset int64) *DamageError {
	return &DamageError{Where: "block", Number: u.count, Offset: offset, What: what}
}

// short names the end of input inside a block.
func (u *unpacker) short(err error, offset int64) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return u.damage("it is cut short", offset)
	}
	return err
}
