package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// Recording reads one recording from all of its files: the finished part, and
// the tails that continue it. It is for one goroutine at a time.
type Recording struct {
	header Header // of the finished part
	meta   Meta
	key    ContentKey // zero: in clear, or locked
	locked error      // why it is; nil: it is not
	keys   keyring
	rec    io.ReaderAt // nil: nothing is finished yet
	index  index
	seal   *Seal
	badly  error // why the seal that is there does not count
	tails  []tailFile
	files  []io.Closer

	// Where Next is.
	blocks unpacker
	block  int // index in places of the next block
	tail   int // index in tails of the next tail
	reader *tailReader
	next   uint64
	order  order
	torn   int64
	frame  Frame // what Seek has read ahead
	held   bool  // whether there is one
	err    error // sticky until Seek
}

// tailFile is a tail with a whole header.
type tailFile struct {
	io.ReaderAt
	header Header
}

// Join reads the headers of a finished part and of its blocks, and the headers
// of the tails, which are given in the order of their frames; nil stands for a
// file that does not exist. At least one file must. That o opens nothing is no
// error: see Locked.
func Join(o Opener, rec io.ReaderAt, tails ...io.ReaderAt) (*Recording, error) {
	r := &Recording{}
	headed := false
	if rec != nil {
		h, err := readHeader(io.NewSectionReader(rec, 0, math.MaxInt64))
		switch {
		case err == nil && h.Tail:
			return nil, refuseHeader(Malformed, "this is a tail, not a finished part")
		case err == nil:
			r.header, r.rec, headed = h, rec, true
		case !errors.Is(err, io.ErrUnexpectedEOF): // a crash cut its first write: the tails have all
			return nil, err
		}
	}
	for _, t := range tails {
		if t == nil {
			continue
		}
		h, err := readHeader(io.NewSectionReader(t, 0, math.MaxInt64))
		if errors.Is(err, io.ErrUnexpectedEOF) {
			continue // it has no frames
		}
		if err != nil {
			return nil, err
		}
		if !h.Tail {
			return nil, refuseHeader(Malformed, "this is a finished part, not a tail")
		}
		if !headed {
			r.header, headed = h.ForRec(), true
		}
		if h.Digest() != r.header.Digest() {
			return nil, refuseHeader(Foreign, "a tail is of another recording")
		}
		r.tails = append(r.tails, tailFile{t, h})
	}
	if !headed {
		return nil, &DamageError{How: Truncated, Where: "header", What: "there is nothing in it", Err: io.ErrUnexpectedEOF}
	}
	return r, r.open(o)
}

// OpenAt opens the finished part of a recording, or what WriteTo has written, of
// size bytes. The Recording does not close r.
func OpenAt(r io.ReaderAt, size int64, o Opener) (*Recording, error) {
	return Join(o, io.NewSectionReader(r, 0, size))
}

// Owns has Close close c, too: what OpenAt reads from.
func (r *Recording) Owns(c io.Closer) { r.files = append(r.files, c) }

func (r *Recording) open(o Opener) error {
	var err error
	if r.meta, err = r.header.decodeMeta(); err != nil {
		return err
	}
	if r.header.Encrypted() {
		r.key, r.locked = openKey(r.header, o)
	}
	r.keys = newKeyring(r.header, r.key)
	r.blocks.keys = &r.keys
	r.index.chain = r.header.Chain()
	if r.rec != nil {
		if err := r.index.scan(r.rec, r.header, &r.keys); err != nil {
			return err
		}
		if r.index.seal != nil {
			if err := r.readSeal(); err != nil {
				return err
			}
		}
	}
	return nil
}

// readSeal reads the seal that is there. Whether it counts is kept apart: a
// recording whose seal is not its own is read all the same, up to there.
func (r *Recording) readSeal() error {
	p := r.index.seal
	whole := make([]byte, p.size())
	if err := p.read(r.rec, whole, 0); err != nil {
		return err
	}
	s, err := sealOf(p, whole, r.header, r.index.chain)
	r.seal, r.badly = s, err
	return nil
}

