package recording

import (
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// followEvery is how often a follower looks whether there is more. It asks for
// the sizes of three files, and reads only when one has changed. A watch of the
// directory would be told of every write of every session, to learn of one.
const followEvery = 40 * time.Millisecond

// Follower reads a recording while it is written, in a proxy's directory. It
// holds nothing that the proxy waits for: a viewer that stalls stalls itself. It
// is for one goroutine at a time.
type Follower struct {
	base    string
	session id.Session
	opener  Opener
	rec     *Recording
	seen    state // of the files, before rec was opened
	next    uint64
	screens []Screen
	live    bool
	ended   bool
}

// state is by what one sees that files have changed.
type state [3]struct {
	size int64
	file os.FileInfo // nil: it does not exist
}

// Follow opens a session's recording at the last moment for which the screens of
// its terminals are known, or else at its beginning: who plays what Next returns
// from Screens on shows what the person sees. The caller closes it.
func Follow(dir string, session id.Session, o Opener) (*Follower, error) {
	f := &Follower{base: filepath.Join(dir, string(session)), session: session, opener: o}
	if err := f.open(); err != nil {
		return nil, err
	}
	if k, ok := f.rec.ContentKey(); ok {
		f.opener = Holding(k) // the wrapped key is opened once
	}
	if err := f.rec.SeekScreen(math.MaxInt64); err != nil {
		f.Close()
		return nil, err
	}
	if list, ok := f.rec.Screens(); ok {
		for _, s := range list {
			s.ANSI = append([]byte(nil), s.ANSI...)
			f.screens = append(f.screens, s)
		}
	}
	f.next = f.rec.next
	return f, nil
}

// Meta says whose session it is.
func (f *Follower) Meta() Meta { return f.rec.Meta() }

// Screens are what terminals showed before the first frame that Next returns;
// none where it begins with frame 0.
func (f *Follower) Screens() []Screen { return f.screens }

// Live says whether Next has come to what happens now: everything before was
// there when the follower was opened, and can be shown at once.
func (f *Follower) Live() bool { return f.live }

// Next returns the next frame, and waits for it; its payload is valid until the
// next call. After a KindEnd, or what stands for it in a sealed recording, it
// returns io.EOF. Where the recording has been taken away meanwhile it returns
// fs.ErrNotExist: what is left of it is in the storage. Other errors are ctx's
// and those of Recording.Next.
func (f *Follower) Next(ctx context.Context) (Frame, error) {
	if f.ended {
		return Frame{}, io.EOF
	}
	for {
		frame, err := f.rec.Next()
		if err == nil {
			f.next, f.ended = frame.Number+1, frame.Kind == KindEnd
			return frame, nil
		}
		if err != io.EOF {
			return Frame{}, err
		}
		f.live = true
		if err := f.wait(ctx); err != nil {
			return Frame{}, err
		}
		if err := f.reopen(); err != nil {
			return Frame{}, err
		}
	}
}

// wait returns when a file is not what it was.
func (f *Follower) wait(ctx context.Context) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		if f.changed() {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// now is how the files are now.
func (f *Follower) now() (s state) {
	for i, suffix := range []string{SuffixTail, SuffixFull, SuffixRec} {
		if info, err := os.Stat(f.base + suffix); err == nil {
			s[i].size, s[i].file = info.Size(), info
		}
	}
	return s
}

func (f *Follower) changed() bool {
	for i, now := range f.now() {
		was := f.seen[i]
		if now.size != was.size || (now.file == nil) != (was.file == nil) || now.file != nil && !os.SameFile(now.file, was.file) {
			return true
		}
	}
	return false
}

// open opens the files anew. Frames move between them while one looks, so that it
// is simplest to look at all of them again, and costs a header for each block.
func (f *Follower) open() error {
	f.seen = f.now()
	r, err := OpenDir(filepath.Dir(f.base), f.session, f.opener)
	if err != nil {
		return err
	}
	if f.rec != nil {
		f.rec.Close()
	}
	f.rec = r
	return nil
}

// reopen opens the files anew and goes on with frame next.
func (f *Follower) reopen() error {
	at := f.rec.order.last
	if err := f.open(); err != nil {
		return err
	}
	return f.rec.seekFrame(f.next, at)
}

// Close closes the files.
func (f *Follower) Close() error { return f.rec.Close() }
