package recorder

import (
	"fmt"
	"os"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// When a tail is compressed. Each block starts without knowledge of what came
// before, so small ones cost: RECORDING.md has the figures.
const (
	tailFull  = 512 << 10        // as soon as it is so large, in bytes
	tailRest  = 64 << 10         // or is at least so large,
	restAfter = time.Minute      // and nothing was appended for so long;
	restEvery = 15 * time.Second // which is looked at so often
)

// suffixNext is a tail in the making; it becomes the tail before it has frames.
const suffixNext = ".next"

// compact is the one goroutine of a Dir.
func (d *Dir) compact() {
	defer close(d.stopped)
	every := restEvery
	if d.config.Flush > 0 {
		every = min(every, max(d.config.Flush/2, time.Second))
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case r := <-d.due:
			d.shrink(r)
		case <-tick.C:
			for _, r := range d.resting() {
				d.shrink(r)
			}
			d.pay()
			d.room.refill(d.count())
		}
	}
}

// resting returns the recorders whose tails can be compressed while nothing
// happens, or have frames that are old, and those for which due had no room.
func (d *Dir) resting() []*Recorder {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []*Recorder
	for _, r := range d.live {
		if r.rests() {
			list = append(list, r)
		}
	}
	return list
}

func (r *Recorder) rests() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, flush := time.Since(r.began), r.dir.config.Flush
	switch {
	case r.tail == nil || r.oldest == none:
		return false
	case flush > 0 && now-r.oldest >= flush:
		return true
	}
	return r.size >= tailFull || r.size >= tailRest && now-r.last >= restAfter
}

// shrink compresses a recorder's tail. That it could not is no loss, as the tail
// has the frames; the next tick tries again.
func (d *Dir) shrink(r *Recorder) {
	if err := r.shrink(); err != nil {
		d.config.Log.Warn("recording not compressed yet", "session", r.session, "err", err)
	}
}

func (r *Recorder) shrink() error {
	r.work.Lock()
	defer r.work.Unlock()
	if r.key == (recording.ContentKey{}) {
		return nil // it is being finished, or was
	}
	full := r.path(recording.SuffixFull)
	if _, err := os.Lstat(full); err == nil { // left by a try that failed
		if err := r.absorb(full); err != nil {
			return err
		}
	}
	if closed, err := r.rotate(full); closed || err != nil {
		return err
	}
	return r.absorb(full)
}

// absorb compresses the full tail and removes it; r.work is held.
func (r *Recorder) absorb(full string) error {
	if r.screens != nil && len(r.dir.due) > cap(r.dir.due)/2 {
		// To follow terminals is dearer than all the rest. Without frames that it
		// missed it would show something that never was.
		r.screens = nil
	}
	a := absorption{base: r.path(""), key: r.key, screens: r.screens, known: &r.chain}
	if err := r.dir.absorb(&a, recording.SuffixFull); err != nil {
		r.screens = nil // it has seen frames that will come again
		return err
	}
	r.chain = a.chain
	r.dir.grown(r.session, r.chain.Bytes, false)
	return os.Remove(full)
}

// rotate makes the tail the full one, and begins another. Everything that can
// take time or fail is done before the lock is taken: Append waits for it. closed
// says that the recorder has no tail any more.
func (r *Recorder) rotate(full string) (closed bool, err error) {
	path := r.path(suffixNext)
	os.Remove(path) // of a try that failed; it has no frames
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tail == nil || r.err != nil || r.oldest == none {
		f.Close()
		return true, os.Remove(path)
	}
	h := r.header.ForTail(r.writer.Next(), r.writer.Tag())
	if _, err = f.WriteAt(h.Append(nil), 0); err == nil {
		err = os.Rename(r.path(recording.SuffixTail), full)
		if err == nil {
			err = os.Rename(path, r.path(recording.SuffixTail))
		}
		if err != nil {
			// Who knows under which name the next frame would stand: a call that
			// failed may have been carried out.
			err = r.fail(fmt.Errorf("begin another tail: %w", err))
		}
	}
	if err != nil {
		f.Close()
		os.Remove(path)
		return false, err
	}
	r.tail.Close()
	r.tail, r.size, r.oldest, r.queued = f, h.Size(), none, false
	return false, nil
}
