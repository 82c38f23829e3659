// Package relay joins the two legs of one session: what the client opens, asks
// and sends goes to the node and back, each thing checked against the grant,
// recorded, and then delivered.
//
// # Promises
//
// Recorded before delivered: a byte, a request or an opening goes on only after
// the recorder has returned from it. When the recorder fails, the session ends:
// everybody who has a channel open is told, and both legs are closed.
//
// Nothing passes that is not in a table here (request.go, open.go): an unknown
// kind of channel or request is refused, and the refusal recorded, in both
// directions. A node can open no channel that its client did not ask for.
//
// Exact: end of file, stderr, exit status and signals arrive as they were sent.
// The exit status follows the output that came before it; nothing is lost at the
// end. There is no queue between a read and its write, so that a slow reader
// slows its writer, and a channel that nobody reads costs its window (2 MiB,
// golang.org/x/crypto/ssh's) and nothing else.
//
// What a channel without a terminal carries is counted and named (cargo.go). SFTP
// is followed beside: each operation is recorded before its answer goes on, and a
// conversation that cannot be followed ends its channel, on both sides, and
// nothing else. Of forwarded connections the destination, the counts and the
// digests are told; their content is kept only where a role asks for it.
//
// At rest a channel holds no large buffer (flow.go).
//
// # Not recorded
//
// Keepalives and PuTTY's winadj probes: they say nothing but that both ends
// live, and an idle session should cost nothing.
package relay

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/proxy/internal/recorder"
)

// MaxChannels is how many channels one connection may hold open, either side's
// together. Browsers behind ssh -D open some hundreds.
const MaxChannels = 500

// Times that an ending session gives to others.
const (
	tellLimit  = time.Second     // for a client to take the message
	goLimit    = 2 * time.Second // for a client to leave by itself after it
	flushLimit = time.Second     // for what a client sent last to reach the node
)

// Config is what a Link needs; every field must be set but Hangup and Notice.
type Config struct {
	Down       ssh.Conn // the client's leg, for channels that the node opens
	Up         ssh.Conn // the node's leg
	UpChannels <-chan ssh.NewChannel
	UpRequests <-chan *ssh.Request
	Recorder   *recorder.Recorder
	Grant      policy.Grant
	Node       id.NodeName // for what people are told
	Log        *slog.Logger
	// Hangup closes the client's connection when the session has ended; nil
	// where the connection is not this session's alone (the menu).
	Hangup func()
	// Notice is said on stderr when an interactive shell starts.
	Notice string
}

// Link is a session while it lives. Make it with New; then hand it what the
// client sends (Channel, Session, Request), and Wait.
type Link struct {
	Config
	began    time.Time
	evidence *evidence

	channels sync.WaitGroup // one for each open channel
	work     sync.WaitGroup // all other goroutines
	gone     chan struct{}  // closed when the node's leg has ended

	mu       sync.Mutex
	cause    error                 // why it ended; nil while it lives, errClosed for no fault
	sessions map[*session]struct{} // open session channels, to be told
	open     int                   // channels
	noMore   bool                  // no-more-sessions@openssh.com
	agent    bool                  // agent forwarding was asked for and granted
	ports    map[uint32]bool       // that the node listens on for the client
	sockets  map[string]bool       // likewise
	timers   map[*time.Timer]struct{}
}

// errClosed is the end of a session in which nothing went wrong.
var errClosed = errors.New("closed")

// New starts to serve the node's leg.
func New(c Config) *Link {
	l := &Link{
		Config: c, began: time.Now(), gone: make(chan struct{}),
		sessions: map[*session]struct{}{}, ports: map[uint32]bool{}, sockets: map[string]bool{},
		timers: map[*time.Timer]struct{}{},
	}
	l.evidence = &evidence{recorder: c.Recorder, end: l.End, limit: stallLimit}
	if d, limited := c.Grant.Longest(); limited {
		l.after(d, func() { l.End(expired()) })
	}
	l.work.Go(l.serveNodeRequests)
	l.work.Go(func() {
		for nc := range l.UpChannels {
			l.spawn(nc, l.fromNode)
		}
		close(l.gone)
		// The node hung up, unless we did. What it sent last is still to be
		// delivered; then there is nothing left to talk to.
		first := l.begin(fault.New(fault.Unavailable, fault.NodeAway, "%s closed the connection", l.Node))
		l.channels.Wait()
		if first {
			l.hangup()
		}
		l.Up.Close()
	})
	return l
}

// Channel serves a channel that the client opens. It returns at once.
func (l *Link) Channel(nc ssh.NewChannel) { l.spawn(nc, l.fromClient) }

