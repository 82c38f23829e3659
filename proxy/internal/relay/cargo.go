package relay

import (
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/sftp"
	"github.com/sallyport-ssh/sallyport/internal/transfer"
)

// cargo is what a channel without a terminal carries. It counts what passes,
// has it followed where its protocol is known, and tells the Transfer when the
// channel has ended.
type cargo struct {
	e      *evidence
	n      uint32
	follow follower           // nil where nothing is known of what passes
	stop   func(*fault.Error) // ends the channel

	input, output, stderr atomic.Int64

	mu   sync.Mutex
	told recording.Transfer // as it will be told
}

// follower follows a conversation in both directions, each from one goroutine,
// and tells what is done with files. What passes goes on only if it returns nil.
type follower interface {
	Client(b []byte) error
	Node(b []byte) error
	End() error // tells what was not ended
	Files() int // that were told
}

// errUnrecorded is how an operation that could not be recorded comes back from a
// follower; the session is ending by then.
var errUnrecorded = errors.New("not recorded")

// load begins the cargo of channel n. stop ends the channel in the proxy's name.
func (l *Link) load(n uint32, what recording.Transfer, stop func(*fault.Error)) *cargo {
	c := &cargo{e: l.evidence, n: n, told: what, stop: stop}
	switch what.Tool {
	case "sftp":
		c.follow = sftp.New(sftp.Config{
			Now: c.now, Op: c.file, Content: c.content, Keep: l.Recorder.Limits().Files,
		})
	case "scp":
		c.follow = transfer.FollowSCP(what.Direction, c.now, c.file)
	}
	return c
}

func (c *cargo) now() int64 { return c.e.recorder.Now().Microseconds() }

// file records an operation, which is delivered after it.
func (c *cargo) file(op recording.FileOp) error {
	if !c.e.do(func() error { return c.e.recorder.File(c.n, op) }) {
		return errUnrecorded
	}
	return nil
}

// content records bytes of a file that the role wants kept.
func (c *cargo) content(piece recording.Content) error {
	for len(piece.Bytes) > 0 {
		n := min(len(piece.Bytes), busy) // well below what a frame can hold
		part := piece
		part.Bytes = piece.Bytes[:n]
		if !c.e.do(func() error { return c.e.recorder.Content(c.n, part) }) {
			return errUnrecorded
		}
		piece.Bytes, piece.Offset = piece.Bytes[n:], piece.Offset+uint64(n)
	}
	return nil
}

// carries has what keep has recorded counted and followed.
func (c *cargo) carries(kind recording.Kind, keep func([]byte) bool) func([]byte) bool {
	count, follow := &c.stderr, func([]byte) error { return nil }
	switch kind {
	case recording.KindInput:
		count = &c.input
		if c.follow != nil {
			follow = c.follow.Client
		}
	case recording.KindOutput:
		count = &c.output
		if c.follow != nil {
			follow = c.follow.Node
		}
	}
	return func(b []byte) bool {
		if !keep(b) {
			return false
		}
		count.Add(int64(len(b)))
		return c.followed(follow(b))
	}
}

// followed says whether what was followed may go on.
func (c *cargo) followed(err error) bool {
	if err == nil {
		return true
	}
	var malformed *sftp.Malformed
	var lost *transfer.Lost
	switch {
	case errors.As(err, &malformed):
		c.mu.Lock()
		c.told.Reason, c.told.Unfollowed = string(fault.SFTPMalformed), malformed.Error()
		c.mu.Unlock()
		c.stop(fault.New(fault.Invalid, fault.SFTPMalformed, "what your file transfer sends cannot be followed, and so it ends (%s)", malformed))
		return false
	case errors.As(err, &lost):
		// Whoever may run commands needs no scp to carry files: nothing is gained
		// by ending this one.
		c.mu.Lock()
		c.told.Unfollowed = lost.Error()
		c.mu.Unlock()
		return true
	}
	return false
}

// end tells the Transfer. Nothing passes any more.
func (c *cargo) end(exit *uint32) {
	t := c.told
	t.Input, t.Output, t.Stderr, t.Exit = c.input.Load(), c.output.Load(), c.stderr.Load(), exit
	if c.follow != nil {
		if c.follow.End() != nil {
			return // the session ends for it
		}
		t.Files = c.follow.Files()
	}
	c.e.do(func() error { return c.e.recorder.Transfer(c.n, t) })
}

// exitStatus reads an exit-status (RFC 4254, section 6.10); nil for any other
// request.
func exitStatus(r *ssh.Request) *uint32 {
	var m struct{ Status uint32 }
	if r.Type != "exit-status" || ssh.Unmarshal(r.Payload, &m) != nil {
		return nil
	}
	return &m.Status
}
