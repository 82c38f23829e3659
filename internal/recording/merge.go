package recording

import "io"

// Rest makes blocks of what only the tails have, and hands them to emit one by
// one; each is valid until emit returns. Frames that can be read go into columns,
// by p, which it starts; those that cannot go as the records that they are. It
// returns the chain that the finished part has with them. Next is at the end
// afterwards.
func (r *Recording) Rest(p *Packer, emit func(block []byte) error) (Chain, error) {
	if err := r.intact(); err != nil {
		return r.index.chain, err
	}
	if r.seal != nil {
		return r.index.chain, r.nothingLeft()
	}
	if r.locked != nil {
		return r.restRaw(emit)
	}
	if err := p.Start(r.header, r.key, r.index.chain); err != nil {
		return r.index.chain, err
	}
	var buf []byte
	r.rewind(len(r.index.places))
	for {
		f, err := r.Next()
		if err != nil && err != io.EOF {
			return p.chain, err
		}
		if (err == io.EOF || p.Add(f)) && !p.Empty() {
			buf = p.Block(buf[:0])
			if err := emit(buf); err != nil {
				return p.chain, err
			}
		}
		if err == io.EOF {
			return p.chain, nil
		}
	}
}

// restRaw is Rest of a locked recording.
func (r *Recording) restRaw(emit func([]byte) error) (Chain, error) {
	p := rawPacker{keys: &r.keys, chain: r.index.chain}
	var buf []byte
	flush := func() error {
		if p.empty() {
			return nil
		}
		buf = p.block(buf[:0])
		return emit(buf)
	}
	r.rewind(len(r.index.places))
	r.next = max(r.next, 1)
	for {
		err := r.nextRecord()
		if err == io.EOF {
			if r.cut() {
				return p.chain, r.index.short
			}
			return p.chain, flush()
		}
		if err != nil {
			return p.chain, err
		}
		r.next = r.reader.next
		if p.add(r.reader.record, r.reader.before) {
			if err := flush(); err != nil {
				return p.chain, err
			}
		}
	}
}

// nothingLeft says that no tail goes on behind a seal.
func (r *Recording) nothingLeft() error {
	r.rewind(len(r.index.places))
	r.next = r.index.chain.Frames
	err := r.nextRecord()
	if err == nil {
		return &DamageError{How: AfterEnd, Where: "frame", Number: r.next, What: "it is sealed, and a tail goes on"}
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// cut says whether frames are missing that a block had which ends early. A seal
// has none: a crash cut it off before the tails were removed.
func (r *Recording) cut() bool {
	short := r.index.short
	return short != nil && r.next <= r.index.chain.Frames && (short.Where != "seal" || len(r.tails) == 0)
}

// intact says whether the finished part can be continued.
func (r *Recording) intact() error {
	switch {
	case r.index.broken != nil:
		return r.index.broken
	case r.badly != nil:
		return r.badly
	}
	return nil
}

// WriteTo writes everything that is there now to w, from the beginning, in the
// form of a finished part: its blocks as they are, what only the tails have as
// more of them, and the seal. It is how a recording travels. It needs no key.
// Next is at the end afterwards.
func (r *Recording) WriteTo(w io.Writer) (int64, error) {
	if err := r.intact(); err != nil {
		return 0, err
	}
	out := counter{w: w}
	if _, err := out.Write(r.header.Append(nil)); err != nil {
		return out.n, err
	}
	if r.rec != nil {
		from := out.n
		size := r.Finished() - from
		n, err := io.Copy(&out, io.NewSectionReader(r.rec, from, size))
		if err == nil && n < size {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return out.n, err
		}
	}
	_, err := r.Rest(new(Packer), func(block []byte) error {
		_, err := out.Write(block)
		return err
	})
	return out.n, err
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
