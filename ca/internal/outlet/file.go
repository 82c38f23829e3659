package outlet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
)

// file appends to a file and syncs it.
type file struct {
	path string
	open *os.File // nil before the first batch
}

// deliver writes b whole, or takes back what it wrote of it.
func (f *file) deliver(_ context.Context, b batch) error {
	if err := f.reopen(); err != nil {
		return err
	}
	end, err := f.open.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("find the end of %s: %w", f.path, err)
	}
	_, err = f.open.Write(b.lines)
	if err == nil {
		err = f.open.Sync()
	}
	if err != nil {
		f.open.Truncate(end)
		f.close()
		return fmt.Errorf("append to %s: %w", f.path, err)
	}
	return nil
}

// reopen opens the file of that path, if the one that is open is not: it was
// renamed away, to be packed.
func (f *file) reopen() error {
	if f.open != nil {
		now, err := os.Stat(f.path)
		mine, errMine := f.open.Stat()
		if err == nil && errMine == nil && os.SameFile(now, mine) {
			return nil
		}
		f.close()
	}
	opened, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open outlet: %w", err)
	}
	if err := dropTorn(opened); err != nil {
		opened.Close()
		return fmt.Errorf("repair %s: %w", f.path, err)
	}
	f.open = opened
	return nil
}

// dropTorn cuts off a last line without an end: a crash left it, and its event
// is sent again.
func dropTorn(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	buf := make([]byte, 4096)
	end := size
	for end > 0 {
		n := min(int64(len(buf)), end)
		if _, err := f.ReadAt(buf[:n], end-n); err != nil {
			return err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			end = end - n + int64(i) + 1
			break
		}
		end -= n
	}
	if end == size {
		return nil
	}
	return f.Truncate(end)
}

func (f *file) close() {
	if f.open != nil {
		f.open.Close()
		f.open = nil
	}
}

// stream writes to something that may stand still, such as a pipe.
type stream struct {
	to   io.Writer
	busy chan error // of a write that ctx's end left behind
}

// deliver waits for the write, or for ctx. A write that stands still cannot be
// taken back; the one after it waits for it.
func (s *stream) deliver(ctx context.Context, b batch) error {
	if s.busy == nil {
		s.busy = make(chan error, 1)
		go func() {
			_, err := s.to.Write(b.lines)
			s.busy <- err
		}()
	}
	select {
	case err := <-s.busy:
		s.busy = nil
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stream) close() {}
