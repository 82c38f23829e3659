package recording

import (
	"io"
	"time"
)

// Report is what Verify found. With an error it tells what stands before the
// damage.
type Report struct {
	Header    Header // of the finished part
	Meta      Meta
	Encrypted bool
	// Opened says that the contents were read, and not the chain over them alone.
	Opened bool
	Chain  Chain // over the blocks that were verified
	// Lasted is until the last frame whose time is known.
	Lasted time.Duration
	// Seal is what the proxy says of the whole; nil where there is none. Without
	// an error from Verify it is proven.
	Seal *Seal
}

// Verify reads a finished recording of size bytes from r, once and block by
// block, and says whether it is what a proxy sealed: header, chain, seal, the
// proxy's certificate, and with t's other keys the certificates in Meta. With an
// Opener that opens it the contents are read, too; without, the chain proves
// them all the same.
//
// What is wrong is a *DamageError; any other error is r's.
func Verify(r io.ReaderAt, size int64, t Trust, o Opener) (Report, error) {
	rec, err := OpenAt(r, size, o)
	if err != nil {
		return Report{}, err
	}
	report := Report{
		Header: rec.header, Meta: rec.meta, Encrypted: rec.Encrypted(), Opened: !rec.Locked(),
		Seal: rec.seal, Chain: rec.header.Chain(),
	}
	if err := rec.verify(&report); err != nil {
		return report, err
	}
	switch {
	case rec.index.broken != nil:
		return report, rec.index.broken
	case rec.index.short != nil:
		return report, rec.index.short
	case rec.badly != nil:
		return report, rec.badly
	case rec.seal == nil:
		return report, &DamageError{How: Unsealed, Where: "seal", Offset: size, What: "there is none: the recording was cut here, or is not finished"}
	}
	if err := CheckSeal(rec.seal, t.HostCA); err != nil {
		return report, err
	}
	return report, t.check(rec.meta)
}

// CheckBlocks holds every block of the finished part to the chain, and opens
// those for which there is a key.
func (r *Recording) CheckBlocks() error {
	report := Report{Chain: r.header.Chain()}
	if err := r.verify(&report); err != nil {
		return err
	}
	return r.intact()
}

// verify reads all blocks. One goroutine reads and hashes, and this one opens
// what it has read before.
func (r *Recording) verify(report *Report) error {
	free, ready, stop := make(chan []byte, 2), make(chan loaded, 1), make(chan struct{})
	free <- nil
	free <- nil
	go r.loadAll(free, ready, stop)
	defer func() {
		close(stop)
		for range ready { // until loadAll has ended
		}
	}()
	u := unpacker{keys: &r.keys}
	o := order{}
	for i := range r.index.places {
		p := &r.index.places[i]
		b := <-ready
		if b.err != nil {
			return b.err
		}
		if err := r.look(&u, &o, uint64(i), b.whole); err != nil {
			return err
		}
		report.Chain.pass(&p.block, b.digest)
		report.Lasted = max(p.last, o.last)
		free <- b.whole
	}
	return nil
}

// loadAll reads the blocks into free buffers.
func (r *Recording) loadAll(free <-chan []byte, ready chan<- loaded, stop <-chan struct{}) {
	defer close(ready)
	for i := range r.index.places {
		var whole []byte
		select {
		case whole = <-free:
		case <-stop:
			return
		}
		b := r.load(uint64(i), whole)
		select {
		case ready <- b:
		case <-stop:
			return
		}
		if b.err != nil {
			return
		}
	}
}

// look reads the frames of a block, as far as that can be done.
func (r *Recording) look(u *unpacker, o *order, n uint64, whole []byte) error {
	p := &r.index.places[n]
	if r.locked != nil {
		if p.kind != blockRaw {
			return nil
		}
		if how, what := checkRaw(p.block, whole[BlockHeaderSize:len(whole)-trailerSize], u.keys); what != "" {
			return p.damage(n, how, what)
		}
		return nil
	}
	u.offset = p.offset
	if how, what := u.open(&p.block, whole); what != "" {
		return p.damage(n, how, what)
	}
	for {
		f, ok, err := u.frame()
		if err == nil && ok {
			err = o.check(f)
		}
		if !ok || err != nil {
			return err
		}
	}
}
