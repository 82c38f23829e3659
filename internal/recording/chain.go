package recording

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// Chain is how far a finished part goes, and the digest over all of it:
//
//	D_0 = SHA-256(domain, header and preface)
//	D_i = SHA-256(D_i-1, header of block i, its stored bytes)
//
// It is over what is stored, so that it is verified without a key.
type Chain struct {
	Header Digest // D_0
	Digest Digest // D_i
	Blocks uint64 // i
	Frames uint64 // number of the next frame, and so how many there are with frame 0
	Bytes  int64  // size of the finished part
	Last   time.Duration
}

// Chain returns the chain of a finished part that has a header alone.
func (h Header) Chain() Chain {
	d := h.Digest()
	return Chain{Header: d, Digest: d, Frames: 1, Bytes: h.Size()}
}

// link is D_i.
func link(before Digest, head, stored []byte) (d Digest) {
	s := sha256.New()
	s.Write(before[:])
	s.Write(head)
	s.Write(stored)
	s.Sum(d[:0])
	return d
}

// follows says whether the block of h may be the next one; what is why not.
func (c *Chain) follows(h *block) (how Damage, what string) {
	switch {
	case h.first > c.Frames:
		return Removed, fmt.Sprintf("it starts with frame %d, and %d is the next", h.first, c.Frames)
	case h.first < c.Frames:
		return Repeated, fmt.Sprintf("it starts with frame %d, and %d is the next", h.first, c.Frames)
	case h.start < c.Last:
		return Malformed, "it starts before the block before it has ended"
	}
	return "", ""
}

// pass steps over the block of h, whose digest is d.
func (c *Chain) pass(h *block, d Digest) {
	c.Digest = d
	c.Frames = h.first + uint64(h.frames)
	c.Bytes += h.size()
	c.Last = h.last
	if h.kind != blockSeal {
		c.Blocks++
	}
}

// put makes a block of dst[start:], where room for its header is left before the
// stored bytes, and steps over it.
func (c *Chain) put(dst []byte, start int, h *block) []byte {
	head, stored := dst[start:start+BlockHeaderSize], dst[start+BlockHeaderSize:]
	h.finish(head, stored)
	d := link(c.Digest, head, stored)
	c.pass(h, d)
	return append(dst, d[:]...)
}
