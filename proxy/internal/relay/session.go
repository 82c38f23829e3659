package relay

import (
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/proxy/internal/voice"
)

// settle is how long the end of a channel waits for the end of its connection,
// which tells a program that was cut off from one that ended.
const settle = 20 * time.Millisecond

// session relays a session channel (RFC 4254, section 6). Each of its
// goroutines has one job: the client's requests, the node's, and three flows.
type session struct {
	l    *Link
	n    uint32 // in the recording
	down leg
	up   leg

	// Of the goroutine that serves the client's requests.
	terminal bool               // a pty was given
	started  bool               // a shell, exec or subsystem runs
	stop     func()             // forgets the limit of time; nil where there is none
	what     recording.Transfer // what a shell, exec or subsystem is for
	cargo    *cargo             // nil at a terminal, and before start

	input  chan struct{} // closed when the input's flow has ended
	output chan struct{} // closed when both output flows have ended

	// stderr is taken by whoever writes the client's stderr, or ends it: x/crypto
	// wants one writer at a time, and the proxy speaks there too. over is closed
	// before it is taken for good.
	stderr chan struct{}
	over   chan struct{}
	end    sync.Once // of what the client is sent

	dismissed sync.Once

	sending sync.Mutex // held while an exit status is sent; before mu

	mu     sync.Mutex
	raw    bool         // as terminal, for the other goroutines
	flows  []*flow      // stdout and stderr; none before start
	exit   *ssh.Request // an exit status or signal that is held back
	exited bool         // one went on
	status *uint32      // the node's exit status; nil before it and without one
}

func newSession(l *Link, n uint32, down, up leg) *session {
	s := &session{
		l: l, n: n, down: down, up: up,
		input: make(chan struct{}), output: make(chan struct{}),
		stderr: make(chan struct{}, 1), over: make(chan struct{}),
	}
	s.stderr <- struct{}{}
	return s
}

// acceptedSession is fromClient for a session channel whose opening was answered
// before the node was known. The requests before were answered then, too, and
// want no reply.
func (l *Link) acceptedSession(down ssh.Channel, requests <-chan *ssh.Request, before []*ssh.Request) {
	n := l.Recorder.NewChannel()
	near := leg{down, requests}
	if !l.evidence.opened(n, recording.Open{From: recording.Client, Type: "session"}) {
		l.turnAway(n, near, l.reason())
		return
	}
	up, upRequests, err := l.Up.OpenChannel("session", nil)
	answer := recording.Answer{From: recording.Node, To: "open", OK: err == nil}
	if err != nil {
		answer.Text = []byte(err.Error())
	}
	recorded := l.evidence.answered(n, answer)
	switch {
	case err != nil:
		l.turnAway(n, near, fault.New(fault.Unavailable, fault.NodeRefused, "%s opens no session", l.Node).Because(err))
	case !recorded:
		up.Close()
		go ssh.DiscardRequests(upRequests) // ends with the node's leg, which ends now
		l.turnAway(n, near, l.reason())
	default:
		l.relaySession(n, near, leg{up, upRequests}, before)
	}
}

// turnAway tells f on a session channel that leads nowhere.
func (l *Link) turnAway(n uint32, down leg, f *fault.Error) {
	newSession(l, n, down, leg{}).dismiss(f)
	for r := range down.requests {
		r.Reply(false, nil)
	}
}

// relaySession carries a session to its end.
func (l *Link) relaySession(n uint32, down, up leg, before []*ssh.Request) {
	s := newSession(l, n, down, up)
	l.mu.Lock()
	l.sessions[s] = struct{}{}
	cause := l.cause
	l.mu.Unlock()
	if cause != nil && cause != errClosed { // it ended just now, without us
		l.work.Go(func() { s.dismiss(fault.Of(cause)) })
	}
	var all sync.WaitGroup
	all.Go(s.fromNode)
	for _, r := range before {
		s.request(r, &all)
	}
	s.fromClient(&all)
	all.Wait()
	if s.cargo != nil {
		s.cargo.end(s.status)
	}
	l.mu.Lock()
	delete(l.sessions, s)
	l.mu.Unlock()
	if s.stop != nil {
		s.stop()
	}
}

