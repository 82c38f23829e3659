package recording

import (
	"io"
	"time"
)

// Screens returns what terminals showed at the beginning of the block in which
// Next is; ok is false where that is not known. They are valid until the next
// block.
func (r *Recording) Screens() (screens []Screen, ok bool) { return r.blocks.screens, r.blocks.known }

// Seek moves to the first frame at or after the time at, without reading what
// lies before its block.
func (r *Recording) Seek(at time.Duration) error {
	if at <= 0 {
		r.rewind(0)
		return nil // every frame is: also where the first is damaged
	}
	r.rewind(r.find(at))
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

// SeekScreen moves to the beginning of a block at or before the time at where
// all screens are known, or to the beginning: who plays from there shows the
// right picture when they come to at.
func (r *Recording) SeekScreen(at time.Duration) error {
	i := min(r.find(at), len(r.index.places)-1)
	for i > 0 && (!r.index.places[i].screens || r.index.places[i].start > at) {
		i--
	}
	if i <= 0 || r.locked != nil {
		r.rewind(0)
		return nil
	}
	r.rewind(i)
	if err := r.unpack(i); err != nil {
		return err
	}
	r.block++
	return nil
}

// SkipFinished moves to the first frame that only the tails have; where nothing
// is finished, that is frame 0.
func (r *Recording) SkipFinished() {
	r.rewind(len(r.index.places))
	r.order.ended = r.seal != nil // the seal's end is no tail's
}

// seekFrame moves to frame number, of which it is known that it is not before at.
func (r *Recording) seekFrame(number uint64, at time.Duration) error {
	n := 0
	for n < len(r.index.places) && r.index.places[n].first+uint64(r.index.places[n].frames) <= number {
		n++
	}
	if r.rewind(n); n == len(r.index.places) {
		r.next, r.order.last = max(r.next, number), at
		return nil // the tails are read from there
	}
	for r.next < number {
		if _, err := r.Next(); err != nil {
			return err
		}
	}
	return nil
}

// find returns the first block that may have a frame at or after at. The last
// time of a raw block is not known; and a sealed recording's end is made only by
// who has seen the last block.
func (r *Recording) find(at time.Duration) int {
	i, n := 0, len(r.index.places)
	if r.index.seal != nil {
		n--
	}
	for i < n && r.index.places[i].last < at && r.index.places[i].columns() {
		i++
	}
	return i
}

// rewind moves to the beginning of the n-th block, or behind the last, where the
// tails go on.
func (r *Recording) rewind(n int) {
	r.blocks.clear()
	r.block, r.tail, r.reader, r.err, r.torn, r.held = n, 0, nil, nil, 0, false
	r.order = order{}
	switch {
	case n == 0:
		r.next = 0
	case n < len(r.index.places):
		r.next, r.order.last = r.index.places[n].first, r.index.places[n].start
	default:
		r.next, r.order.last = r.index.chain.Frames, r.index.chain.Last
	}
}
