package recorder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Finished is a recording whose session has ended.
type Finished struct {
	Session id.Session
	Header  []byte    // digest with which its chain begins; nil where not even that is known
	Started time.Time // of its session
	Seal    []byte    // as it stands in the file; nil: it is owed, or Lost
	Size    int64     // of the file, in bytes
	Frames  uint64    // that are stored, and frame 0
	End     string    // why the session ended: recording.End.Reason, or a fault.Reason
	// Lost says that there will be no seal: there is nothing, or it is damaged.
	Lost bool
	// Err is why it is not finished, or not sealed. Its files are left as they are,
	// and unless it is lost, it is tried again.
	Err error
}

// unfinished is a recording that is to be finished: compressed, read again, and
// sealed.
type unfinished struct {
	session id.Session
	key     recording.ContentKey // zero after a crash: nobody has it
	chain   recording.Chain      // what was written; zero after a crash
	screens Screens
	end     recording.End
	counts  recording.Counts
	whole   bool // it was compressed and read again: only the seal is missing
}

// errEmpty says that not even frame 0 is there: Dir.Open had not returned, and
// there was no session.
var errEmpty = errors.New("the recording has no frames")

// Close records why the session ended, and finishes the recording: when its error
// is nil, everything is in one file, sealed, and on the disk. After an error the
// Dir tries again from time to time, and at its next opening. Closing twice is
// harmless; the second time tells nothing.
func (r *Recorder) Close(end recording.End) (Finished, error) {
	if r.dir == nil {
		return Finished{}, failed(os.ErrClosed)
	}
	r.endStreams()
	if !r.endTail(end) {
		return Finished{Session: r.session}, nil
	}
	r.work.Lock()
	defer r.work.Unlock()
	u := unfinished{session: r.session, key: r.key, chain: r.chain, screens: r.screens, end: end}
	commands, files := r.Counts()
	u.counts = recording.Counts{Commands: int64(commands), Files: int64(files)}
	r.key = recording.ContentKey{} // u has it, for as long as it is needed
	f := r.dir.finish(u)
	if f.Err != nil {
		return f, failed(f.Err)
	}
	return f, nil
}

// endTail appends the last frame, and closes the tail. open is false when the
// recorder was closed before.
func (r *Recorder) endTail(end recording.End) (open bool) {
	r.mu.Lock()
	open = r.tail != nil
	r.mu.Unlock()
	if !open {
		return false
	}
	// Where this fails, finish adds the frame.
	r.event(recording.KindEnd, 0, end)
	return r.abandon()
}

// abandon closes the tail, and forgets by what it was written.
func (r *Recorder) abandon() (open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tail == nil {
		return false
	}
	r.tail.Close()
	r.tail, r.writer = nil, nil
	return true
}

// finish makes one sealed file of a recording, and tries again later if that
// does not work now.
func (d *Dir) finish(u unfinished) Finished {
	f := Finished{Session: u.session, End: u.end.Reason}
	err := d.compress(&u)
	if err == nil {
		err = d.seal(&u, &f)
	}
	d.remove(u.session)
	if h, bad := d.header(u.session); bad == nil {
		digest := h.Digest()
		f.Header, f.Started = digest[:], h.Started
	}
	var damage *recording.DamageError
	switch {
	case err == nil:
		return f
	case errors.Is(err, errEmpty):
		err = d.clear(u.session, recording.SuffixRec)
		f.Lost = true
	case errors.As(err, &damage):
		f.Lost, f.End = true, string(fault.RecordingDamaged)
	default: // a full disk, or nobody who can sign
		d.owe(u)
	}
	if err != nil {
		f.Err = fmt.Errorf("finish recording of session %s: %w", u.session, err)
	}
	return f
}

// compress brings everything into the finished part, and reads all of it again.
func (d *Dir) compress(u *unfinished) error {
	if u.whole {
		return nil
	}
	base := filepath.Join(d.config.Path, string(u.session))
	a := absorption{base: base, key: u.key, screens: u.screens, end: &u.end}
	if u.chain != (recording.Chain{}) {
		a.known = &u.chain
	}
	err := d.absorb(&a, recording.SuffixFull, recording.SuffixTail)
	if err != nil {
		return err
	}
	u.chain = a.chain
	u.whole = true
	u.key = recording.ContentKey{}
	u.screens = nil
	return nil
}