// fromClient serves the client's requests until it closes the channel. all waits
// for the flows.
func (s *session) fromClient(all *sync.WaitGroup) {
	for r := range s.down.requests {
		s.request(r, all)
	}
	if !s.started {
		close(s.input)
		close(s.output)
	}
	<-s.input // what was sent before the close is delivered before it
	s.l.closed(s.n, recording.Client, s.up)
}

// start lets bytes flow. Not earlier: what reaches sshd before its program runs
// is lost.
func (s *session) start(all *sync.WaitGroup) {
	s.started = true
	in, out, errs := s.keepers()
	input := &flow{src: s.down, dst: s.up, keep: in.keep, rest: restInput}
	stdout := &flow{src: s.up, dst: s.down, keep: out.keep, rest: restOutput}
	stderr := &flow{src: s.up.Stderr(), dst: stderrWriter{s}, keep: errs.keep, rest: restInput}
	if !s.terminal {
		s.cargo = s.l.load(s.n, s.what, s.cut)
		input.keep = s.cargo.carries(recording.KindInput, in.keep)
		stdout.keep = s.cargo.carries(recording.KindOutput, out.keep)
		stderr.keep = s.cargo.carries(recording.KindStderr, errs.keep)
	}
	s.mu.Lock()
	s.flows = []*flow{stdout, stderr}
	s.mu.Unlock()
	all.Go(func() {
		defer close(s.input)
		if input.run() && in.end() && s.l.evidence.eof(s.n, recording.Client) {
			s.up.CloseWrite()
		}
	})
	var outputs sync.WaitGroup
	outputs.Add(2)
	all.Go(func() {
		defer outputs.Done()
		_ = stderr.run() && errs.end()
	})
	all.Go(func() {
		_ = stdout.run() && out.end()
		outputs.Done()
		outputs.Wait()
		close(s.output)
		if s.sendExit() {
			s.endOutput()
		}
	})
}

// keepers record the three flows.
func (s *session) keepers() (in, out, errs keeper) {
	e := s.l.evidence
	if s.terminal {
		return e.terminal(s.n)
	}
	return e.keeper(recording.KindInput, s.n), e.keeper(recording.KindOutput, s.n), e.keeper(recording.KindStderr, s.n)
}

// fromNode serves the node's requests until it closes the channel, and then ends
// it, after everything that came before.
func (s *session) fromNode() {
	for r := range s.up.requests {
		if !s.l.requested(s.n, recording.Node, r) {
			continue
		}
		switch r.Type {
		case "exit-status", "exit-signal":
			s.holdExit(r)
		case "eow@openssh.com", "xon-xoff", "keepalive@openssh.com":
			// OpenSSH's PROTOCOL, section 2.1; RFC 4254, section 6.8. sshd's
			// ClientAliveInterval asks on a channel, and wants the client's answer.
			s.pass(r, s.down, recording.Client)
		default:
			s.l.refuse(s.n, r, fault.New(fault.Denied, fault.ChannelNotAllowed, "requests of type %q are not carried", r.Type))
		}
	}
	<-s.output
	if s.wasCut() {
		s.say(voice.Text(fault.New(fault.Unavailable, fault.NodeAway, "%s closed the connection", s.l.Node), s.isRaw()))
	}
	s.sendExit()
	s.endOutput()
	s.l.closed(s.n, recording.Node, s.down)
}

// wasCut says whether the node's connection ended under a running program. ssh
// would then end without a word. x/crypto closes channels just before it tells
// that the connection has ended.
func (s *session) wasCut() bool {
	s.mu.Lock()
	running := len(s.flows) > 0 && !s.exited && s.exit == nil
	s.mu.Unlock()
	if !running {
		return false
	}
	select {
	case <-s.l.gone:
		return true
	case <-time.After(settle):
		return false
	}
}

// endOutput passes the node's end of file on. After it nobody may write.
//
// It waits for the exit status, or for the close where none comes. ssh answers
// an end of file by a close as soon as its own input has ended, and x/crypto
// answers that close at once, before the status of a program that still runs
// could go out: scripts would see 255. So a program that closes its output and
// runs on is heard to have ended only when it has.
func (s *session) endOutput() {
	s.end.Do(func() {
		close(s.over)
		s.l.evidence.eof(s.n, recording.Node)
		<-s.stderr // for good
		s.down.CloseWrite()
	})
}
