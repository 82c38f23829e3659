package sftp

import (
	"crypto/sha256"
	"hash"
	"slices"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Why content has no digest: FileOp.Unhashed.
const (
	Part      = "part"      // not from its beginning to its end
	Gaps      = "gaps"      // something in the middle was left out
	Twice     = "twice"     // a part passed more than once
	Unordered = "unordered" // its parts came too far out of order to be held
	Appended  = "appended"  // opened to append: the node decides where content goes
	Failed    = "failed"    // the node did not take a part, or could not close it
	Changed   = "changed"   // the node was told to cut it, or to copy into it
	Unclosed  = "unclosed"  // the channel ended first
)

// content is what passed of a file in one direction.
type content struct {
	bytes int64     // that passed
	next  int64     // offset up to which everything has passed, once and in a row
	sum   hash.Hash // of that; nil at first
	held  []piece   // that came before what belongs in front of it, by offset
	why   string    // there will be no digest
}

// piece is content that waits for what belongs in front of it.
type piece struct {
	at int64
	b  []byte
}

func (p piece) end() int64 { return p.at + int64(len(p.b)) }

// payload is where in which file the content stands that passes.
type payload struct {
	file *file
	at   int64
}

// written is direction.pass of the client.
func (p *Parser) written(b []byte, _ bool) error {
	f, at := p.up.file, p.up.at
	p.up.at += int64(len(b))
	if f.op.Flags&flagAppend != 0 {
		p.spoil(&f.in, Appended)
	}
	return p.take(&f.in, recording.Client, f, at, b)
}

// read is direction.pass of the node.
func (p *Parser) read(b []byte, last bool) error {
	f, at := p.down.file, p.down.at
	p.down.at += int64(len(b))
	if err := p.take(&f.out, recording.Node, f, at, b); err != nil || !last {
		return err
	}
	f.pending--
	return p.settle(f)
}

// take keeps, counts and sums a piece of content that passes.
func (p *Parser) take(c *content, from recording.Side, f *file, at int64, b []byte) error {
	if n := min(p.Keep-f.op.Kept, int64(len(b))); n > 0 {
		if err := p.Content(recording.Content{From: from, File: f.op.File, Offset: uint64(at), Bytes: b[:n]}); err != nil {
			return err
		}
		f.op.Kept += n
	}
	c.bytes += int64(len(b))
	switch {
	case c.why != "":
	case at < c.next:
		p.spoil(c, Twice)
	case at > c.next:
		p.hold(c, at, b)
	default:
		c.add(b)
		p.release(c)
	}
	return nil
}

// add sums what comes next.
func (c *content) add(b []byte) {
	if c.sum == nil {
		c.sum = sha256.New()
	}
	c.sum.Write(b)
	c.next += int64(len(b))
}

func (c *content) digest() []byte {
	if c.sum == nil {
		return sha256.New().Sum(nil)
	}
	return c.sum.Sum(nil)
}

// hold keeps a copy of a piece until its turn.
func (p *Parser) hold(c *content, at int64, b []byte) {
	i, same := slices.BinarySearchFunc(c.held, at, func(h piece, at int64) int {
		switch {
		case h.at < at:
			return -1
		case h.at > at:
			return 1
		}
		return 0
	})
	end := at + int64(len(b))
	if same || i > 0 && c.held[i-1].end() > at || i < len(c.held) && c.held[i].at < end {
		p.spoil(c, Twice)
		return
	}
	if p.pieces+len(b)+pieceCost > maxPieces {
		p.spoil(c, Unordered)
		return
	}
	if i > 0 && c.held[i-1].end() == at {
		c.held[i-1].b = append(c.held[i-1].b, b...)
		p.pieces += len(b)
		return
	}
	c.held = slices.Insert(c.held, i, piece{at, slices.Clone(b)})
	p.pieces += len(b) + pieceCost
}

// release sums the pieces whose turn has come.
func (p *Parser) release(c *content) {
	for len(c.held) > 0 && c.why == "" {
		h := c.held[0]
		if h.at > c.next {
			return
		}
		if h.at < c.next {
			p.spoil(c, Twice)
			return
		}
		c.add(h.b)
		c.held = slices.Delete(c.held, 0, 1)
		p.pieces -= len(h.b) + pieceCost
	}
}

// spoil gives the digest up; the first reason stays.
func (p *Parser) spoil(c *content, why string) {
	if c.why == "" {
		c.why = why
	}
	p.drop(c)
}

// drop forgets what is held.
func (p *Parser) drop(c *content) {
	for _, h := range c.held {
		p.pieces -= len(h.b) + pieceCost
	}
	c.held = nil
}
