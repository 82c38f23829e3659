package recorder

import (
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Sizes of the buffers in which records are made: one for a keystroke or a
// screenful, one for all that a busy flow brings at once.
const (
	smallRecord = 8 << 10
	largeRecord = 260 << 10
)

// Buffers serve all recorders: a frame that is being written needs one, a
// recorder at rest none.
var (
	smallBuffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, smallRecord)} }}
	largeBuffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, largeRecord)} }}
)

// buffer has room for a record.
type buffer struct{ b []byte }

// recordBuffer returns a buffer for a frame with a payload of so many bytes.
func recordBuffer(payload int) *buffer {
	switch size := payload + recording.RecordSize; {
	case size <= smallRecord:
		return smallBuffers.Get().(*buffer)
	case size <= largeRecord:
		return largeBuffers.Get().(*buffer)
	default:
		return &buffer{b: make([]byte, 0, size)}
	}
}

// release gives the buffer back. What was typed does not stay in it.
func (b *buffer) release() {
	switch cap(b.b) {
	case smallRecord:
		smallBuffers.Put(b)
	case largeRecord:
		largeBuffers.Put(b)
	}
}
