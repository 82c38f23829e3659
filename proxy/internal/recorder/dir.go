package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Dir is a directory of recordings, opened once by a proxy. The zero Dir opens
// nothing.
type Dir struct {
	config  Config
	room    *room
	lock    *os.File
	packers chan *recording.Packer // as many as may compress at once; nil in it: not made yet
	due     chan *Recorder         // whose tail is large enough
	stop    chan struct{}          // closed by Close
	stopped chan struct{}          // closed when the compactor has ended

	mu   sync.Mutex
	live map[id.Session]*Recorder  // nil when closed
	owed map[id.Session]unfinished // could not be finished or sealed yet
}

// OpenDir opens the directory for this process alone, and finishes what a crash
// left. A damaged recording is reported and keeps nobody from recording.
func OpenDir(c Config) (*Dir, []Finished, error) {
	if c.Seal == nil {
		return nil, nil, errors.New("open recordings' directory: nobody seals")
	}
	if err := os.MkdirAll(c.Path, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make recordings' directory: %w", err)
	}
	// Another proxy on this directory would take our live tails for a crash's.
	lock, err := lockFile(filepath.Join(c.Path, ".lock"))
	if err != nil {
		return nil, nil, fmt.Errorf("lock recordings' directory %q: %w", c.Path, err)
	}
	c.complete()
	d := &Dir{
		config: c, lock: lock,
		packers: make(chan *recording.Packer, min(runtime.GOMAXPROCS(0), 4)),
		due:     make(chan *Recorder, 64),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
		live:    map[id.Session]*Recorder{},
		owed:    map[id.Session]unfinished{},
	}
	for range cap(d.packers) {
		d.packers <- nil
	}
	var recovered []Finished
	if d.room, err = newRoom(c.Path, c.Reserve, c.Log); err == nil {
		recovered, err = d.recover()
	}
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

// Open starts the recording of m.Session as order says, and sets m.Started. When
// it returns, frame 0 is on file. Errors are of reason recorder_failed.
func (d *Dir) Open(m recording.Meta, order wire.RecordingOrder) (*Recorder, error) {
	r, err := d.open(m, order)
	if err != nil {
		return nil, failed(fmt.Errorf("start recording of session %s: %w", m.Session, err))
	}
	return r, nil
}

func (d *Dir) open(m recording.Meta, order wire.RecordingOrder) (*Recorder, error) {
	if _, err := id.ParseSession(string(m.Session)); err != nil {
		return nil, err // it becomes part of a path
	}
	r := &Recorder{
		dir: d, session: m.Session, limits: limits(d.config.Keep, order), began: time.Now(), oldest: none,
		key: recording.NewContentKey(),
	}
	m.Started = r.began.UnixMicro()
	var (
		wrapped []byte
		err     error
	)
	if len(order.Recipients) > 0 {
		if wrapped, err = r.key.Wrap(order.Recipients); err != nil {
			return nil, err
		}
	}
	if r.header, err = recording.NewHeader(m, r.key, wrapped); err != nil {
		return nil, err
	}
	r.chain = r.header.Chain()
	if r.writer, err = recording.NewTailWriter(r.header, r.key); err != nil {
		return nil, err
	}
	if d.config.Screens != nil {
		r.screens = d.config.Screens(m.Session)
	}
	if _, err := os.Stat(r.path(recording.SuffixRec)); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fs.ErrExist, err)
	}
	if err := d.add(r); err != nil {
		return nil, err
	}
	first := r.header.ForTail(1, recording.Tag{})
	if r.tail, err = newTail(r.path(recording.SuffixTail), first); isFull(err) {
		d.room.give()
		r.tail, err = newTail(r.path(recording.SuffixTail), first)
	}
	if err != nil {
		d.remove(r.session)
		return nil, err
	}
	r.size = first.Size()
	return r, nil
}

// newTail makes a tail without frames. It must not exist.
func newTail(path string, h recording.Header) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
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
	if _, owed := d.owed[r.session]; owed || d.live[r.session] != nil {
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

// pack calls f with a packer, of which few exist: they are what costs memory.
func (d *Dir) pack(f func(*recording.Packer) error) error {
	p := <-d.packers
	defer func() { d.packers <- p }()
	if p == nil {
		p = recording.NewPacker()
	}
	defer p.Stop()
	return f(p)
}
