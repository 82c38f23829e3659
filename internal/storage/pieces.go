package storage

import (
	"context"
	"fmt"
	"io"
	"sort"
	"sync"
)

// Read-ahead: who reads on gets windows that grow, who jumps a small one, so
// that a seek is one short request and a playback few long ones.
const (
	windowMin     = 256 << 10
	windowMax     = 4 << 20
	windows       = 4 // that are kept, so that two readers, or a reader and its index, do not fight
	fetchTogether = 8 // requests at once for one window, where pieces are small
)

// pieceReader reads a recording out of its pieces.
type pieceReader struct {
	store  *S3
	pieces []piece // without gaps, from 0
	size   int64
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu   sync.Mutex
	kept []*window // the last used first
}

// window is a stretch of the recording in memory.
type window struct {
	once   sync.Once
	offset int64
	data   []byte
	err    error
}

func newPieceReader(s *S3, pieces []piece) *pieceReader {
	// A Reader lives longer than the call that opened it.
	ctx, cancel := context.WithCancel(context.Background())
	return &pieceReader{store: s, pieces: pieces, size: pieces[len(pieces)-1].end(), ctx: ctx, cancel: cancel}
}

func (r *pieceReader) Size() int64 { return r.size }

func (r *pieceReader) Close() error {
	r.cancel()
	return nil
}

// ReadAt implements io.ReaderAt.
func (r *pieceReader) ReadAt(b []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, fmt.Errorf("read a recording at byte %d", offset)
	}
	for n < len(b) {
		if offset >= r.size {
			return n, io.EOF
		}
		w := r.window(offset)
		w.once.Do(func() { w.err = r.fill(w) })
		if w.err != nil {
			r.drop(w)
			return n, w.err
		}
		m := copy(b[n:], w.data[offset-w.offset:])
		n, offset = n+m, offset+int64(m)
	}
	return n, nil
}

// window returns the one that has offset; it may still have to be filled.
func (r *pieceReader) window(offset int64) *window {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := int64(windowMin)
	for i, w := range r.kept {
		end := w.offset + int64(len(w.data))
		if offset >= w.offset && offset < end {
			copy(r.kept[1:i+1], r.kept[:i])
			r.kept[0] = w
			return w
		}
		if offset == end {
			size = min(2*int64(len(w.data)), windowMax)
		}
	}
	w := &window{offset: offset, data: make([]byte, min(size, r.size-offset))}
	r.kept = append([]*window{w}, r.kept[:min(len(r.kept), windows-1)]...)
	return w
}

// drop forgets a window that could not be filled: the next reader tries again.
func (r *pieceReader) drop(w *window) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, k := range r.kept {
		if k == w {
			r.kept = append(r.kept[:i:i], r.kept[i+1:]...)
			return
		}
	}
}

// fill fetches a window's bytes from the pieces that have them.
func (r *pieceReader) fill(w *window) error {
	end := w.offset + int64(len(w.data))
	first := sort.Search(len(r.pieces), func(i int) bool { return r.pieces[i].end() > w.offset })
	var (
		wait   sync.WaitGroup
		places = make(chan struct{}, fetchTogether)
		mu     sync.Mutex
		failed error
	)
	for _, p := range r.pieces[first:] {
		if p.offset >= end {
			break
		}
		from, to := max(p.offset, w.offset), min(p.end(), end)
		part := w.data[from-w.offset : to-w.offset]
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			if err := r.store.get(r.ctx, p, from-p.offset, part); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if failed == nil {
					failed = err
				}
			}
		})
	}
	wait.Wait()
	return failed
}
