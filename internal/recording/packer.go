package recording

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A block is closed when its payloads reach this. Larger ones compress better
// (RECORDING.md has figures) and cost a seeking reader more.
const blockTarget = 1 << 20

// Packer makes blocks of frames. One is worth keeping: with its compressor it
// holds about 5 MiB. It is for one goroutine at a time. The zero Packer does not
// compress.
type Packer struct {
	enc *zstd.Encoder

	keys     keyring
	chain    Chain
	header   block
	prev     time.Duration
	kinds    []byte
	channels []byte
	times    []byte
	lengths  []byte
	payloads [256][]byte // by kind
	size     int         // of the payloads
	screens  []Screen
	body     []byte
}

// NewPacker returns a packer that compresses.
//
// Level 1 with a window of a block: of an interactive hour levels 1 to 3 make
// the same to 2 %, and the best one 6 % less at a tenth of the speed and 37 MB.
func NewPacker() *Packer {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(blockTarget), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic("recording: " + err.Error()) // the options are constants
	}
	return &Packer{enc: enc}
}

// Start begins blocks of h's recording behind what c says is there, and forgets
// what was added. key is not looked at in clear.
func (p *Packer) Start(h Header, key ContentKey, c Chain) error {
	p.reset()
	p.keys = keyring{}
	if h.Encrypted() && (key == (ContentKey{}) || key.commitment() != h.Commitment) {
		return errors.New("the content key is not the header's")
	}
	p.keys = newKeyring(h, key)
	if c.Header != p.keys.digest {
		return errors.New("the chain is of another recording")
	}
	p.chain = c
	return nil
}

// Stop forgets keys and frames, so that a packer that waits for work holds no
// session's.
func (p *Packer) Stop() {
	p.reset()
	clear(p.body[:cap(p.body)])
	p.keys, p.chain = keyring{}, Chain{}
}

// Chain is how far the blocks go that were made.
func (p *Packer) Chain() Chain { return p.chain }

func (p *Packer) reset() {
	p.header = block{}
	p.size = 0
	p.kinds, p.channels, p.times, p.lengths = p.kinds[:0], p.channels[:0], p.times[:0], p.lengths[:0]
	for i := range p.payloads {
		p.payloads[i] = p.payloads[i][:0]
	}
	p.screens = nil
}

// SetScreens gives the block in hand the screens of all terminals that are open
// at its beginning; none is a list, too.
func (p *Packer) SetScreens(screens []Screen) {
	p.screens = screens
	p.header.screens = true
}

// Add puts f, whose payload is at most MaxPayload, behind the frames before it,
// and reports whether the block should be closed now. Frame 0 stands in the
// header, and is left out.
func (p *Packer) Add(f Frame) (full bool) {
	if f.Number == 0 {
		return false
	}
	if p.header.frames == 0 {
		p.header.first, p.header.start, p.prev = f.Number, f.At, f.At
	}
	p.header.frames++
	p.header.last = f.At
	p.kinds = append(p.kinds, byte(f.Kind))
	p.channels = binary.AppendUvarint(p.channels, uint64(f.Channel))
	p.times = binary.AppendUvarint(p.times, uint64((f.At-p.prev)/time.Microsecond))
	p.lengths = binary.AppendUvarint(p.lengths, uint64(len(f.Payload)))
	p.payloads[f.Kind] = append(p.payloads[f.Kind], f.Payload...)
	p.size += len(f.Payload)
	p.prev = f.At
	// Columns count as well: a million frames without payload are a block, too.
	return p.size+len(p.kinds)*8 >= blockTarget
}

// Empty says whether nothing was added since the last block.
func (p *Packer) Empty() bool { return p.header.frames == 0 }

// Block appends a block of what was added to dst, and begins the next. It must
// not be empty. Each call draws a nonce: to make a block again for a write that
// failed is no harm.
func (p *Packer) Block(dst []byte) []byte {
	p.body = append(p.body[:0], p.kinds...)
	p.body = append(p.body, p.channels...)
	p.body = append(p.body, p.times...)
	p.body = append(p.body, p.lengths...)
	for _, column := range p.payloads {
		p.body = append(p.body, column...)
	}
	if p.header.screens {
		p.body, p.header.screens = appendScreens(p.body, p.screens)
	}
	h := p.header
	start := len(dst)
	dst = append(dst, make([]byte, BlockHeaderSize)...)
	if p.keys.encrypted {
		dst = append(dst, make([]byte, nonceSize)...)
		rand.Read(dst[len(dst)-nonceSize:])
	}
	at := len(dst)
	h.kind, h.body = blockPlain, uint32(len(p.body))
	if p.enc != nil {
		if dst = p.enc.EncodeAll(p.body, dst); len(dst)-at < len(p.body) {
			h.kind = blockZstd
		} else {
			dst = dst[:at]
		}
	}
	if h.kind == blockPlain {
		dst = append(dst, p.body...)
	}
	h.stored = uint32(len(dst)-start-BlockHeaderSize) + p.tagSize()
	h.fixed(dst[start:], &p.keys)
	if p.keys.encrypted {
		dst = p.keys.block.Seal(dst[:at], dst[at-nonceSize:at], dst[at:], p.keys.data(dst[start:]))
	}
	p.reset()
	return p.chain.put(dst, start, &h)
}

func (p *Packer) tagSize() uint32 {
	if p.keys.encrypted {
		return uint32(len(Tag{}))
	}
	return 0
}
