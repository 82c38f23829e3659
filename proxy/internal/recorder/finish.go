package recorder

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// absorb appends to the finished part what only the tails with these suffixes
// have, and then end, unless it is nil or the recording has an end; and
// syncs. It looks at the files alone, so that it is
// the same for a live recorder, at a session's end and after a crash. With an end
// it reads the whole recording before, and finishes nothing that is damaged.
//
// When it fails the tails are still needed, and the finished part is as it was.
// Should even that fail, or the process die, then a block is there in part, or
// its frames are also in a tail: readers allow both, and so does the next try.
func absorb(pk *recording.Packer, base string, end *recording.End, suffixes ...string) (done finished, err error) {
	files := make([]io.ReaderAt, 0, 3)
	for _, suffix := range append([]string{recording.SuffixRec}, suffixes...) {
		f, err := os.OpenFile(base+suffix, os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) {
			files = append(files, nil)
			continue
		}
		if err != nil {
			return done, err
		}
		defer f.Close()
		files = append(files, f)
	}
	r, err := recording.Join(files[0], files[1:]...)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return done, errEmpty
	}
	if err != nil {
		return done, err
	}
	rec, _ := files[0].(*os.File)
	if rec == nil {
		if rec, err = os.OpenFile(base+recording.SuffixRec, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return done, err
		}
		defer rec.Close()
	}
	before := r.Finished()
	a := absorption{rec: rec, pk: pk, size: before}
	if err = a.all(r, end); err == nil {
		err = rec.Sync()
	}
	if err != nil && before == 0 {
		os.Remove(rec.Name())
	} else if err != nil {
		rec.Truncate(before)
	}
	return finished{size: a.size, frames: a.frames}, err
}

// finished is what absorb made.
type finished struct {
	size   int64
	frames uint64 // in all; 0 where it did not read them all
}

// absorption is one call of absorb.
type absorption struct {
	rec    *os.File
	pk     *recording.Packer
	size   int64 // of what was written
	buf    []byte
	frames uint64
}

func (a *absorption) all(r *recording.Recording, end *recording.End) error {
	var closing *recording.Frame
	if end != nil {
		var err error
		if closing, a.frames, err = closingFrame(r, *end); err != nil {
			return err
		}
	}
	if a.size == 0 {
		a.buf = r.Header().Append(nil)
	}
	// Part of a block, which an earlier try left: the tails have its frames.
	if err := a.rec.Truncate(a.size); err != nil {
		return err
	}
	a.pk.Start(r.Header())
	r.SkipFinished()
	for {
		f, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := a.add(f); err != nil {
			return err
		}
	}
	if closing != nil {
		if err := a.add(*closing); err != nil {
			return err
		}
	}
	return a.flush()
}

// closingFrame reads all of r, so that nothing damaged is finished as if it were
// whole, and returns the frame that ends it, nil when it has one, and how many
// frames there are with it.
func closingFrame(r *recording.Recording, end recording.End) (*recording.Frame, uint64, error) {
	var last recording.Frame
	frames := false
	for {
		f, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		last, frames = f, true
	}
	if !frames {
		return nil, 0, errEmpty
	}
	if last.Kind == recording.KindEnd {
		return nil, last.Number + 1, nil
	}
	end.Dropped = r.Torn()
	payload, err := json.Marshal(end)
	return &recording.Frame{Number: last.Number + 1, At: last.At, Kind: recording.KindEnd, Payload: payload}, last.Number + 2, err
}

// errEmpty says that not even frame 0 is there: Dir.Open had not returned, and
// there was no session.
var errEmpty = errors.New("the recording has no frames")

func (a *absorption) add(f recording.Frame) error {
	if a.pk.Add(f) {
		return a.flush()
	}
	return nil
}

// flush writes the block that was gathered, with the header before the first.
func (a *absorption) flush() error {
	if !a.pk.Empty() {
		a.buf = a.pk.Block(a.buf)
	}
	n, err := a.rec.WriteAt(a.buf, a.size)
	a.size += int64(n)
	a.buf = a.buf[:0]
	return err
}

// finish makes one file of a session's recording, and tries again later if that
// does not work now. end is nil when the tail has one.
func (d *Dir) finish(session id.Session, end *recording.End) (done finished, err error) {
	defer d.remove(session)
	base := filepath.Join(d.path, string(session))
	err = d.pack(func(p *recording.Packer) error {
		done, err = absorb(p, base, end, recording.SuffixFull, recording.SuffixTail)
		return err
	})
	var damage *recording.DamageError
	switch {
	case err == nil || errors.Is(err, errEmpty):
		suffixes := []string{recording.SuffixFull, recording.SuffixTail}
		if err != nil {
			suffixes = append(suffixes, recording.SuffixRec)
		}
		for _, suffix := range suffixes {
			if gone := os.Remove(base + suffix); gone != nil && !errors.Is(gone, os.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
	case !errors.As(err, &damage): // a full disk, for example
		if end == nil {
			end = &recording.End{Reason: recording.EndCut}
		}
		d.owe(session, *end)
	}
	return done, err
}
