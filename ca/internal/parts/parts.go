// Package parts is the door of agents and proxies. Whoever stands before it has
// shown a TLS key in the handshake; its SHA-256, pinned at enrolment, is who
// they are. The table of routes is the list of what each may ask.
//
// # Promises
//
// An agent gets certificates for its own node's names and for nothing else, and
// speaks about its own node alone. A proxy opens a session only with a valid
// login certificate, by a decision of the policy made for that request, and gets
// a certificate for that login on that node from its own address, for a minute.
// A new part gets the names and labels that its join token has, or nothing.
package parts

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/directory"
	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/ca/internal/holder"
	"github.com/sallyport-ssh/sallyport/ca/internal/issue"
	"github.com/sallyport-ssh/sallyport/ca/internal/refusals"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Config is what the door stands on. All pointers are required.
type Config struct {
	Store     *store.Store
	Directory *directory.Directory
	Issuer    *issue.Issuer
	Holders   *holder.Checker
	Refusals  *refusals.Log

	Trust     wire.Trust
	SessionCA []ssh.PublicKey // for the KRL
	HostCA    []ssh.PublicKey // by which the seals of recordings are known

	// Order is how a session is recorded that is granted now.
	Order func(policy.Grant) wire.RecordingOrder

	HostLifetime time.Duration // of host certificates

	Now func() time.Time
	Log *slog.Logger
}

// Caller is the part at the other end. Exactly one of Node and Proxy is set,
// except for a newcomer, who is neither.
type Caller struct {
	Pin   []byte // SHA-256 of the TLS key
	From  netip.Addr
	Node  *store.Node
	Proxy *store.Proxy
}

// actor is the caller as the audit log names it.
func (c Caller) actor() store.Actor {
	a := store.Actor{Client: c.From.String()}
	switch {
	case c.Node != nil:
		a.Name = audit.NodeActor(c.Node.Name)
	case c.Proxy != nil:
		a.Name = audit.ProxyActor(c.Proxy.Name)
	}
	return a
}

type parts struct {
	Config
	krl []byte // for every agent
}

type call = door.Call[Caller]

// New makes the door's handler, to be served with wire.PartsTLS.
func New(c Config) (http.Handler, error) {
	list, err := revoked(c.SessionCA)
	if err != nil {
		return nil, err
	}
	p := &parts{c, list}
	return door.New(p.routes(), &gate{p}, c.Log)
}

const small = 64 << 10 // bytes of a body: a certificate of 16 KiB in base64, and more

func (p *parts) routes() []door.Route[Caller] {
	return []door.Route[Caller]{
		{Method: "POST", Path: wire.PathEnroll, Who: door.Newcomer, Limit: small, Handle: door.Takes(p.enroll)},

		{Method: "POST", Path: wire.PathAgentRenew, Who: door.Agent, Limit: small, Handle: door.Takes(p.agentHost)},
		{Method: "GET", Path: wire.PathAgentState, Who: door.Agent, Quiet: true, Handle: p.agentState},
		{Method: "POST", Path: wire.PathAgentReport, Who: door.Agent, Limit: small, Quiet: true, Handle: door.Takes(p.report)},

		{Method: "POST", Path: wire.PathProxyOpen, Who: door.Proxy, Limit: small, Handle: door.Takes(p.open)},
		{Method: "POST", Path: wire.PathProxyEnd, Who: door.Proxy, Limit: small, Handle: door.Takes(p.end)},
		{Method: "POST", Path: wire.PathProxyStarted, Who: door.Proxy, Limit: small, Handle: door.Takes(p.started)},
		{Method: "POST", Path: wire.PathProxyHost, Who: door.Proxy, Limit: small, Quiet: true, Handle: door.Takes(p.proxyHost)},
		{Method: "POST", Path: wire.PathProxyNodes, Who: door.Proxy, Limit: small, Handle: door.Takes(p.menu)},
		{Method: "GET", Path: wire.PathProxyState, Who: door.Proxy, Quiet: true, Handle: p.proxyState},
		{Method: "POST", Path: wire.PathProxyStart, Who: door.Proxy, Limit: 1 << 20, Handle: door.Takes(p.start)},
	}
}

// gate says whose TLS key it is.
type gate struct{ parts *parts }

func (g *gate) Describe(c Caller) []slog.Attr {
	attrs := []slog.Attr{slog.Any("from", c.From)}
	switch {
	case c.Node != nil:
		attrs = append(attrs, slog.String("agent", string(c.Node.Name)))
	case c.Proxy != nil:
		attrs = append(attrs, slog.String("proxy", string(c.Proxy.Name)))
	}
	return attrs
}

func (g *gate) Admit(r *http.Request, who door.Who, _ func() ([]byte, error)) (Caller, error) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	from, _ := netip.ParseAddr(host)
	caller := Caller{From: from.Unmap()}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return caller, notEnrolled()
	}
	caller.Pin = wire.PinOf(r.TLS.PeerCertificates[0])
	if who == door.Newcomer {
		return caller, nil
	}
	// A part that has just enrolled may not be in the view yet.
	for try := range 2 {
		view, err := g.parts.Directory.View()
		if err != nil {
			return caller, err
		}
		node, proxy := view.NodeByPin(caller.Pin), view.ProxyByPin(caller.Pin)
		switch {
		case who == door.Agent && node != nil:
			caller.Node = node
			return caller, nil
		case who == door.Proxy && proxy != nil:
			caller.Proxy = proxy
			return caller, nil
		case try == 0:
			if err := g.parts.Directory.Refresh(r.Context()); err != nil {
				return caller, err
			}
		}
	}
	return caller, notEnrolled()
}

func notEnrolled() error {
	return fault.New(fault.Unauthentic, fault.NotEnrolled, "this key is not enrolled here").
		Then("enrol again with a new join token: sallyport token create")
}

func badRequest(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, fault.BadRequest, format, args...)
}
