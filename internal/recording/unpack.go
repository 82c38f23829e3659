package recording

import (
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
)

// unpacker turns the stored bytes of blocks into frames.
type unpacker struct {
	keys    *keyring
	columns cursor
	raw     rawCursor
	screens []Screen
	known   bool   // whether screens are all that there are
	offset  int64  // of the block in hand
	whole   []byte // it, as it is stored
	plain   []byte
	body    []byte
	dec     *zstd.Decoder // without goroutines; nothing to close
}

// check holds a whole block, whose header was parsed, to the chain: before is the
// digest of the block before. It needs no key.
func (h *block) check(whole []byte, before Digest) (d Digest, how Damage, what string) {
	head, stored := whole[:BlockHeaderSize], whole[BlockHeaderSize:len(whole)-trailerSize]
	if Checksum(stored) != h.sum {
		return d, Changed, "its stored bytes were changed"
	}
	if d = link(before, head, stored); d != Digest(whole[len(whole)-trailerSize:]) {
		return d, Changed, "the chain breaks: it, its digest or a block before was exchanged"
	}
	return d, "", ""
}

// open unpacks a whole block that check let pass.
func (u *unpacker) open(h *block, whole []byte) (how Damage, what string) {
	u.clear()
	head, stored := whole[:BlockHeaderSize], whole[BlockHeaderSize:len(whole)-trailerSize]
	if h.kind == blockRaw {
		if how, what := checkRaw(*h, stored, u.keys); what != "" {
			return how, what
		}
		u.raw.begin(*h, stored, u.keys)
		return "", ""
	}
	if u.keys.encrypted {
		var err error
		u.plain, err = u.keys.block.Open(u.plain[:0], stored[:nonceSize], stored[nonceSize:], u.keys.data(head))
		if err != nil {
			return Changed, "it does not open: it, or the recording's header, was changed by somebody without the key"
		}
		stored = u.plain
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
				panic("recording: " + err.Error()) // the options are constants
			}
			u.dec = dec
		}
		var err error
		if body, err = u.dec.DecodeAll(stored, u.body[:0:h.body]); err != nil {
			return Malformed, "it does not decompress"
		}
	}
	if len(body) != int(h.body) {
		return Malformed, "its body is not as long as its header says"
	}
	if what := u.columns.open(*h, body); what != "" {
		return Malformed, what
	}
	u.screens, u.known = parseScreens(u.columns.appendix), h.screens
	return "", ""
}

// clear forgets the block in hand.
func (u *unpacker) clear() {
	u.columns.left, u.raw.left = 0, 0
	u.screens, u.known = nil, false
}

// frame returns the next frame of the block; ok is false at its end.
func (u *unpacker) frame() (f Frame, ok bool, err error) {
	if f, ok := u.columns.frame(); ok {
		return f, true, nil
	}
	f, ok, how, what := u.raw.frame()
	if what != "" {
		return Frame{}, false, &DamageError{How: how, Where: "frame", Number: f.Number, Offset: u.offset, What: what}
	}
	return f, ok, nil
}

// order holds frames to what must come first and last.
type order struct {
	ended bool
	last  time.Duration
}

func (o *order) check(f Frame) error {
	refuse := func(how Damage, what string) error {
		return &DamageError{How: how, Where: "frame", Number: f.Number, What: what}
	}
	switch {
	case o.ended && f.Kind == KindEnd:
		return refuse(SecondEnd, "it is a second end")
	case o.ended:
		return refuse(AfterEnd, "it comes after the end")
	case (f.Number == 0) != (f.Kind == KindSession):
		return refuse(Malformed, "frame 0, and no other, says whose session it is")
	case f.At < o.last:
		return refuse(Malformed, fmt.Sprintf("its time is before that of frame %d", f.Number-1))
	}
	o.ended, o.last = f.Kind == KindEnd, f.At
	return nil
}