// sealOf checks a seal's record and that it is of what stands before it.
func sealOf(p *place, whole []byte, h Header, c Chain) (*Seal, error) {
	if _, how, what := p.check(whole, p.before); what != "" {
		return nil, p.damage(0, how, what)
	}
	s, err := ParseSeal(whole[BlockHeaderSize : len(whole)-trailerSize])
	if err == nil {
		err = s.of(h, c)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// read reads the n-th block from rec.
func (p *place) read(rec io.ReaderAt, whole []byte, n uint64) error {
	got, err := readAt(rec, whole, p.offset)
	if err == nil && got < len(whole) {
		err = p.damage(n, Truncated, "it is cut short")
	}
	return err
}

// damage says what is wrong with the block at p, the n-th.
func (p *place) damage(n uint64, how Damage, what string) *DamageError {
	e := &DamageError{How: how, Where: "block", Number: n, Offset: p.offset, What: what}
	if p.kind == blockSeal {
		e.Where = "seal"
	}
	return e
}

// Header returns the recording's header, that of its finished part.
func (r *Recording) Header() Header { return r.header }

// Meta says whose session it is; it is never encrypted.
func (r *Recording) Meta() Meta { return r.meta }

// Encrypted says whether the frames are encrypted.
func (r *Recording) Encrypted() bool { return r.header.Encrypted() }

// Locked says whether frames cannot be read, as no key was there to open them.
// Next says why.
func (r *Recording) Locked() bool { return r.locked != nil }

// WrappedKey is the content key as an age file; nil in clear.
func (r *Recording) WrappedKey() []byte { return r.header.Wrapped }

// ContentKey returns the key that opened the recording; ok is false where it is
// in clear or locked.
func (r *Recording) ContentKey() (k ContentKey, ok bool) { return r.key, r.key != (ContentKey{}) }

// Unveil returns what was typed in f, a KindVeiled, revealed or not. ok is false
// in a recording in clear, whose veil is lifted by nobody. It shows passwords:
// whoever calls it has asked whether that is wanted.
func (r *Recording) Unveil(f Frame) (text []byte, ok bool) {
	if f.Kind != KindVeiled || r.key == (ContentKey{}) {
		return nil, false
	}
	text = append(text, f.Payload...)
	r.key.Veil().Apply(f.Number, text)
	return text, true
}

// Seal returns the seal; nil where there is none yet. An error says that there
// is one which is not this recording's. Neither says whose signature it has: see
// CheckSeal and Verify.
func (r *Recording) Seal() (*Seal, error) { return r.seal, r.badly }

// Chain is how far the finished part goes, up to its last whole block.
func (r *Recording) Chain() Chain { return r.index.chain }

// Finished is the size of the finished part up to the end of its last whole
// block or its seal, in bytes; 0 when there is none.
func (r *Recording) Finished() int64 {
	switch {
	case r.rec == nil:
		return 0
	case r.index.seal != nil:
		return r.index.seal.offset + r.index.seal.size()
	}
	return r.index.chain.Bytes
}

// Short says that the finished part ends in the middle of a block: the rest was
// not written yet, or is on its way, or was taken away.
func (r *Recording) Short() bool { return r.index.short != nil && r.index.broken == nil }

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
// a KindEnd; a fault of reason recording_locked where no key opens it; any other
// error is a *DamageError or a reader's own.
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
	if r.locked != nil {
		return Frame{}, r.locked
	}
	if r.next == 0 {
		return Frame{Kind: KindSession, Payload: r.header.Meta}, nil
	}
	for {
		if f, ok, err := r.blocks.frame(); ok || err != nil {
			return f, err
		}
		if r.block == len(r.index.places) {
			return r.readTail()
		}
		if err := r.unpack(r.block); err != nil {
			return Frame{}, err
		}
		r.block++
	}
}

// unpack reads the n-th block, holds it to the chain and opens it.
func (r *Recording) unpack(n int) error {
	p := &r.index.places[n]
	b := r.load(uint64(n), r.blocks.whole)
	if b.err != nil {
		return b.err
	}
	r.blocks.whole, r.blocks.offset = b.whole, p.offset
	if how, what := r.blocks.open(&p.block, b.whole); what != "" {
		return p.damage(uint64(n), how, what)
	}
	return nil
}

// loaded is a block that was read and fits the chain; or why not.
type loaded struct {
	whole  []byte
	digest Digest
	err    error
}

// load reads the n-th block into whole, if it is large enough, and holds it to
// the chain. It needs no key.
func (r *Recording) load(n uint64, whole []byte) loaded {
	p := &r.index.places[n]
	if size := int(p.size()); cap(whole) < size {
		whole = make([]byte, size)
	} else {
		whole = whole[:size]
	}
	if err := p.read(r.rec, whole, n); err != nil {
		return loaded{err: err}
	}
	var h block
	how, what := h.parse(whole, &r.keys)
	if what == "" && h != p.block {
		how, what = Changed, "it is another one than a moment before"
	}
	var d Digest
	if what == "" {
		d, how, what = h.check(whole, p.before)
	}
	if what != "" {
		return loaded{err: p.damage(n, how, what)}
	}
	return loaded{whole: whole, digest: d}
}

// readTail returns the next frame of the tails that has not been seen.
func (r *Recording) readTail() (Frame, error) {
	err := r.nextRecord()
	if err == io.EOF {
		return r.end()
	}
	if err != nil {
		return Frame{}, err
	}
	if r.index.seal != nil {
		return Frame{}, &DamageError{How: AfterEnd, Where: "frame", Number: r.next, What: "it is sealed, and a tail goes on"}
	}
	return r.reader.frame()
}

// nextRecord steps to the record of frame next, and returns io.EOF where there
// is none. It needs no key.
func (r *Recording) nextRecord() error {
	for {
		if r.reader == nil {
			if r.tail == len(r.tails) {
				return io.EOF
			}
			t := r.tails[r.tail]
			if t.header.First > r.next {
				return &DamageError{How: Removed, Where: "tail", Number: uint64(r.tail),
					What: fmt.Sprintf("it starts with frame %d, and %d is the next", t.header.First, r.next)}
			}
			r.tail++
			size := t.header.Size()
			r.reader = newTailReader(io.NewSectionReader(t, size, math.MaxInt64-size), t.header, &r.keys)
		}
		err := r.reader.read()
		switch {
		case err == nil && r.reader.next <= r.next:
			continue // it has moved to the finished part, or a crash left it in both
		case err == nil:
			return nil
		case err == io.EOF:
		case err == ErrTorn && r.tail == len(r.tails):
			r.torn = r.reader.torn
		case err == ErrTorn:
			return &DamageError{How: Truncated, Where: "frame", Number: r.next, Offset: r.reader.offset, What: "it is cut short, and another tail follows"}
		default:
			return err
		}
		r.reader = nil
	}
}

// end is what follows the last frame that is stored: of a sealed recording
// without an end frame, that frame.
func (r *Recording) end() (Frame, error) {
	switch {
	case r.index.broken != nil:
		return Frame{}, r.index.broken
	case r.badly != nil:
		return Frame{}, r.badly
	case r.cut():
		return Frame{}, r.index.short
	case r.seal == nil || r.order.ended || r.next > r.seal.Frames:
		return Frame{}, io.EOF
	}
	payload, err := json.Marshal(r.seal.End)
	return Frame{Number: r.next, At: r.order.last, Kind: KindEnd, Payload: payload}, err
}
