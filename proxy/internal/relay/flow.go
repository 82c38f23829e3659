package relay

import (
	"io"
	"sync"
	"sync/atomic"
)

// Sizes of a flow's buffer, in bytes. At rest a flow waits with a small one, in
// which a keystroke or a screenful fits. One that is filled is exchanged for a
// large one from the pool, in which a read finds all packets that have come
// meanwhile, and that goes back when less comes.
const (
	restInput  = 512
	restOutput = 4 << 10
	busy       = 256 << 10
)

var busyBuffers = sync.Pool{New: func() any { return new([busy]byte) }}

// flow carries one direction of one channel: it reads, has it recorded, and
// then writes, with nothing in between.
type flow struct {
	src  io.Reader
	dst  io.Writer
	keep func([]byte) bool // records; false when that failed
	rest int               // size of the buffer at rest

	reading atomic.Bool   // waits for src
	chunks  atomic.Uint64 // reads that brought something
}

// run carries until src ends, dst takes no more, or the recorder fails; only
// after the last it says false.
func (f *flow) run() bool {
	small := make([]byte, f.rest)
	buf, large := small, (*[busy]byte)(nil)
	defer func() {
		if large != nil {
			busyBuffers.Put(large)
		}
	}()
	for {
		f.reading.Store(true)
		n, err := f.src.Read(buf)
		f.reading.Store(false)
		if n > 0 {
			f.chunks.Add(1)
			if !f.keep(buf[:n]) {
				return false
			}
			if _, err := f.dst.Write(buf[:n]); err != nil {
				return true // whoever read there has closed, which its own goroutine tells
			}
		}
		if err != nil {
			return true
		}
		switch {
		case large == nil && n == len(small):
			large = busyBuffers.Get().(*[busy]byte)
			buf = large[:]
		case large != nil && n <= len(small):
			busyBuffers.Put(large)
			buf, large = small, nil
		}
	}
}