// seal writes the seal behind the last block, and removes what is not needed any
// more.
func (d *Dir) seal(u *unfinished, f *Finished) error {
	path := filepath.Join(d.config.Path, string(u.session)+recording.SuffixRec)
	rec, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer rec.Close()
	r, seal, err := sealed(rec, u.chain)
	if err != nil {
		return err
	}
	f.Size, f.Frames = r.Finished(), u.chain.Frames
	if seal == nil {
		s := u.chain.Statement()
		s.Session, s.End, s.Counts = u.session, u.end, u.counts
		if seal, err = d.config.Seal(s); err != nil {
			if later := rec.Sync(); later == nil { // what is told must not change
				d.grown(u.session, u.chain.Bytes, false)
			}
			return fmt.Errorf("seal: %w", err)
		}
		record, err := seal.Append(nil, r.Header(), u.chain)
		if err != nil {
			return fmt.Errorf("seal: %w", err)
		}
		if err = d.put(rec, record, u.chain.Bytes); err != nil {
			return err
		}
		f.Size = u.chain.Bytes + int64(len(record))
	}
	if err := errors.Join(rec.Sync(), d.sync()); err != nil {
		return err
	}
	f.Seal, f.End = seal.Encode(), seal.End.Reason
	d.grown(u.session, f.Size, true)
	return d.clear(u.session)
}

// sealed opens a finished part that was read to its end, chain, and returns the
// seal that stands behind: a crash may have come between it and what follows. Part
// of one, from a try that failed, is removed.
func sealed(rec *os.File, chain recording.Chain) (*recording.Recording, *recording.Seal, error) {
	r, err := recording.Join(nil, rec)
	if err == nil && r.Chain() == chain {
		if seal, bad := r.Seal(); bad == nil && seal != nil {
			return r, seal, nil
		}
	}
	if err := cutBack(rec, chain.Bytes); err != nil {
		return nil, nil, err
	}
	if r, err = recording.Join(nil, rec); err != nil {
		return nil, nil, err
	}
	return r, nil, unchanged(r, chain)
}

// unchanged refuses to go on behind a finished part that is not what was written
// or read before.
func unchanged(r *recording.Recording, chain recording.Chain) error {
	if r.Chain() == chain {
		return nil
	}
	return &recording.DamageError{How: recording.Changed, Where: "block", Number: chain.Blocks, Offset: chain.Bytes,
		What: "the blocks before are not those that were written"}
}

// put writes b at offset, with the ballast's room if there is none other.
func (d *Dir) put(f *os.File, b []byte, offset int64) error {
	_, err := f.WriteAt(b, offset)
	if isFull(err) {
		d.room.give()
		_, err = f.WriteAt(b, offset)
	}
	return err
}

// sync makes the names in the directory last.
func (d *Dir) sync() error {
	f, err := os.Open(d.config.Path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// clear removes a session's tails, and its files with further suffixes.
func (d *Dir) clear(session id.Session, further ...string) error {
	var errs []error
	for _, suffix := range append(further, suffixNext, recording.SuffixFull, recording.SuffixTail) {
		err := os.Remove(filepath.Join(d.config.Path, string(session)+suffix))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// header reads a recording's header from whatever files there are.
func (d *Dir) header(session id.Session) (recording.Header, error) {
	r, err := recording.OpenDir(d.config.Path, session, nil)
	if err != nil {
		return recording.Header{}, err
	}
	defer r.Close()
	return r.Header(), nil
}

func (d *Dir) grown(session id.Session, size int64, sealed bool) {
	if d.config.Grown != nil {
		d.config.Grown(session, size, sealed)
	}
}

// owe has the compactor finish a recording later.
func (d *Dir) owe(u unfinished) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owed[u.session] = u
}

// pay tries again to finish what could not be finished.
func (d *Dir) pay() {
	d.mu.Lock()
	owed := d.owed
	d.owed = map[id.Session]unfinished{}
	d.mu.Unlock()
	for _, u := range owed {
		f := d.finish(u)
		if f.Err != nil {
			d.config.Log.Warn("recording not finished yet", "session", u.session, "err", f.Err)
		}
		if (f.Seal != nil || f.Lost) && d.config.Sealed != nil {
			d.config.Sealed(f)
		}
	}
}
