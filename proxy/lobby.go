package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/proxy/internal/menu"
	"github.com/sallyport-ssh/sallyport/proxy/internal/relay"
	"github.com/sallyport-ssh/sallyport/proxy/internal/voice"
)

// lobby serves a channel of a connection that names no node: a session is shown
// the menu, direct-tcpip is a jump, and there is nothing else.
func (c *conn) lobby(ctx context.Context, nc ssh.NewChannel) {
	if !c.enter() {
		nc.Reject(ssh.ResourceShortage, "sallyport: no more channels on this connection")
		return
	}
	defer c.leave()
	switch nc.ChannelType() {
	case "session":
		if ch, requests, err := nc.Accept(); err == nil {
			v := &visitor{c: c, ch: ch, requests: requests}
			v.serve(ctx)
		}
	case "direct-tcpip":
		c.jump(ctx, nc)
	default:
		nc.Reject(ssh.Prohibited, voice.Line(fault.New(fault.Denied, fault.ChannelNotAllowed, "this connection leads to no node").Then("use: ssh login@node")))
	}
}

// enter counts a channel in.
func (c *conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.visits >= relay.MaxChannels {
		return false
	}
	c.visits++
	return true
}

func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.visits--
}

// visitor is a session channel without a node: somebody in front of the menu.
type visitor struct {
	c        *conn
	ch       ssh.Channel
	requests <-chan *ssh.Request

	// What the client asked for before there was a node. It is asked again of the
	// node once one is chosen, and recorded then.
	before   []*ssh.Request
	terminal bool
	size     *ssh.Request // the last window-change

	mu         sync.Mutex
	menu       *menu.Menu // nil before it is shown
	cols, rows int
}

// serve answers requests until the client says what it wants.
func (v *visitor) serve(ctx context.Context) {
	for r := range v.requests {
		switch r.Type {
		case "pty-req", "env", "auth-agent-req@openssh.com":
			v.keep(r)
			r.Reply(true, nil)
		case "window-change":
			v.resize(r)
		case "shell":
			r.Reply(true, nil)
			v.shell(ctx)
			return
		case "exec":
			r.Reply(true, nil)
			var m struct{ Command string }
			if err := ssh.Unmarshal(r.Payload, &m); err != nil || strings.TrimSpace(m.Command) != "ls" {
				v.end(fault.New(fault.Denied, fault.ChannelNotAllowed, "the proxy itself runs nothing but ls").Then("use: ssh login@node command"))
				return
			}
			v.list(ctx)
			return
		case "subsystem":
			r.Reply(true, nil)
			v.end(fault.New(fault.Denied, fault.ChannelNotAllowed, "the proxy itself has no files").Then("use: sftp login@node"))
			return
		default:
			r.Reply(false, nil)
		}
	}
}

// keep remembers r for the node; the answer was given.
func (v *visitor) keep(r *ssh.Request) {
	const most = 64
	if len(v.before) >= most {
		return
	}
	v.before = append(v.before, &ssh.Request{Type: r.Type, Payload: r.Payload})
	if r.Type == "pty-req" {
		var m struct {
			Term       string
			Cols, Rows uint32
			Rest       []byte `ssh:"rest"`
		}
		if ssh.Unmarshal(r.Payload, &m) == nil {
			v.terminal, v.cols, v.rows = true, int(min(m.Cols, 1<<15)), int(min(m.Rows, 1<<15))
		}
	}
}

// resize takes a window-change (RFC 4254, section 6.7).
func (v *visitor) resize(r *ssh.Request) {
	if len(r.Payload) < 8 {
		return
	}
	v.size = &ssh.Request{Type: r.Type, Payload: r.Payload}
	cols, rows := binary.BigEndian.Uint32(r.Payload), binary.BigEndian.Uint32(r.Payload[4:])
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cols, v.rows = int(min(cols, 1<<15)), int(min(rows, 1<<15))
	if v.menu != nil {
		v.menu.Resize(v.cols, v.rows)
	}
}

// items asks the CA what the visitor may reach.
func (v *visitor) items(ctx context.Context) ([]menu.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var nodes []wire.ReachableNode
	err := v.c.s.ca.Do(ctx, http.MethodPost, wire.PathProxyNodes, wire.MenuRequest{
		Certificate: v.c.who.certificate.Marshal(), Client: v.c.a.client.String(),
	}, &nodes)
	if err != nil {
		return nil, away(err)
	}
	items := menu.Items(nodes)
	if len(items) == 0 {
		return nil, fault.New(fault.Denied, fault.NoRole, "no role gives you a login on any node")
	}
	return items, nil
}

// list prints the items.
func (v *visitor) list(ctx context.Context) {
	items, err := v.items(ctx)
	if err != nil {
		v.end(fault.Of(err))
		return
	}
	newline := "\n"
	if v.terminal {
		newline = "\r\n"
	}
	menu.List(v.ch, items, newline)
	v.exit(0)
}

// shell shows the menu, and then runs what was chosen on this very channel.
func (v *visitor) shell(ctx context.Context) {
	if !v.terminal {
		v.list(ctx)
		return
	}
	items, err := v.items(ctx)
	if err != nil {
		v.end(fault.Of(err))
		return
	}
	item, err := v.choose(items)
	if err != nil {
		v.exit(0)
		return
	}
	v.run(ctx, item)
}

var errLeft = errors.New("nothing was chosen")

// choose shows the menu, while window changes still come.
func (v *visitor) choose(items []menu.Item) (menu.Item, error) {
	v.mu.Lock()
	v.menu = menu.New(v.ch, items, v.cols, v.rows)
	v.mu.Unlock()
	chosen, served := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		for {
			select {
			case <-chosen:
				return
			case r, ok := <-v.requests:
				switch {
				case !ok:
					return // the channel is closed: Choose ends too
				case r.Type == "window-change":
					v.resize(r)
				default:
					r.Reply(false, nil)
				}
			}
		}
	}()
	item, ok := v.menu.Choose(v.ch)
	close(chosen)
	<-served
	if !ok {
		return item, errLeft
	}
	return item, nil
}

// run opens a session for what was chosen. It has the channel to itself, and
// ends with it.
func (v *visitor) run(ctx context.Context, item menu.Item) {
	fmt.Fprintf(v.ch, "%s\r\n", item.Name())
	who := v.c.who
	who.target = target{way: wire.WayMenu, login: item.Login, node: item.Node}
	o := v.c.s.open(ctx, who, v.c.a)
	<-o.done
	if o.fault != nil {
		v.end(o.fault)
		return
	}
	l := v.c.s.relay(o.session, v.c.ssh, nil)
	before := v.before
	if v.size != nil {
		before = append(before, v.size)
	}
	l.Only(v.ch, v.requests, append(before, &ssh.Request{Type: "shell"}))
	v.c.s.endSession(o.session, l.Wait())
}

// end tells f and closes.
func (v *visitor) end(f *fault.Error) {
	v.ch.Stderr().Write([]byte(voice.Text(f, v.terminal)))
	v.exit(voice.ExitStatus)
}

// exit closes the channel as a program that ended with status.
func (v *visitor) exit(status uint32) {
	v.ch.CloseWrite()
	v.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
	v.ch.Close()
	for r := range v.requests {
		r.Reply(false, nil)
	}
}
