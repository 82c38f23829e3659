//go:build !linux

package recorder

import (
	"os"
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// buffers serves all recorders: a frame that is being written needs one, a
// recorder at rest none.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, recording.FrameHeaderSize+64<<10)
	return &b
}}

// writeBoth writes a and then b at off in one system call.
func writeBoth(f *os.File, a, b []byte, off int64) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	*buf = append(append((*buf)[:0], a...), b...)
	_, err := f.WriteAt(*buf, off)
	return err
}
