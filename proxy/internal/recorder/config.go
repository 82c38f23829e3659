package recorder

import (
	"log/slog"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Config says where and how a proxy keeps recordings, and who has a part in it.
// Functions are called by any goroutine, several at a time, and never while a
// frame waits for them.
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
	// Flush is how old a frame may grow in a tail, where somebody who follows the
	// finished part (Grown) would not see it. 0 is as old as it likes.
	Flush time.Duration
	// Seal signs the statement about a finished recording, after it has filled in
	// who does so and when. While it cannot, it returns an error and is asked again.
	Seal func(recording.Statement) (*recording.Seal, error)
	// Sealed is told of recordings that were finished or sealed later than Close or
	// OpenDir told; nil is not told.
	Sealed func(Finished)
	// Grown is told that the first size bytes of a session's finished part stand
	// and will not change, and whether that is all, with its seal; at OpenDir of all
	// that is there. nil is not told.
	Grown func(session id.Session, size int64, sealed bool)
	// Backlog says why there must be no new sessions for what waits to be uploaded;
	// nil where nothing is. Its error is a *fault.Error of reason recordings_full.
	Backlog func() error
	// Screens makes what follows the terminals of a new session; nil is nothing.
	Screens func(id.Session) Screens
	// Log gets what the background work meets; nil is slog.Default.
	Log *slog.Logger
}

// DefaultKeep holds nearly every command's input and output whole, and of a
// copied file the head.
const DefaultKeep = 1 << 20

func (c *Config) complete() {
	if c.Keep == 0 {
		c.Keep = DefaultKeep
	}
	c.Keep = max(c.Keep, 0)
	if c.Log == nil {
		c.Log = slog.Default()
	}
}

// Screens follows the terminals of one session, for whom seeking is to show the
// right picture at once. It gets every frame in order, from one goroutine at a
// time, long after it was delivered; or it is dropped, when there is more to do
// than can be done.
type Screens interface {
	// Frame tells of a frame, whose payload is valid until it returns.
	Frame(recording.Frame)
	// Now is what the terminals show that are open after the last frame; ok is
	// false where that is not known (any more).
	Now() (list []recording.Screen, ok bool)
	// Rest says that the next frame will be a while in coming.
	Rest()
}

// Limits are what is kept of a session, in bytes.
type Limits struct {
	Keep     int64 // of each direction of a channel without a terminal
	Files    int64 // of each file that SFTP carries; 0 is none
	Forwards int64 // of each direction of a forwarded connection; 0 is none
	Unechoed bool  // what is typed without echo is kept in clear: nothing is veiled
}

func limits(keep int64, order wire.RecordingOrder) Limits {
	return Limits{Keep: keep, Files: max(order.Files, 0), Forwards: max(order.Forwards, 0), Unechoed: order.Unechoed}
}
