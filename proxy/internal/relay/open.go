package relay

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/proxy/internal/voice"
)

// clientOpens are the channels that a client may open, and what of the grant
// each needs. A session needs nothing by itself: what runs in it does.
var clientOpens = map[string]policy.Channel{
	"session":                        "",
	"direct-tcpip":                   policy.ForwardLocal, // RFC 4254, section 7.2
	"direct-streamlocal@openssh.com": policy.ForwardUnix,  // OpenSSH's PROTOCOL, section 2.4
}

// nodeOpens are the channels that a node may open: none that the client has not
// asked for. X11 is not among them: it would hand the person's display to the
// node.
var nodeOpens = map[string]policy.Channel{
	"auth-agent@openssh.com":            policy.ForwardAgent,
	"forwarded-tcpip":                   policy.ForwardRemote, // RFC 4254, section 7.2
	"forwarded-streamlocal@openssh.com": policy.ForwardUnix,
}

// leg is one side of an open channel.
type leg struct {
	ssh.Channel
	requests <-chan *ssh.Request
}

// fromClient carries out what the client asks for by opening nc.
func (l *Link) fromClient(nc ssh.NewChannel) {
	kind := nc.ChannelType()
	n := l.Recorder.NewChannel()
	if !l.evidence.opened(n, recording.Open{From: recording.Client, Type: recording.Printable([]byte(kind)), Data: nc.ExtraData()}) {
		nc.Reject(ssh.ResourceShortage, "")
		return
	}
	needs, known := clientOpens[kind]
	switch {
	case !known:
		l.refuseOpen(n, nc, fault.New(fault.Denied, fault.ChannelNotAllowed, "channels of type %q are not carried", kind))
		return
	case needs != "" && !l.Grant.Allows(needs):
		l.refuseOpen(n, nc, l.notGranted(needs))
		return
	case kind == "session" && l.isNoMore():
		l.refuseOpen(n, nc, fault.New(fault.Denied, fault.ChannelNotAllowed, "the client itself ruled out more sessions"))
		return
	}
	up, down, ok := l.join(n, nc, l.Up, recording.Node)
	if !ok {
		return
	}
	if kind == "session" {
		l.relaySession(n, down, up, nil)
		return
	}
	l.bridge(n, needs, forwarded(kind, nc.ExtraData()), bridged{down, up})
}

// fromNode carries out what the node asks for by opening nc.
func (l *Link) fromNode(nc ssh.NewChannel) {
	kind := nc.ChannelType()
	n := l.Recorder.NewChannel()
	if !l.evidence.opened(n, recording.Open{From: recording.Node, Type: recording.Printable([]byte(kind)), Data: nc.ExtraData()}) {
		nc.Reject(ssh.ResourceShortage, "")
		return
	}
	needs, known := nodeOpens[kind]
	if !known || !l.Grant.Allows(needs) || !l.askedFor(kind, nc.ExtraData()) {
		l.refuseOpen(n, nc, fault.New(fault.Denied, fault.ChannelNotAllowed, "the client did not ask for a channel of type %q", kind))
		return
	}
	down, up, ok := l.join(n, nc, l.Down, recording.Client)
	if !ok {
		return
	}
	l.bridge(n, needs, forwarded(kind, nc.ExtraData()), bridged{down, up})
}

// join opens nc's like on the other side, and then accepts nc.
func (l *Link) join(n uint32, nc ssh.NewChannel, to ssh.Conn, answers recording.Side) (far, near leg, ok bool) {
	answer := recording.Answer{From: answers, To: "open", OK: true}
	ch, requests, err := to.OpenChannel(nc.ChannelType(), nc.ExtraData())
	if err != nil {
		refused := &ssh.OpenChannelError{Reason: ssh.ConnectionFailed, Message: "the connection has ended"}
		errors.As(err, &refused)
		answer.OK, answer.Code, answer.Text = false, uint32(refused.Reason), []byte(refused.Message)
		if l.evidence.answered(n, answer) {
			nc.Reject(refused.Reason, refused.Message)
		} else {
			nc.Reject(ssh.ResourceShortage, "")
		}
		return
	}
	far = leg{ch, requests}
	if l.evidence.answered(n, answer) {
		if ch, requests, err := nc.Accept(); err == nil {
			return far, leg{ch, requests}, true
		}
	} else {
		nc.Reject(ssh.ResourceShortage, "")
	}
	far.Close()
	go ssh.DiscardRequests(far.requests) // until far's connection ends, at the latest
	return
}

