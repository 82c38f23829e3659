package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Config says where and how a proxy keeps recordings.
type Config struct {
	// Path of the directory, which is this proxy's alone; it is made, mode 0700,
	// if it is missing. Others may read it.
	Path string
	// Keep is how many bytes of each direction of a channel without a terminal
	// are kept as they are; beyond, count and SHA-256. 0 is DefaultKeep, below 0
	// nothing is kept.
	Keep int64
	// Reserve is how many bytes of the file system new sessions must leave to those
	// that run. 0 is 1 GiB, or 5 % of the file system where that is less.
	Reserve int64
	// Backlog says why there must be no new sessions for what waits to be uploaded;
	// nil where nothing is. Its error is a *fault.Error of reason recordings_full.
	Backlog func() error
	// Log gets what the background work meets; nil is slog.Default.
	Log *slog.Logger
}

// DefaultKeep holds nearly every command's input and output whole, and of a
// copied file the head.
const DefaultKeep = 1 << 20

// Dir is a directory of recordings, opened once by a proxy. The zero Dir opens
// nothing.
type Dir struct {
	path    string
	keep    int64
	log     *slog.Logger
	backlog func() error
	room    *room
	lock    *os.File
	packers chan *recording.Packer // as many as may compress at once; nil in it: not made yet
	due     chan *Recorder         // whose tail is large enough
	stop    chan struct{}          // closed by Close
	stopped chan struct{}          // closed when the compactor has ended

	mu   sync.Mutex
	live map[id.Session]*Recorder     // nil when closed
	owed map[id.Session]recording.End // could not be finished yet
}

// OpenDir opens the directory for this process alone, and finishes what a crash
// left. A damaged recording is reported and keeps nobody from recording.
func OpenDir(c Config) (*Dir, []Recovered, error) {
	if err := os.MkdirAll(c.Path, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make recordings' directory: %w", err)
	}
	// Another proxy on this directory would take our live tails for a crash's.
	lock, err := lockFile(filepath.Join(c.Path, ".lock"))
	if err != nil {
		return nil, nil, fmt.Errorf("lock recordings' directory %q: %w", c.Path, err)
	}
	d := &Dir{
		path: c.Path, keep: max(c.Keep, 0), log: c.Log, backlog: c.Backlog, lock: lock,
		packers: make(chan *recording.Packer, min(runtime.GOMAXPROCS(0), 4)),
		due:     make(chan *Recorder, 64),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
		live:    map[id.Session]*Recorder{},
		owed:    map[id.Session]recording.End{},
	}
	if c.Keep == 0 {
		d.keep = DefaultKeep
	}
	if d.log == nil {
		d.log = slog.Default()
	}
	if d.room, err = newRoom(c.Path, c.Reserve, d.log); err != nil {
		lock.Close()
		return nil, nil, err
	}
	for range cap(d.packers) {
		d.packers <- nil
	}
	recovered, err := d.recover()
	if err != nil {
		lock.Close()
		return nil, nil, err
	}
	d.room.refill(0)
	go d.compact()
	return d, recovered, nil
}

// Close ends the background work. Recorders are closed before; one that is not
// refuses from now on, and the next OpenDir marks its recording as cut.
func (d *Dir) Close() error {
	d.mu.Lock()
	live := d.live
	d.live = nil
	d.mu.Unlock()
	if live == nil {
		return nil
	}
	close(d.stop)
	<-d.stopped
	for _, r := range live {
		r.abandon()
	}
	return d.lock.Close()
}

// Open starts the recording of m.Session, and sets m.Started. When it returns,
// frame 0 is on file. Errors are of reason recorder_failed.
func (d *Dir) Open(m recording.Meta) (*Recorder, error) {
	r, err := d.open(m)
	if err != nil {
		return nil, failed(fmt.Errorf("start recording of session %s: %w", m.Session, err))
	}
	return r, nil
}

func (d *Dir) open(m recording.Meta) (*Recorder, error) {
	if _, err := id.ParseSession(string(m.Session)); err != nil {
		return nil, err // it becomes part of a path
	}
	r := &Recorder{dir: d, session: m.Session, began: time.Now()}
	r.header = recording.Header{Session: m.Session, Started: r.began}
	r.seed = r.header.Seed()
	m.Started = r.began.UnixMicro()
	meta, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(r.path(recording.SuffixRec)); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fs.ErrExist, err)
	}
	if err := d.add(r); err != nil {
		return nil, err
	}
	if r.tail, err = newTail(r.path(recording.SuffixTail), r.header); err == nil {
		r.size = recording.HeaderSize
		if err = r.Append(recording.KindSession, 0, meta); err == nil {
			return r, nil
		}
		r.tail.Close()
		os.Remove(r.path(recording.SuffixTail))
	}
	d.remove(r.session)
	return nil, err
}

// newTail makes a tail without frames. It must not exist.
func newTail(path string, h recording.Header) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	h.Tail = true
	if _, err := f.WriteAt(h.Append(nil), 0); err != nil {
		f.Close()
		os.Remove(path)
		return nil, err
	}
	return f, nil
}

func (d *Dir) add(r *Recorder) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live == nil {
		return os.ErrClosed
	}
	if d.live[r.session] != nil {
		return fs.ErrExist
	}
	d.live[r.session] = r
	return nil
}

// count is how many recorders are open.
func (d *Dir) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.live)
}

func (d *Dir) remove(session id.Session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.live, session)
}

// owe has the compactor finish a session's recording later.
func (d *Dir) owe(session id.Session, end recording.End) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owed[session] = end
}

// pack calls f with a packer, of which few exist: they are what costs memory.
func (d *Dir) pack(f func(*recording.Packer) error) error {
	p := <-d.packers
	defer func() { d.packers <- p }()
	if p == nil {
		p = recording.NewPacker()
	}
	return f(p)
}
