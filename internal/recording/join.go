package recording

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Recording reads one recording from all of its files: the finished part, and
// the tails that continue it.
type Recording struct {
	header Header
	rec    io.ReaderAt  // nil: nothing is finished yet
	places []place      // its blocks
	short  *DamageError // set where it ends inside a block
	tails  []io.ReaderAt
	files  []io.Closer
	// finished is the size of the finished part up to its last whole block.
	finished int64

	// Where Next is.
	blocks unpacker
	block  int // index in places of the next block
	tail   int // index in tails of the next tail
	reader *TailReader
	next   uint64
	order  order
	torn   int64
	frame  Frame // what Seek has read ahead
	held   bool  // whether there is one
	err    error // sticky until Seek
}

// place is a block and where it stands.
type place struct {
	block
	offset int64
}

// Join reads the headers of a finished part and of its blocks, and the headers
// of the tails, which are given in the order of their frames; nil stands for a
// file that does not exist. At least one file must.
func Join(rec io.ReaderAt, tails ...io.ReaderAt) (*Recording, error) {
	r := &Recording{rec: rec}
	for _, t := range tails {
		if t != nil {
			r.tails = append(r.tails, t)
		}
	}
	if rec == nil {
		return r, r.openTails()
	}
	h, err := readHeader(io.NewSectionReader(rec, 0, HeaderSize))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return r, r.openTails() // a crash cut its first write: the tails have all
	}
	if err != nil {
		return nil, err
	}
	if h.Tail {
		return nil, &DamageError{Where: "header", What: "this is a tail, not a finished part"}
	}
	r.header = h
	r.finished = HeaderSize
	if err := r.scan(); err != nil {
		return nil, err
	}
	return r, r.openTails()
}

// openTails checks that the tails belong to this recording. A tail without a
// whole header has no frames, and does not count.
func (r *Recording) openTails() error {
	whole := r.tails[:0]
	for _, t := range r.tails {
		h, err := readHeader(io.NewSectionReader(t, 0, HeaderSize))
		if errors.Is(err, io.ErrUnexpectedEOF) {
			continue
		}
		if err != nil {
			return err
		}
		if !h.Tail {
			return &DamageError{Where: "header", What: "this is a finished part, not a tail"}
		}
		h.Tail, h.First = false, 0
		if r.header == (Header{}) {
			r.header = h
		}
		if h != r.header {
			return &DamageError{Where: "header", What: "a tail is of another recording"}
		}
		whole = append(whole, t)
	}
	r.tails = whole
	if r.header == (Header{}) {
		return &DamageError{Where: "header", What: "there is nothing in it", Err: io.ErrUnexpectedEOF}
	}
	r.blocks.seed = r.header.Seed()
	return nil
}

// scan goes from block header to block header. A last block that ends early is
// what a crash leaves while the tail is compressed; it is remembered, and is
// damage unless a tail has its frames.
func (r *Recording) scan() error {
	u := unpacker{seed: r.header.Seed()}
	for offset := r.finished; ; {
		var head [BlockHeaderSize]byte
		n, err := r.rec.ReadAt(head[:], offset)
		if n == 0 && err == io.EOF {
			return nil
		}
		if n < len(head) {
			if err != io.EOF {
				return err
			}
			r.short = u.damage("it is cut short", offset)
			return nil
		}
		h, err := u.header(head[:], offset)
		if err != nil {
			return err
		}
		var last [1]byte
		if n, err := r.rec.ReadAt(last[:], offset+h.size()-1); n == 0 {
			if err != io.EOF {
				return err
			}
			r.short = u.damage("it is cut short", offset)
			return nil
		}
		r.places = append(r.places, place{h, offset})
		u.pass(h)
		offset += h.size()
		r.finished = offset
	}
}

// Header returns the recording's header.
func (r *Recording) Header() Header { return r.header }

// Finished is the size of the finished part up to the end of its last whole
// block, in bytes; 0 when there is none.
func (r *Recording) Finished() int64 { return r.finished }

// Torn is the size of a frame that a crash left half written, after Next has
// returned io.EOF; 0 when there is none.
func (r *Recording) Torn() int64 { return r.torn }

