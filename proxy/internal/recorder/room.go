package recorder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// What is set aside, in bytes. A session that writes without end fills any disk;
// these keep it from taking along those that were there before.
const (
	reserveMost  = 1 << 30        // unless Config.Reserve says otherwise,
	reserveShare = 20             // and at most this part of the file system
	ballastMost  = 64 << 20       // of the reserve stands in a file, out of others' reach
	sessionNeeds = 4 * tailFull   // a full tail and the next one, and both again compressed
	ballastName  = ".ballast"     // beside the recordings
	ballastPart  = 2              // of the reserve is ballast at most
	mib          = int64(1 << 20) // what people are told is counted in these
)

// room says whether another recording can be kept, and holds the ballast: a file
// of no content that is given back when the disk is full all the same, so that
// the sessions that run go on.
type room struct {
	path    string // of the recordings' directory
	reserve int64  // bytes that new sessions must leave, the ballast among them
	want    int64  // size of the ballast; 0 where the file system has none to give
	log     *slog.Logger

	mu      sync.Mutex
	opening int64 // sessions with room set aside that are not live yet
	held    int64 // size of the ballast now
	full    bool  // it was said in the log
}

// newRoom measures the file system of path; reserve 0 is the default.
func newRoom(path string, reserve int64, log *slog.Logger) (*room, error) {
	r := &room{path: path, reserve: reserve, log: log}
	_, size, err := r.space()
	if err != nil {
		return nil, err
	}
	if r.reserve == 0 {
		r.reserve = min(reserveMost, size/reserveShare)
	}
	r.want = min(ballastMost, r.reserve/ballastPart)
	if info, err := os.Stat(r.file()); err == nil {
		r.held = min(info.Size(), r.want)
	}
	return r, nil
}

func (r *room) file() string { return filepath.Join(r.path, ballastName) }

// enter sets room aside for one more session beside live ones, or refuses with
// recordings_full.
func (r *room) enter(live int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load(live)
	free, _, err := r.space()
	if err != nil {
		return failed(fmt.Errorf("measure the recordings' disk: %w", err))
	}
	need := r.needs(live) + sessionNeeds
	if r.held < r.want || free+r.held < r.reserve+need {
		r.say(true, free)
		return fault.New(fault.Unavailable, fault.RecordingsFull,
			"this proxy has no room to keep another recording: %s are free, and %s are kept for the sessions that run",
			config.Bytes(free/mib*mib), config.Bytes((r.reserve+need-r.held)/mib*mib)).
			Then("try again later, and tell whoever runs the proxy")
	}
	r.say(false, free)
	r.opening++
	return nil
}

// leave ends enter: the session counts as live now, or there is none.
func (r *room) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opening--
}

// needs is what the sessions that are there may still take; r.mu is held.
func (r *room) needs(live int) int64 { return (int64(live) + r.opening) * sessionNeeds }

// give gives the ballast back, because a write found no room. The write is to be
// tried once more also when another one was faster.
func (r *room) give() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == 0 {
		return
	}
	if err := os.Truncate(r.file(), 0); err != nil {
		r.log.Error("ballast not given back", "err", err)
		return
	}
	r.log.Error("the recordings' disk is full: what was set aside goes to the sessions that run, and new ones are refused", "path", r.path, "bytes", r.held)
	r.held, r.full = 0, true
}

// refill takes the ballast again when there is room for it.
func (r *room) refill(live int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load(live)
}

// load takes the ballast unless it is there or there is no room; r.mu is held.
func (r *room) load(live int) {
	if r.held >= r.want {
		return
	}
	free, _, err := r.space()
	if err != nil || free+r.held < r.reserve+r.needs(live) {
		return
	}
	switch err := allocate(r.file(), r.want); {
	case err == nil:
		r.held = r.want
	case isFull(err):
		os.Truncate(r.file(), 0) // part of it may have been taken
		r.held = 0
	default:
		// Not every file system can promise room (NFS, ZFS). The reserve is kept
		// all the same, only not from others.
		r.log.Warn("no ballast on this file system", "path", r.path, "err", err)
		os.Remove(r.file())
		r.want, r.held = 0, 0
	}
}

// say logs once when new sessions begin or cease to be refused; r.mu is held.
func (r *room) say(full bool, free int64) {
	if full == r.full {
		return
	}
	r.full = full
	if full {
		r.log.Error("no room for new recordings: new sessions are refused", "path", r.path, "free", free, "reserve", r.reserve)
		return
	}
	r.log.Info("there is room for new recordings again", "path", r.path, "free", free)
}

// space is what this process may still write to the file system, and its size.
func (r *room) space() (free, size int64, err error) {
	free, size, err = diskSpace(r.path)
	if errors.Is(err, errors.ErrUnsupported) {
		// Nothing can be foretold here; a write that finds no room still ends its
		// session.
		return 1 << 62, 1 << 62, nil
	}
	return free, size, err
}

// isFull says whether err is for want of room: of the disk, or of a quota. A write
// that the kernel cut short is, too; the next one would say so.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, io.ErrShortWrite)
}

// Reserve sets room aside for a session that is about to be opened, before
// anybody is asked for it. It refuses with recordings_full where the session
// could not be kept, or where too much waits to be uploaded. release must be
// called when Open has returned, or will not be called.
func (d *Dir) Reserve() (release func(), err error) {
	if d.room == nil {
		return nil, failed(fs.ErrClosed) // the zero Dir
	}
	if d.config.Backlog != nil {
		if err := d.config.Backlog(); err != nil {
			return nil, err
		}
	}
	if err := d.room.enter(d.count()); err != nil {
		return nil, err
	}
	return sync.OnceFunc(d.room.leave), nil
}
