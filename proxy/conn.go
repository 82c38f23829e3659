package proxy

import (
	"context"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/proxy/internal/relay"
	"github.com/sallyport-ssh/sallyport/proxy/internal/sshwire"
	"github.com/sallyport-ssh/sallyport/proxy/internal/voice"
)

// refusedLimit is how long a connection stays whose session was refused and that
// opens no channel on which it could be told.
const refusedLimit = 5 * time.Second

// conn is an authenticated connection, from a person or inside another one.
type conn struct {
	s   *Server
	a   arrival
	who caller
	ssh *ssh.ServerConn

	// opening is the connection's one session; nil where a menu opens them.
	opening *opening
	once    sync.Once
	link    *relay.Link // of opening; set by once

	mu     sync.Mutex
	visits int // channels in the lobby: menus, and jumps with what is inside
}

// isIdle says whether nothing runs on the connection.
func (c *conn) isIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opening == nil && c.visits == 0
}

// serveSSH speaks SSH with g, whose client has been greeted, until it ends.
// authenticated is called as soon as it has proven who it is; until then the
// caller limits its time by closing g.
func (s *Server) serveSSH(ctx context.Context, g *sshwire.Conn, a arrival, authenticated func()) {
	identification, err := g.Identification()
	if err != nil {
		s.log.Debug("no SSH", "client", a.client, "err", err)
		g.Close()
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &conn{s: s, a: a}
	l := &login{a: a, trust: s.follower.trust, now: s.now, proven: func(who caller) {
		authenticated()
		c.who = who
		if who.target.node != "" || who.target.fault != nil {
			c.opening = s.open(ctx, who, a) // while the client still waits for our answer
		}
	}}
	sc, channels, requests, err := ssh.NewServerConn(g, l.config(identification))
	if err != nil {
		s.log.Debug("not authenticated", "client", a.client, "way", a.way, "err", err)
		cancel()
		c.settle()
		return
	}
	c.ssh = sc
	s.track(c)
	defer s.untrack(c)
	defer sc.Close()

	var work sync.WaitGroup
	work.Go(func() { c.serveRequests(requests) })
	c.serveChannels(ctx, channels, &work)
	cancel() // the client has gone: nobody waits for a session any more
	c.settle()
	work.Wait()
}

// settle ends the connection's session, if one was opened.
func (c *conn) settle() {
	if c.opening == nil {
		return
	}
	<-c.opening.done
	x := c.opening.session
	if x == nil {
		return
	}
	var f *fault.Error
	if l := c.joined(); l != nil {
		l.Close()
		f = l.Wait()
	}
	c.s.endSession(x, f)
}

// joined returns the link of the connection's session, nil where there is none
// or no client.
func (c *conn) joined() *relay.Link {
	<-c.opening.done
	c.once.Do(func() {
		if c.opening.session != nil && c.ssh != nil {
			c.link = c.s.relay(c.opening.session, c.ssh, func() { c.ssh.Close() })
		}
	})
	return c.link
}

// serveChannels serves what the client opens until it leaves. work waits for
// what it starts.
func (c *conn) serveChannels(ctx context.Context, channels <-chan ssh.NewChannel, work *sync.WaitGroup) {
	if c.opening == nil {
		for nc := range channels {
			work.Go(func() { c.lobby(ctx, nc) })
		}
		return
	}
	stop := c.expectChannel()
	defer stop()
	first := true
	for nc := range channels {
		// The first session is accepted before the node is known, so that its
		// requests come while the CA decides and the node is dialled; and so that
		// there is somewhere to say no. Later ones wait: OpenSSH's ControlMaster
		// wants to know when sshd refuses one.
		if first && nc.ChannelType() == "session" {
			first = false
			stop()
			if ch, requests, err := nc.Accept(); err == nil {
				work.Go(func() { c.session(ch, requests) })
			}
			continue
		}
		work.Go(func() { c.channel(nc) })
	}
}

// expectChannel closes a connection that was refused and opens no channel on
// which it could be told, as ssh -N does.
func (c *conn) expectChannel() (stop func()) {
	t := time.AfterFunc(refusedLimit, func() {
		<-c.opening.done
		if c.opening.fault != nil {
			c.ssh.Close()
		}
	})
	return func() { t.Stop() }
}

// session serves the first session channel, or says why there is no session.
func (c *conn) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	if l := c.joined(); l != nil {
		l.Session(ch, requests)
		return
	}
	turnAway(ch, requests, c.opening.fault)
}

// channel serves any other channel.
func (c *conn) channel(nc ssh.NewChannel) {
	if l := c.joined(); l != nil {
		l.Channel(nc)
		return
	}
	if nc.ChannelType() == "session" {
		if ch, requests, err := nc.Accept(); err == nil {
			turnAway(ch, requests, c.opening.fault)
		}
		return
	}
	nc.Reject(ssh.Prohibited, voice.Line(c.opening.fault))
}

// serveRequests serves the client's global requests.
func (c *conn) serveRequests(requests <-chan *ssh.Request) {
	for r := range requests {
		if c.opening != nil {
			if l := c.joined(); l != nil {
				l.Request(r)
				continue
			}
		}
		// Outside of a session there is nothing to ask for. A keepalive is
		// answered by this refusal, as sshd does.
		r.Reply(false, nil)
	}
}

// turnAway tells f on a session channel and closes it when the client has said
// what it wants to run. Before that ssh would take the text, and then complain
// in its own words that its request was not answered.
func turnAway(ch ssh.Channel, requests <-chan *ssh.Request, f *fault.Error) {
	terminal := false
	for r := range requests {
		switch r.Type {
		case "pty-req":
			terminal = true
			r.Reply(true, nil)
		case "shell", "exec", "subsystem":
			r.Reply(true, nil)
			ch.Stderr().Write([]byte(voice.Text(f, terminal)))
			ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{voice.ExitStatus}))
			ch.Close()
		default:
			r.Reply(false, nil)
		}
	}
}

// end ends the connection; a session on it is told f before, by itself.
func (c *conn) end() { c.ssh.Close() }
