package relay

import (
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Messages of RFC 4254, section 7, and OpenSSH's PROTOCOL, section 2.4.
type (
	tcpipForward struct { // tcpip-forward and its cancellation
		Addr string
		Port uint32
	}
	forwardedTCPIP struct {
		Addr       string
		Port       uint32
		OriginAddr string
		OriginPort uint32
	}
	streamlocalForward struct { // streamlocal-forward@openssh.com and its cancellation
		Path string
	}
	forwardedStreamlocal struct {
		Path     string
		Reserved string
	}
)

// Request serves a global request of the client. It returns when r is answered,
// because answers keep the order of requests (RFC 4254, section 4).
func (l *Link) Request(r *ssh.Request) {
	if isQuiet(r.Type) {
		// The node answers, so that a client notices when it is away.
		ok, data, err := l.Up.SendRequest(r.Type, r.WantReply, r.Payload)
		r.Reply(ok && err == nil, data)
		return
	}
	if !l.requested(0, recording.Client, r) {
		return
	}
	switch r.Type {
	case "no-more-sessions@openssh.com":
		l.mu.Lock()
		l.noMore = true
		l.mu.Unlock()
		l.passGlobal(r)
	case "tcpip-forward", "cancel-tcpip-forward":
		var m tcpipForward
		if ssh.Unmarshal(r.Payload, &m) != nil || m.Port > 65535 {
			l.refuse(0, r, fault.New(fault.Invalid, fault.BadRequest, "the request is malformed"))
			return
		}
		if !l.Grant.Allows(policy.ForwardRemote) {
			l.refuse(0, r, l.notGranted(policy.ForwardRemote))
			return
		}
		l.forwardTCPIP(r, m)
	case "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com":
		var m streamlocalForward
		if ssh.Unmarshal(r.Payload, &m) != nil {
			l.refuse(0, r, fault.New(fault.Invalid, fault.BadRequest, "the request is malformed"))
			return
		}
		if !l.Grant.Allows(policy.ForwardUnix) {
			l.refuse(0, r, l.notGranted(policy.ForwardUnix))
			return
		}
		add := r.Type == "streamlocal-forward@openssh.com"
		if add {
			l.allow(func() { l.sockets[m.Path] = true }) // a connection may come before the answer
		}
		if ok, _ := l.passGlobal(r); ok != add {
			l.allow(func() { delete(l.sockets, m.Path) })
		}
	default:
		l.refuse(0, r, fault.New(fault.Denied, fault.ChannelNotAllowed, "requests of type %q are not carried", r.Type))
	}
}

// forwardTCPIP passes on that the node should listen, or no more. With port 0
// the node chooses one and tells it in its answer.
func (l *Link) forwardTCPIP(r *ssh.Request, m tcpipForward) {
	if r.Type == "cancel-tcpip-forward" {
		if ok, _ := l.passGlobal(r); ok {
			l.allow(func() { delete(l.ports, m.Port) })
		}
		return
	}
	if m.Port != 0 {
		l.allow(func() { l.ports[m.Port] = true }) // a connection may come before the answer
	}
	ok, data := l.passGlobal(r)
	var chosen struct{ Port uint32 }
	switch {
	case !ok && m.Port != 0:
		l.allow(func() { delete(l.ports, m.Port) })
	case ok && m.Port == 0 && ssh.Unmarshal(data, &chosen) == nil:
		l.allow(func() { l.ports[chosen.Port] = true })
	}
}

// allow changes what the node may open.
func (l *Link) allow(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// passGlobal passes r on to the node and its answer back.
func (l *Link) passGlobal(r *ssh.Request) (ok bool, data []byte) {
	ok, data, err := l.Up.SendRequest(r.Type, r.WantReply, r.Payload)
	ok = ok && err == nil
	if r.WantReply && !l.evidence.answered(0, recording.Answer{From: recording.Node, To: r.Type, OK: ok, Data: data}) {
		ok, data = false, nil
	}
	r.Reply(ok, data)
	return ok, data
}

// serveNodeRequests answers the node's global requests.
func (l *Link) serveNodeRequests() {
	for r := range l.UpRequests {
		switch {
		case isQuiet(r.Type):
			// The client answers, so that a node notices when it is away.
			ok, data, err := l.Down.SendRequest(r.Type, r.WantReply, r.Payload)
			r.Reply(ok && err == nil, data)
		case r.Type == "hostkeys-00@openssh.com":
			// The node's host keys are the proxy's affair: to its clients they
			// would be another host's, and UpdateHostKeys would store them.
			if l.requested(0, recording.Node, r) {
				r.Reply(false, nil)
			}
		case l.requested(0, recording.Node, r):
			l.refuse(0, r, fault.New(fault.Denied, fault.ChannelNotAllowed, "requests of type %q are not carried", r.Type))
		}
	}
}

// requested records r before anything is done about it. If that fails, r is
// answered with no.
func (l *Link) requested(n uint32, from recording.Side, r *ssh.Request) bool {
	if isQuiet(r.Type) {
		return true
	}
	if l.evidence.requested(n, recording.Request{
		From: from, Type: recording.Printable([]byte(r.Type)), WantReply: r.WantReply, Data: r.Payload,
	}) {
		return true
	}
	r.Reply(false, nil)
	return false
}

// refuse answers r in the proxy's own name.
func (l *Link) refuse(n uint32, r *ssh.Request, f *fault.Error) {
	if !isQuiet(r.Type) {
		l.evidence.answered(n, recording.Answer{
			From: recording.Proxy, To: recording.Printable([]byte(r.Type)), Reason: string(f.Reason), Text: []byte(f.Text),
		})
	}
	r.Reply(false, nil)
}
