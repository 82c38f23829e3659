package relay

import (
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/transfer"
	"github.com/sallyport-ssh/sallyport/proxy/internal/voice"
)

// Messages of RFC 4254, section 6.
type (
	execRequest      struct{ Command string }
	subsystemRequest struct{ Name string }
)

// request serves one of the client's requests on a session channel (RFC 4254,
// sections 6.2 to 6.10). It returns when r is answered: answers keep the order.
func (s *session) request(r *ssh.Request, flows *sync.WaitGroup) {
	if !s.l.requested(s.n, recording.Client, r) {
		return
	}
	switch r.Type {
	case "pty-req":
		if !s.l.Grant.Allows(policy.Shell) && !s.l.Grant.Allows(policy.Exec) {
			s.l.refuse(s.n, r, s.l.notGranted(policy.Shell))
			return
		}
		if s.pass(r, s.up, recording.Node) || !r.WantReply {
			s.terminal = true
			s.mu.Lock()
			s.raw = true
			s.mu.Unlock()
		}
	case "env", "window-change", "signal", "break", "eow@openssh.com", "xon-xoff":
		// What of the environment is taken is sshd's to say (AcceptEnv); break is
		// RFC 4335.
		s.pass(r, s.up, recording.Node)
	case "keepalive@openssh.com":
		s.pass(r, s.up, recording.Node)
	case "auth-agent-req@openssh.com":
		if !s.l.Grant.Allows(policy.ForwardAgent) {
			s.l.refuse(s.n, r, s.l.notGranted(policy.ForwardAgent))
			return
		}
		s.l.allow(func() { s.l.agent = true })
		s.pass(r, s.up, recording.Node)
	case "x11-req":
		f := fault.New(fault.Denied, fault.ChannelNotAllowed, "X11 is not carried: it would hand your display and keyboard to %s", s.l.Node)
		s.l.refuse(s.n, r, f)
		s.say(voice.Text(f, s.isRaw()))
	case "shell":
		s.what = recording.Transfer{Tool: "shell"}
		s.run(r, policy.Shell, flows)
	case "exec":
		var m execRequest
		if ssh.Unmarshal(r.Payload, &m) != nil {
			s.l.refuse(s.n, r, fault.New(fault.Invalid, fault.BadRequest, "the request is malformed"))
			return
		}
		s.what = transfer.Name([]byte(m.Command))
		s.run(r, policy.Exec, flows)
	case "subsystem":
		var m subsystemRequest
		if ssh.Unmarshal(r.Payload, &m) != nil {
			s.l.refuse(s.n, r, fault.New(fault.Invalid, fault.BadRequest, "the request is malformed"))
			return
		}
		kind := policy.Subsystem
		s.what = recording.Transfer{Tool: "subsystem", Args: [][]byte{[]byte(m.Name)}}
		if m.Name == "sftp" {
			kind = policy.SFTP
			s.what = recording.Transfer{Tool: "sftp"}
		}
		s.run(r, kind, flows)
	default:
		s.l.refuse(s.n, r, fault.New(fault.Denied, fault.ChannelNotAllowed, "requests of type %q are not carried", r.Type))
	}
}

// run passes on a shell, exec or subsystem, after which bytes flow. A refusal
// looks to the client as if it had run and failed: only then does ssh show the
// reason, and exit with our status.
func (s *session) run(r *ssh.Request, kind policy.Channel, flows *sync.WaitGroup) {
	if s.started { // only one of them per channel (RFC 4254, section 6.5)
		s.l.refuse(s.n, r, fault.New(fault.Invalid, fault.BadRequest, "something runs in this session already"))
		return
	}
	if !s.l.Grant.Allows(kind) {
		f := s.l.notGranted(kind)
		s.l.evidence.answered(s.n, recording.Answer{
			From: recording.Proxy, To: r.Type, Reason: string(f.Reason), Text: []byte(f.Text),
		})
		r.Reply(true, nil)
		s.dismiss(f)
		return
	}
	ok := s.pass(r, s.up, recording.Node)
	if !ok && r.WantReply {
		return
	}
	if d, limited := s.l.shorter(kind); limited {
		s.stop = s.l.after(d, func() { s.dismiss(expired()) })
	}
	if kind == policy.Shell && s.terminal && s.l.Notice != "" {
		s.say(voice.Lines(s.l.Notice, true))
	}
	s.start(flows)
}

// pass passes r on to the other side, records the answer, and passes it back.
func (s *session) pass(r *ssh.Request, to leg, answers recording.Side) bool {
	ok, err := to.SendRequest(r.Type, r.WantReply, r.Payload)
	ok = ok && err == nil
	if r.WantReply && !isQuiet(r.Type) {
		ok = s.l.evidence.answered(s.n, recording.Answer{From: answers, To: r.Type, OK: ok}) && ok
	}
	r.Reply(ok, nil)
	return ok
}