// Close closes the files that OpenDir or OpenFile opened.
func (r *Recording) Close() error {
	var errs []error
	for _, f := range r.files {
		errs = append(errs, f.Close())
	}
	r.files = nil
	return errors.Join(errs...)
}

// Next returns the next frame; its payload is valid until the next call. It
// returns io.EOF after the last frame that is there now, whether or not that is
// a KindEnd; any other error is a *DamageError or a reader's own.
func (r *Recording) Next() (Frame, error) {
	if r.held {
		r.held = false
		return r.frame, nil
	}
	if r.err != nil {
		return Frame{}, r.err
	}
	f, err := r.read()
	if err == nil {
		err = r.order.check(f)
	}
	if err != nil {
		r.err = err
		return Frame{}, err
	}
	r.next = f.Number + 1
	return f, nil
}

func (r *Recording) read() (Frame, error) {
	for {
		if f, ok := r.blocks.frame(); ok {
			return f, nil
		}
		if r.block == len(r.places) {
			return r.readTail()
		}
		if err := r.unpack(r.places[r.block]); err != nil {
			return Frame{}, err
		}
		r.block++
	}
}

func (r *Recording) unpack(p place) error {
	stored := r.blocks.buffer(p.block)
	r.blocks.count = uint64(r.block)
	if n, err := r.rec.ReadAt(stored, p.offset+BlockHeaderSize); n < len(stored) {
		return r.blocks.short(err, p.offset)
	}
	return r.blocks.open(p.block, stored, p.offset)
}

// readTail returns the next frame of the tails that has not been seen.
func (r *Recording) readTail() (Frame, error) {
	for {
		if r.reader == nil {
			if r.tail == len(r.tails) {
				return Frame{}, r.end()
			}
			t, err := NewTailReader(io.NewSectionReader(r.tails[r.tail], 0, math.MaxInt64))
			if err != nil {
				return Frame{}, err
			}
			if first := t.Header().First; first > r.next {
				return Frame{}, &DamageError{Where: "tail", Number: uint64(r.tail),
					What: fmt.Sprintf("it starts with frame %d, and %d is the next", first, r.next)}
			}
			r.tail++
			r.reader = t
		}
		f, err := r.reader.Next()
		switch {
		case err == nil && f.Number < r.next:
			continue // it has moved to the finished part, or a crash left it in both
		case err == nil:
			return f, nil
		case err == io.EOF:
		case err == ErrTorn && r.tail == len(r.tails):
			r.torn = r.reader.Torn()
		case err == ErrTorn:
			return Frame{}, &DamageError{Where: "frame", Number: r.next, Offset: r.reader.Offset(), What: "it is cut short, and another tail follows"}
		default:
			return Frame{}, err
		}
		r.reader = nil
	}
}

// end is what follows the last frame.
func (r *Recording) end() error {
	if r.short != nil && r.next <= r.blocksEnd() {
		return r.short
	}
	return io.EOF
}

// blocksEnd is the number after the last frame of the finished part.
func (r *Recording) blocksEnd() uint64 {
	if len(r.places) == 0 {
		return 0
	}
	last := r.places[len(r.places)-1]
	return last.first + uint64(last.frames)
}

// Seek moves to the first frame at or after the time at, without reading what
// lies before its block.
func (r *Recording) Seek(at time.Duration) error {
	i := 0
	for i < len(r.places) && r.places[i].last < at {
		i++
	}
	r.SkipFinished()
	if i < len(r.places) {
		r.block, r.next = i, r.places[i].first
	}
	if at <= 0 {
		return nil // every frame is: also where the first is damaged
	}
	for {
		f, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if f.At >= at {
			r.frame, r.held = f, true
			return nil
		}
	}
}

// SkipFinished moves to the first frame that only the tails have.
func (r *Recording) SkipFinished() {
	r.blocks.cursor = cursor{}
	r.block, r.tail, r.reader, r.err, r.torn, r.held = len(r.places), 0, nil, nil, 0, false
	r.next, r.order = r.blocksEnd(), order{}
}
