package proxy

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/proxy/internal/recorder"
	"github.com/sallyport-ssh/sallyport/proxy/internal/relay"
)

// session is one audited connection: granted by the CA, with a recorder that
// runs and a node that has accepted. Whoever has one must end it.
type session struct {
	id       id.Session
	grant    policy.Grant
	target   wire.Target
	began    time.Time
	recorder *recorder.Recorder
	up       *upstreamConn
}

// opening is a session that is on its way. It starts while the client still
// waits for the answer to its authentication.
type opening struct {
	done    chan struct{}
	session *session     // nil where fault is not
	fault   *fault.Error // why there is none
}

// open starts to open a session for who, in a goroutine that ends with ctx.
func (s *Server) open(ctx context.Context, who caller, a arrival) *opening {
	o := &opening{done: make(chan struct{})}
	go func() {
		defer close(o.done)
		var err error
		if o.session, err = s.openSession(ctx, who, a); err != nil {
			o.fault = fault.Of(err)
			s.log.Warn("no session", "identity", who.identity, "login", who.target.login, "node", who.target.node,
				"client", a.client, "way", who.target.way, "reason", o.fault.Reason, "err", err)
		}
	}()
	return o
}

// openSession is one straight procedure. Each step undoes what came before when
// it fails.
func (s *Server) openSession(ctx context.Context, who caller, a arrival) (*session, error) {
	start := time.Now()
	// 1. May there be new sessions?
	if who.target.fault != nil {
		return nil, who.target.fault
	}
	if err := s.register.begin(); err != nil {
		return nil, err
	}
	opened := false
	defer func() {
		if !opened {
			s.register.cancel()
		}
	}()
	release, err := s.recordings.Reserve()
	if err != nil {
		return nil, err
	}
	defer release() // from Open on the session counts by itself
	if err := s.starts.once(ctx); err != nil {
		return nil, noDecision(err)
	}
	// 2. A key for this connection alone. It never leaves memory.
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the connection's key: %w", err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("make the connection's key: %w", err)
	}
	// 3. The CA decides, and certifies the key.
	granted, err := s.decide(ctx, who, a, key.PublicKey())
	if err != nil {
		return nil, err
	}
	x := &session{id: granted.Session, grant: granted.Grant, target: granted.Target, began: s.now()}
	decided := time.Since(start)
	login, meta, err := s.describe(granted, who, a, key)
	if err != nil {
		s.reports.without(x.id, err)
		return nil, err
	}
	// 4. The recorder runs before the node is touched.
	if x.recorder, err = s.recordings.Open(meta, granted.Recording); err != nil {
		s.reports.without(x.id, err)
		return nil, err
	}
	s.reports.started(x.id, x.recorder.Begun())
	// 5. The node.
	x.up, err = dial(ctx, x.target, who.target.login, login, s.follower.trust().hostCAs)
	if err != nil {
		s.endSession(x, fault.Of(err))
		return nil, err
	}
	opened = true
	s.register.add(x.id)
	s.log.Info("session", "session", x.id, "identity", granted.Identity, "login", who.target.login, "node", x.target.Name,
		"client", a.client, "way", who.target.way, "role", granted.Grant.Names()[0],
		"ca_took", decided.Round(time.Microsecond), "node_took", (time.Since(start) - decided).Round(time.Microsecond))
	return x, nil
}

// decide asks the CA.
func (s *Server) decide(ctx context.Context, who caller, a arrival, key ssh.PublicKey) (*wire.OpenResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var out wire.OpenResponse
	err := s.ca.Do(ctx, http.MethodPost, wire.PathProxyOpen, wire.OpenRequest{
		Certificate: who.certificate.Marshal(), Client: a.client.String(),
		Login: who.target.login, Node: who.target.node, Way: who.target.way,
		PublicKey: key.Marshal(), Ticket: a.ticket,
	}, &out)
	if err != nil {
		return nil, noDecision(err)
	}
	return &out, nil
}

