package relay

import (
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/proxy/internal/voice"
)

// restCheck is how long the output must have rested before an exit status goes
// on although the output has no end: something in the background keeps it open.
const restCheck = 100 * time.Millisecond

// holdExit keeps an exit status or signal back until the output before it was
// delivered. The protocol lets it overtake data, and a client that leaves on it
// would lose the rest.
func (s *session) holdExit(r *ssh.Request) {
	s.mu.Lock()
	if s.exited || s.exit != nil {
		s.mu.Unlock()
		return // one is enough
	}
	s.exit, s.status = r, exitStatus(r)
	moved := s.moved()
	s.mu.Unlock()
	select {
	case <-s.output:
		s.sendExit()
		s.endOutput()
	default:
		s.awaitRest(moved)
	}
}

// sendExit sends the exit status that is held back, if there is one. When it
// returns, the status is on its way, whoever of several callers sent it: the
// close that may follow must not overtake it. It says whether one has been sent.
func (s *session) sendExit() bool {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	r := s.exit
	s.exit = nil
	s.exited = s.exited || r != nil
	sent := s.exited
	s.mu.Unlock()
	if r != nil {
		s.down.SendRequest(r.Type, false, r.Payload)
	}
	return sent
}

// awaitRest sends the held exit status when the output rests: both flows wait in
// a read, and nothing has come for a while.
func (s *session) awaitRest(before uint64) {
	time.AfterFunc(restCheck, func() {
		s.mu.Lock()
		held, now, rests := s.exit != nil, s.moved(), s.rests()
		s.mu.Unlock()
		switch {
		case !held:
		case now == before && rests:
			s.sendExit()
		default:
			s.awaitRest(now)
		}
	})
}

// moved counts what the output flows have carried; s.mu is held.
func (s *session) moved() (n uint64) {
	for _, f := range s.flows {
		n += f.chunks.Load()
	}
	return n
}

// rests says whether all output flows wait for the node; s.mu is held.
func (s *session) rests() bool {
	for _, f := range s.flows {
		if !f.reading.Load() {
			return false
		}
	}
	return true
}

// sendRefusal sends the exit status of a refusal, in place of any that the
// program had.
func (s *session) sendRefusal() {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	sent := s.exited
	s.exit, s.exited = nil, true
	s.mu.Unlock()
	if !sent {
		s.down.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{voice.ExitStatus}))
	}
}
