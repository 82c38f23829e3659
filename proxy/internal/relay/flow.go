package relay

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/proxy/internal/recorder"
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
	keep func([]byte) error // records; its errors are the recorder's
	rest int                // size of the buffer at rest

	reading atomic.Bool   // waits for src
	chunks  atomic.Uint64 // reads that brought something
}

// run carries until src ends, dst takes no more, or the recorder fails; only the
// last is an error.
func (f *flow) run() error {
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
			if err := f.keep(buf[:n]); err != nil {
				return err
			}
			if _, err := f.dst.Write(buf[:n]); err != nil {
				return nil // whoever read there has closed, which its own goroutine tells
			}
		}
		if err != nil {
			return nil
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

// keeper records one direction of a channel: at a terminal every byte; elsewhere
// the first of them, and the digest of all.
type keeper struct {
	append func([]byte) error
	end    func() error // before the end of file goes on
}

func keep(r *recorder.Recorder, kind recording.Kind, n uint32, terminal bool) keeper {
	if terminal {
		return keeper{
			append: func(b []byte) error { return r.Append(kind, n, b) },
			end:    func() error { return nil },
		}
	}
	s := r.Stream(kind, n)
	return keeper{append: s.Append, end: s.Close}
}
