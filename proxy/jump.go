package proxy

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/proxy/internal/sshwire"
	"github.com/sallyport-ssh/sallyport/proxy/internal/voice"
)

// jump ends the SSH of `ssh -J proxy login@node` here: the channel that was to
// lead to the node's port carries a connection to this proxy, which shows the
// node's name, and is decided and recorded like any other.
func (c *conn) jump(ctx context.Context, nc ssh.NewChannel) {
	var m struct { // RFC 4254, section 7.2
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &m); err != nil {
		nc.Reject(ssh.ConnectionFailed, "sallyport: the request is malformed")
		return
	}
	refuse := func(err error) {
		c.s.log.Info("no jump", "identity", c.who.identity, "client", c.a.client, "host", m.Host, "port", m.Port, "err", err)
		nc.Reject(ssh.Prohibited, voice.Line(fault.Of(err)))
	}
	name, err := id.ParseNodeName(strings.ToLower(m.Host))
	if err != nil {
		refuse(fault.New(fault.Missing, fault.NodeUnknown, "%v", err).Then("run: sallyport ls"))
		return
	}
	if m.Port != 22 {
		refuse(fault.New(fault.Denied, fault.ChannelNotAllowed, "a jump leads to SSH (port 22) alone").
			Then("to reach port %d use: ssh -L ... login@%s", m.Port, name))
		return
	}
	a := arrival{client: c.a.client, way: wire.WayJump, node: name, outer: c.who.identity}
	if a.host, err = c.s.hostOf(ctx, name); err != nil {
		refuse(err)
		return
	}
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	go func() {
		for r := range requests {
			r.Reply(false, nil)
		}
	}()
	inner := &channelConn{Channel: ch, client: net.TCPAddrFromAddrPort(c.a.client), proxy: c.ssh.LocalAddr()}
	limit := time.AfterFunc(c.s.config.Limits.LoginTime.Std(), func() { inner.Close() })
	defer limit.Stop()
	g, line, err := sshwire.Greet(inner)
	if err != nil || line != nil { // the node is named already
		inner.Close()
		return
	}
	c.s.serveSSH(ctx, g, a, func() { limit.Stop() })
}

// channelConn is a channel as a network connection. Its remote address is the
// person's own, because login certificates may be bound to it, and a connection
// without an address would match every source-address or none.
type channelConn struct {
	ssh.Channel
	client, proxy net.Addr
}

func (c *channelConn) RemoteAddr() net.Addr { return c.client }
func (c *channelConn) LocalAddr() net.Addr  { return c.proxy }

// errNoDeadline: time is limited by closing (RFC 4254 has no timeouts).
var errNoDeadline = errors.New("an SSH channel has no deadlines")

func (c *channelConn) SetDeadline(time.Time) error      { return errNoDeadline }
func (c *channelConn) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (c *channelConn) SetWriteDeadline(time.Time) error { return errNoDeadline }
