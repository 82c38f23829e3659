package recorder

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Config says where and how a proxy keeps recordings.
type Config struct {
	// Path of the directory, which is this proxy's alone. It is made, mode 0700,
	// if it is missing.
	Path string
	// Keep is how many bytes of each direction of a channel without a terminal
	// are kept as they are; beyond, count and SHA-256. 0 is DefaultKeep, below
	// nothing is kept.
	Keep int64
	// Log gets what the background work meets; nil is slog.Default.
	Log *slog.Logger
}

// DefaultKeep holds nearly every command's input and output whole, and of a
// copied file the head.
const DefaultKeep = 1 << 20

// Dir is a directory of recordings, opened once by a proxy.
type Dir struct {
	path string
	keep int64
	log  *slog.Logger
}

// Recovered is what OpenDir found of a session that a crash cut.
type Recovered struct {
	Session string
	Frames  uint64 // in the finished recording, with its KindEnd
	// Err is why the recording could not be finished: it is damaged. Its files
	// are left as they are.
	Err error
}

// OpenDir opens the directory, alone, and finishes what a crash left.
func OpenDir(c Config) (*Dir, []Recovered, error) {
	d := &Dir{path: c.Path, keep: c.Keep, log: c.Log}
	if d.log == nil {
		d.log = slog.Default()
	}
	if c.Keep == 0 {
		d.keep = DefaultKeep
	}
	d.keep = max(d.keep, 0)
	if err := os.MkdirAll(c.Path, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make recordings' directory: %w", err)
	}
	return d, nil, nil
}

// Close waits for the background work. Recorders have to be closed before; those
// that are not are finished by the next OpenDir.
func (d *Dir) Close() error { return nil }

// Open starts the recording of m.Session, and sets m.Started. When it returns,
// frame 0 is on file.
func (d *Dir) Open(m recording.Meta) (*Recorder, error) {
	r := &Recorder{dir: d, session: m.Session, began: time.Now()}
	m.Started = r.began.UnixMicro()
	h := recording.Header{Session: m.Session, Started: r.began, Tail: true}
	r.seed = h.Seed()
	f, err := os.OpenFile(filepath.Join(d.path, string(m.Session)+".tail"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, failed(err)
	}
	r.tail = f
	if _, err := f.WriteAt(h.Append(nil), 0); err != nil {
		f.Close()
		return nil, failed(err)
	}
	r.size = recording.HeaderSize
	b, err := json.Marshal(m)
	if err == nil {
		err = r.Append(recording.KindSession, 0, b)
	}
	if err != nil {
		f.Close()
		return nil, failed(err)
	}
	return r, nil
}