// refuseOpen answers in the proxy's own name.
func (l *Link) refuseOpen(n uint32, nc ssh.NewChannel, f *fault.Error) {
	text := voice.Line(f)
	l.evidence.answered(n, recording.Answer{
		From: recording.Proxy, To: "open", Code: uint32(ssh.Prohibited), Reason: string(f.Reason), Text: []byte(text),
	})
	nc.Reject(ssh.Prohibited, text)
}

// notGranted says what the grant lacks and what it holds.
func (l *Link) notGranted(c policy.Channel) *fault.Error {
	var has []string
	for _, each := range policy.Channels() {
		if l.Grant.Allows(each) {
			has = append(has, string(each))
		}
	}
	roles := strings.Join(l.Grant.Names(), ", ")
	f := fault.New(fault.Denied, fault.ChannelNotAllowed, "%s does not allow %s on %s", roles, c, l.Node)
	if len(has) > 0 {
		f = f.Then("It allows: %s.", strings.Join(has, ", "))
	}
	return f
}

func (l *Link) isNoMore() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noMore
}

// askedFor says whether the client has asked for what a channel that the node
// opens belongs to. OpenSSH's client checks too; others may not.
func (l *Link) askedFor(kind string, data []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch kind {
	case "auth-agent@openssh.com":
		return l.agent
	case "forwarded-tcpip":
		var m forwardedTCPIP
		return ssh.Unmarshal(data, &m) == nil && l.ports[m.Port]
	case "forwarded-streamlocal@openssh.com":
		var m forwardedStreamlocal
		return ssh.Unmarshal(data, &m) == nil && l.sockets[m.Path]
	}
	return false
}

// bridged are the two legs of a forwarded connection.
type bridged struct{ client, node leg }

// bridge carries a channel that is bytes both ways and nothing else.
func (l *Link) bridge(n uint32, kind policy.Channel, what recording.Transfer, b bridged) {
	client, node := b.client, b.node
	cargo := l.load(n, what, nil)
	if d, limited := l.shorter(kind); limited {
		stop := l.after(d, func() { client.Close(); node.Close() })
		defer stop()
	}
	input, output := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		defer close(input)
		l.carry(cargo, recording.KindInput, client, node)
	})
	all.Go(func() {
		defer close(output)
		l.carry(cargo, recording.KindOutput, node, client)
	})
	all.Go(func() {
		l.refuseAll(n, recording.Client, client.requests)
		<-input // what was sent before the close is delivered before it
		l.closed(n, recording.Client, node)
	})
	l.refuseAll(n, recording.Node, node.requests)
	<-output
	l.closed(n, recording.Node, client)
	all.Wait()
	cargo.end(nil)
}

// carry moves one direction of a forwarded connection to its end. Of its content
// is kept what the grant's roles ask for, and nothing by default: it is other
// people's protocols. It is always counted, and its digest told.
func (l *Link) carry(c *cargo, kind recording.Kind, src, dst leg) {
	n := c.n
	k := l.evidence.keeperOf(kind, n, l.Recorder.Limits().Forwards)
	f := flow{src: src, dst: dst, keep: c.carries(kind, k.keep), rest: restInput}
	side := recording.Node
	if kind == recording.KindInput {
		side = recording.Client
	}
	if f.run() && k.end() && l.evidence.eof(n, side) {
		dst.CloseWrite()
	}
}

// closed passes on that side has closed channel n.
func (l *Link) closed(n uint32, side recording.Side, other leg) {
	l.evidence.closed(n, side)
	other.Close()
}

// refuseAll answers requests on a channel that has none.
func (l *Link) refuseAll(n uint32, from recording.Side, requests <-chan *ssh.Request) {
	for r := range requests {
		if l.requested(n, from, r) {
			l.refuse(n, r, fault.New(fault.Denied, fault.ChannelNotAllowed, "such a channel has no requests"))
		}
	}
}

// quiet are requests that are answered or passed on without a record; see the
// package comment.
var quiet = []string{"keepalive@openssh.com", "keepalive@libssh2.org", "keepalive@jcraft.com", "winadj@putty.projects.tartarus.org"}

func isQuiet(kind string) bool { return slices.Contains(quiet, kind) }