// Session serves a session channel that the client opened and that was accepted
// already, with the requests that were read from it before. It returns at once.
func (l *Link) Session(down ssh.Channel, requests <-chan *ssh.Request) {
	if !l.enter() {
		down.Close()
		return
	}
	go func() {
		defer l.leave()
		l.acceptedSession(down, requests, nil)
	}()
}

// Only serves the one channel of a session that has no connection to itself: as
// Session does, after the requests before, which were answered already. The
// session ends with it.
func (l *Link) Only(down ssh.Channel, requests <-chan *ssh.Request, before []*ssh.Request) {
	if l.enter() {
		l.acceptedSession(down, requests, before)
		l.leave()
	} else {
		down.Close()
	}
	l.Close()
}

// spawn serves nc in its own goroutine, if there is room for it.
func (l *Link) spawn(nc ssh.NewChannel, serve func(ssh.NewChannel)) {
	if !l.enter() {
		nc.Reject(ssh.ResourceShortage, "sallyport: no more channels on this connection")
		return
	}
	go func() {
		defer l.leave()
		serve(nc)
	}()
}

// enter counts a channel in, unless there are too many or the session has ended.
func (l *Link) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil || l.open >= MaxChannels {
		return false
	}
	l.open++
	l.channels.Add(1)
	return true
}

func (l *Link) leave() {
	l.mu.Lock()
	l.open--
	l.mu.Unlock()
	l.channels.Done()
}

// End ends the session for f, and tells everybody who has a session channel
// open. It returns at once; a second end changes nothing.
func (l *Link) End(f *fault.Error) {
	if !l.begin(f) {
		return
	}
	if f.Kind == fault.Internal {
		l.Log.Error("session ends", "reason", f.Reason, "err", f)
	}
	l.mu.Lock()
	told := make([]*session, 0, len(l.sessions))
	for s := range l.sessions {
		told = append(told, s)
	}
	l.mu.Unlock()
	l.work.Go(func() {
		var all sync.WaitGroup
		for _, s := range told {
			all.Go(func() { s.dismiss(f) })
		}
		all.Wait()
		l.hangup()
		l.Up.Close()
	})
}

// Close ends the session because the client has gone. What it sent last still
// has a moment to reach the node. It returns at once.
func (l *Link) Close() {
	if !l.begin(errClosed) {
		return
	}
	l.work.Go(func() {
		done := make(chan struct{})
		go func() { l.channels.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(flushLimit):
		}
		l.Up.Close() // ends every channel, and with them the goroutine above
	})
}

// begin makes cause the reason of the end, if there is none yet.
func (l *Link) begin(cause error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return false
	}
	l.cause = cause
	for t := range l.timers {
		t.Stop()
	}
	clear(l.timers)
	return true
}

// hangup lets the client leave by itself: it has been told, and OpenSSH does so
// when its last channel closes. Closing at once could destroy what it has not
// read yet (a reset overtakes data).
func (l *Link) hangup() {
	if l.Hangup == nil {
		return
	}
	left := make(chan struct{})
	go func() { l.Down.Wait(); close(left) }()
	select {
	case <-left:
	case <-time.After(goLimit):
	}
	l.Hangup()
}

// reason is why the session ends, for who finds that it does.
func (l *Link) reason() *fault.Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fault.Of(l.cause)
}

// shorter is the limit of a channel whose time is over before the connection's.
// Where both end together the connection's end tells everybody, and why.
func (l *Link) shorter(kind policy.Channel) (d time.Duration, limited bool) {
	d, limited = l.Grant.Limit(kind)
	longest, all := l.Grant.Longest()
	return d, limited && !(all && d >= longest)
}

// after calls f when the session is d old, unless it has ended. stop forgets it.
func (l *Link) after(d time.Duration, f func()) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return func() {}
	}
	t := time.AfterFunc(time.Until(l.began.Add(d)), f)
	l.timers[t] = struct{}{}
	return func() {
		t.Stop()
		l.mu.Lock()
		delete(l.timers, t)
		l.mu.Unlock()
	}
}

// Wait returns when everything has ended, with the fault that ended it, or nil
// if both sides were done. Somebody must have called Close, or the node's leg
// must have ended.
func (l *Link) Wait() *fault.Error {
	<-l.gone
	l.channels.Wait()
	l.work.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == errClosed {
		return nil
	}
	return fault.Of(l.cause)
}

func expired() *fault.Error {
	return fault.New(fault.Denied, fault.SessionExpired, "the time that your role gives is over")
}
