package recorder

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// absorption appends to a finished part what only the tails have, and syncs,
// unless it is the end. It looks at the files alone, so that it is the same for a
// live recorder, at a session's end and after a crash.
//
// When it fails the tails are still needed, and the finished part is as it was.
// Should even that fail, or the process die, then a block is there in part, or
// its frames are also in a tail: readers allow both, and so does the next try.
type absorption struct {
	base    string               // of the files' paths, without suffix
	key     recording.ContentKey // zero: what is encrypted stays as it is
	screens Screens              // nil: nobody follows the terminals
	known   *recording.Chain     // what the finished part must be now; nil: not known
	// end, unless it is nil, says that there is nothing more to come: the recording
	// gets it as its last frame, if it has none and that can be known, and all of it
	// is read again.
	end *recording.End

	chain recording.Chain // afterwards: how far the finished part goes

	rec   *os.File
	pk    *recording.Packer
	put   func(f *os.File, b []byte, offset int64) error
	at    int64 // where the next block goes
	buf   []byte
	begun bool // something was written, or cut off
}

// absorb carries a out, with the tails of these suffixes.
func (d *Dir) absorb(a *absorption, suffixes ...string) error {
	a.put = d.put
	return d.pack(func(pk *recording.Packer) error { a.pk = pk; return a.all(suffixes) })
}

func (a *absorption) all(suffixes []string) (err error) {
	files := make([]io.ReaderAt, 0, 3)
	for _, suffix := range append([]string{recording.SuffixRec}, suffixes...) {
		f, err := os.OpenFile(a.base+suffix, os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) {
			files = append(files, nil)
			continue
		}
		if err != nil {
			return err
		}
		defer f.Close()
		files = append(files, f)
	}
	a.rec, _ = files[0].(*os.File)
	if a.rec != nil && a.known != nil {
		// What a try wrote that failed, and could not take back.
		if err := cutBack(a.rec, a.known.Bytes); err != nil {
			return err
		}
	}
	r, err := recording.Join(a.opener(), files[0], files[1:]...)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errEmpty
	}
	if err != nil {
		return err
	}
	if a.known != nil {
		if err := unchanged(r, *a.known); err != nil {
			return err
		}
	}
	if a.rec == nil {
		if a.rec, err = os.OpenFile(a.base+recording.SuffixRec, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
		defer a.rec.Close()
	}
	before := r.Finished()
	if err = a.append(r, before); err == nil && a.end != nil {
		err = a.readAgain() // who seals it syncs it
	} else if err == nil {
		err = a.rec.Sync()
	}
	switch {
	case err == nil:
	case before == 0:
		os.Remove(a.rec.Name())
	case a.begun: // until then it is as it was, damage and all
		a.rec.Truncate(before)
	}
	return err
}

// cutBack takes off what stands behind the first size bytes of f.
func cutBack(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() <= size {
		return err
	}
	return f.Truncate(size)
}

// opener opens the recording with the key; nil where there is none.
func (a *absorption) opener() recording.Opener {
	if a.key == (recording.ContentKey{}) {
		return nil
	}
	return recording.Holding(a.key)
}

// append writes blocks of what only the tails have, from offset on.
func (a *absorption) append(r *recording.Recording, offset int64) error {
	a.at, a.buf = offset, a.buf[:0]
	if a.at == 0 {
		a.buf = r.Header().Append(nil)
	}
	if seal, err := r.Seal(); seal != nil || err != nil { // the tails have nothing more, or this is damage
		a.chain = r.Chain()
		return err
	}
	if a.key == (recording.ContentKey{}) {
		chain, err := r.Rest(a.pk, a.write)
		if err == nil {
			err = a.write(nil)
		}
		a.torn(r)
		a.chain = chain
		return err
	}
	if err := a.frames(r); err != nil {
		return err
	}
	a.chain = a.pk.Chain()
	return nil
}

// frames writes blocks of the frames that only the tails have.
func (a *absorption) frames(r *recording.Recording) error {
	if err := a.pk.Start(r.Header(), a.key, r.Chain()); err != nil {
		return err
	}
	r.SkipFinished()
	var last recording.Frame
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
		last = recording.Frame{Number: f.Number, At: f.At, Kind: f.Kind}
	}
	if a.screens != nil {
		a.screens.Rest()
	}
	a.torn(r)
	if a.end != nil && last.Kind != recording.KindEnd {
		payload, err := json.Marshal(a.end)
		if err != nil {
			return err
		}
		last.At = max(last.At, r.Chain().Last)
		if err := a.add(recording.Frame{Number: max(last.Number+1, r.Chain().Frames), At: last.At, Kind: recording.KindEnd, Payload: payload}); err != nil {
			return err
		}
	}
	if !a.pk.Empty() {
		a.buf = a.pk.Block(a.buf)
	}
	return a.write(nil)
}

// add packs a frame, and tells it to whom the terminals are of interest.
func (a *absorption) add(f recording.Frame) error {
	if a.screens != nil && a.pk.Empty() {
		if list, ok := a.screens.Now(); ok {
			a.pk.SetScreens(list)
		}
	}
	full := a.pk.Add(f)
	if a.screens != nil {
		a.screens.Frame(f)
	}
	if !full {
		return nil
	}
	a.buf = a.pk.Block(a.buf)
	return a.write(nil)
}

// write writes what was gathered, the header perhaps, and then block.
func (a *absorption) write(block []byte) error {
	if !a.begun {
		a.begun = true
		// Part of a block, which an earlier try left: the tails have its frames.
		if err := a.rec.Truncate(a.at); err != nil {
			return err
		}
	}
	a.buf = append(a.buf, block...)
	if len(a.buf) == 0 {
		return nil
	}
	err := a.put(a.rec, a.buf, a.at)
	a.at += int64(len(a.buf))
	a.buf = a.buf[:0]
	return err
}

// torn notes what a crash left of a frame.
func (a *absorption) torn(r *recording.Recording) {
	if a.end != nil {
		a.end.Dropped = r.Torn()
	}
}

// readAgain reads the whole finished part from its file, so that nothing is sealed
// that is not whole. The chain says so; it needs no key.
func (a *absorption) readAgain() error {
	r, err := recording.Join(nil, a.rec)
	if err != nil {
		return err
	}
	if err := unchanged(r, a.chain); err != nil {
		return err
	}
	return r.CheckBlocks()
}
