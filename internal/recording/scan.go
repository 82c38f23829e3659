package recording

import (
	"io"
)

// place is a block and where it stands.
type place struct {
	block
	offset int64
	before Digest // D_i-1
}

// index is what one learns of a finished part by going from block header to
// block header.
type index struct {
	places []place
	seal   *place // nil: there is none
	chain  Chain  // over places
	// short is set where the part ends inside a block: what a crash leaves while a
	// tail is compressed. It is damage unless a tail has its frames.
	short *DamageError
	// broken is set where what follows is not what a writer wrote. The places
	// before it stand.
	broken *DamageError
}

// scan reads the block headers of rec, and the digests between them: one read
// for each block. An error is the reader's own.
func (x *index) scan(rec io.ReaderAt, h Header, keys *keyring) error {
	x.chain = h.Chain()
	offset, digest := x.chain.Bytes, x.chain.Digest
	var head [BlockHeaderSize]byte
	n, err := readAt(rec, head[:], offset)
	if err != nil {
		return err
	}
	for n > 0 {
		damage := func(how Damage, what string) *DamageError {
			e := &DamageError{How: how, Where: "block", Number: x.chain.Blocks, Offset: offset, What: what}
			if how == Truncated && head[0] == blockSeal {
				e.Where = "seal"
			}
			return e
		}
		if x.seal != nil {
			x.broken = x.afterSeal(head[:n], keys, offset)
			return nil
		}
		if n < len(head) {
			x.short = damage(Truncated, "it is cut short")
			return nil
		}
		var b block
		how, what := b.parse(head[:], keys)
		if what == "" {
			how, what = x.chain.follows(&b)
		}
		if what != "" {
			x.broken = damage(how, what)
			if how == Removed && x.later(rec, keys, offset+b.size(), b.first) {
				x.broken.How = Reordered
			}
			return nil
		}
		// The trailer, and with it the header of the block behind.
		var next [trailerSize + BlockHeaderSize]byte
		if n, err = readAt(rec, next[:], offset+BlockHeaderSize+int64(b.stored)); err != nil {
			return err
		}
		if n < trailerSize {
			x.short = damage(Truncated, "it is cut short")
			return nil
		}
		p := place{b, offset, digest}
		digest = Digest(next[:trailerSize])
		if b.kind == blockSeal {
			x.seal = &p
		} else {
			x.places = append(x.places, p)
			x.chain.pass(&b, digest)
		}
		offset += b.size()
		n -= trailerSize
		copy(head[:], next[trailerSize:])
	}
	return nil
}

// later says whether behind offset stands a block with frames before first: then
// blocks were exchanged, and not removed.
func (x *index) later(rec io.ReaderAt, keys *keyring, offset int64, first uint64) bool {
	for {
		var head [BlockHeaderSize]byte
		if n, err := readAt(rec, head[:], offset); err != nil || n < len(head) {
			return false
		}
		var b block
		if _, what := b.parse(head[:], keys); what != "" {
			return false
		}
		if b.first < first {
			return true
		}
		offset += b.size()
	}
}

// afterSeal names what follows a seal, of which head is the beginning.
func (x *index) afterSeal(head []byte, keys *keyring, offset int64) *DamageError {
	e := &DamageError{How: AfterEnd, Where: "seal", Offset: offset, What: "something follows it"}
	var b block
	if len(head) == BlockHeaderSize {
		if how, what := b.parse(head, keys); what == "" && b.kind == blockSeal {
			e.How, e.What = SecondEnd, "there is a second seal"
		} else if how == Foreign && head[0] == blockSeal {
			e.How, e.What = SecondEnd, "there is a second seal, of another recording"
		}
	}
	return e
}

// readAt reads as much of b as is there.
func readAt(r io.ReaderAt, b []byte, offset int64) (int, error) {
	n, err := r.ReadAt(b, offset)
	if err == io.EOF || n == len(b) {
		err = nil
	}
	return n, err
}
