package recording

import (
	"encoding/binary"
	"time"
)

// BlockHeaderSize is the size of what precedes a block's stored bytes.
const BlockHeaderSize = 52

// Types of what stands after the header of a finished part.
const (
	blockPlain = 1 // a body in columns
	blockZstd  = 2 // the same, compressed
	blockRaw   = 3 // records of a tail as they were
	blockSeal  = 4 // the seal, which is the last
)

// flagScreens says that a block's appendix has the screens of all terminals that
// were open at its beginning.
const flagScreens = 1

// What encryption adds to a block in columns: a nonce before, a tag after.
const (
	nonceSize = 12
	sealing   = nonceSize + len(Tag{})
)

// block is a block's header. Layout (RECORDING.md, "Block"):
//
//	 0  1  type: 1 plain, 2 zstd, 3 raw, 4 seal
//	 1  1  flags: 1, screens
//	 2  2  zero
//	 4  4  length of the stored bytes
//	 8  4  length of the body
//	12  4  number of frames
//	16  8  number of the first frame
//	24  8  time of the first frame, microseconds since the start
//	32  8  time of the last frame
//	40  4  mark of the recording
//	44  4  CRC-32C of the stored bytes
//	48  4  CRC-32C of bytes 0 to 47
//	52     stored bytes
//	 + 32  D_i, the chain's digest
//
// The header tells a seeking reader all that it needs: it goes from header to
// header and decodes one block. The checksums are there to say what is wrong; that
// nothing is, the chain says.
type block struct {
	kind        uint8
	screens     bool
	stored      uint32
	body        uint32
	frames      uint32
	first       uint64
	start, last time.Duration
	sum         uint32 // of the stored bytes
}

// trailerSize is the size of what follows the stored bytes.
const trailerSize = len(Digest{})

// size is that of the whole block.
func (h *block) size() int64 { return BlockHeaderSize + int64(h.stored) + int64(trailerSize) }

// fixed writes what of the header does not depend on the stored bytes, and is
// therefore additional data of their encryption.
func (h *block) fixed(b []byte, keys *keyring) {
	_ = b[BlockHeaderSize-1]
	flags := byte(0)
	if h.screens {
		flags = flagScreens
	}
	b[0], b[1], b[2], b[3] = h.kind, flags, 0, 0
	binary.BigEndian.PutUint32(b[4:], h.stored)
	binary.BigEndian.PutUint32(b[8:], h.body)
	binary.BigEndian.PutUint32(b[12:], h.frames)
	binary.BigEndian.PutUint64(b[16:], h.first)
	binary.BigEndian.PutUint64(b[24:], uint64(h.start/time.Microsecond))
	binary.BigEndian.PutUint64(b[32:], uint64(h.last/time.Microsecond))
	binary.BigEndian.PutUint32(b[40:], keys.mark)
}

// fixedSize is how much of a header fixed writes.
const fixedSize = 44

// data is what a block's encryption is bound to.
func (k *keyring) data(head []byte) []byte {
	return append(k.digest[:len(k.digest):len(k.digest)], head[:fixedSize]...)
}

// finish writes the checksums.
func (h *block) finish(b, stored []byte) {
	h.sum = Checksum(stored)
	binary.BigEndian.PutUint32(b[44:], h.sum)
	binary.BigEndian.PutUint32(b[48:], Checksum(b[:48]))
}

// parse reads a header; what is why not, "" when it stands.
func (h *block) parse(b []byte, keys *keyring) (how Damage, what string) {
	if binary.BigEndian.Uint32(b[48:]) != Checksum(b[:48]) {
		return Changed, "the checksum of its header is wrong"
	}
	if binary.BigEndian.Uint32(b[40:]) != keys.mark {
		return Foreign, "it is of another recording"
	}
	var ok, okLast bool
	h.kind = b[0]
	h.screens = b[1] == flagScreens
	h.stored = binary.BigEndian.Uint32(b[4:])
	h.body = binary.BigEndian.Uint32(b[8:])
	h.frames = binary.BigEndian.Uint32(b[12:])
	h.first = binary.BigEndian.Uint64(b[16:])
	h.start, ok = micros(binary.BigEndian.Uint64(b[24:]))
	h.last, okLast = micros(binary.BigEndian.Uint64(b[32:]))
	h.sum = binary.BigEndian.Uint32(b[44:])
	switch {
	case h.kind == 0 || h.kind > blockSeal || b[1]&^flagScreens|b[2]|b[3] != 0 || h.screens && !h.columns():
		return Malformed, "it is of an unknown type"
	case h.body > MaxBlock || h.stored > MaxBlock:
		return Malformed, "it is larger than a block may be"
	case h.kind != blockZstd && h.stored != h.body+h.added(keys):
		return Malformed, "its two lengths differ"
	case h.stored < h.added(keys):
		return Malformed, "it is smaller than a block can be"
	case (h.frames == 0) != (h.kind == blockSeal) || h.frames > h.body/minFrame:
		return Malformed, "its number of frames cannot be"
	case !ok || !okLast || h.last < h.start:
		return Malformed, "its times cannot be"
	}
	return "", ""
}

// columns says whether the block's body is in columns.
func (h *block) columns() bool { return h.kind == blockPlain || h.kind == blockZstd }

// added is what encryption adds to the stored bytes.
func (h *block) added(keys *keyring) uint32 {
	if keys.encrypted && h.columns() {
		return uint32(sealing)
	}
	return 0
}