// noDecision is the CA's denial, or says that there is no CA to decide.
func noDecision(err error) *fault.Error {
	f := away(err)
	if f.Reason == fault.CAAway && f.Next == "" {
		f = f.Then("no new sessions can be opened until it is back; try again in a moment")
	}
	return f
}

// describe checks that the CA answered what was asked, and says what the
// recording begins with.
func (s *Server) describe(granted *wire.OpenResponse, who caller, a arrival, key ssh.Signer) (ssh.Signer, recording.Meta, error) {
	wrong := fault.New(fault.Internal, fault.CertificateInvalid, "the CA's answer does not fit the question")
	c, err := cert.Parse(granted.Certificate)
	if err != nil {
		return nil, recording.Meta{}, wrong.Because(err)
	}
	r, err := cert.ReadSession(c)
	if err != nil {
		return nil, recording.Meta{}, wrong.Because(err)
	}
	if r.Session != granted.Session || r.Identity != who.identity || r.Login != who.target.login ||
		r.Node != granted.Target.Node || !allowsAnything(granted.Grant) {
		return nil, recording.Meta{}, wrong.Because(errors.New("certificate " + c.KeyId))
	}
	login, err := ssh.NewCertSigner(c, key)
	if err != nil {
		return nil, recording.Meta{}, wrong.Because(err)
	}
	return login, recording.Meta{
		Session: granted.Session, Identity: who.identity, Login: who.target.login,
		Node: granted.Target.Name, NodeID: granted.Target.Node, NodeAddr: granted.Target.Addr,
		Proxy: id.Proxy(s.config.Name), Client: a.client.String(), Way: string(who.target.way),
		Roles: granted.Grant.Names(), Revision: r.Revision,
		LoginCertificate: who.certificate.Marshal(), SessionCertificate: granted.Certificate,
	}, nil
}

func allowsAnything(g policy.Grant) bool { return slices.ContainsFunc(policy.Channels(), g.Allows) }

// relay joins the client to the session's node.
func (s *Server) relay(x *session, down ssh.Conn, hangup func()) *relay.Link {
	l := relay.New(relay.Config{
		Down: down, Up: x.up, UpChannels: x.up.channels, UpRequests: x.up.requests,
		Recorder: x.recorder, Grant: x.grant, Node: x.target.Name,
		Log: s.log.With("session", x.id), Hangup: hangup, Notice: x.notice(),
	})
	s.register.live(x.id, l.End)
	return l
}

// notice is what people read when an interactive shell starts.
func (x *session) notice() string {
	until := ""
	if d, limited := x.grant.Limit(policy.Shell); limited {
		until = ", until " + x.began.Add(d).Format("15:04 MST")
	}
	return fmt.Sprintf("This session is recorded (%s%s). Session %s", x.grant.Names()[0], until, x.id)
}

// endSession ends a session for f, nil where both sides were done: the node's
// leg, the recording, the CA's row.
func (s *Server) endSession(x *session, f *fault.Error) {
	end := recording.End{Reason: recording.EndClosed}
	if f != nil {
		end = recording.End{Reason: string(f.Reason), Text: f.Text}
	}
	accepted := x.up != nil
	if accepted {
		x.up.Close()
	}
	told := wire.EndRequest{End: end.Reason, Accepted: accepted}
	told.Commands, told.Files = x.recorder.Counts()
	s.reports.ending(x.id, told)
	done, err := x.recorder.Close(end)
	if err != nil {
		s.log.Error("recording not finished", "session", x.id, "err", err)
		told.End = string(fault.RecorderFailed)
	}
	s.reports.ended(x.id, complete(told, done))
	if accepted {
		s.register.remove(x.id)
		s.log.Info("session ended", "session", x.id, "end", told.End, "after", s.now().Sub(x.began).Round(time.Millisecond))
	}
}
