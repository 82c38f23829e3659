package parts

import (
	"context"
	"net/netip"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/directory"
	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/ca/internal/holder"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// open decides about a connection and, if it is granted, issues the certificate
// that opens one login on one node. It is one straight procedure.
func (p *parts) open(c *call, in wire.OpenRequest) (wire.OpenResponse, error) {
	// 1. Who asks. The proxy has proof of possession; everything else is ours.
	h, from, err := p.holder(c.Context(), in.Certificate, in.Client)
	if err != nil {
		return wire.OpenResponse{}, p.unproven(c, in, err)
	}
	// 2. What for.
	login, err := id.ParseLogin(string(in.Login))
	if err != nil {
		return wire.OpenResponse{}, badRequest("%v", err)
	}
	key, err := ssh.ParsePublicKey(in.PublicKey)
	if err != nil {
		return wire.OpenResponse{}, badRequest("the connection's key cannot be read").Because(err)
	}
	if !in.Way.Valid() {
		return wire.OpenResponse{}, badRequest("no way in is called %q", string(in.Way))
	}
	view, err := p.Directory.View()
	if err != nil {
		return wire.OpenResponse{}, err
	}
	session := wire.Session{
		Identity: h.Identity.Name, Login: login, Proxy: c.Caller.Proxy.Name, Client: from.String(), Way: in.Way,
		Revision: view.Revision.Revision, LoginSerial: h.Login.Serial, Started: p.Now().Unix(),
	}
	node := view.Node(in.Node)
	if node == nil {
		return wire.OpenResponse{}, p.unknownNode(c, session, in.Node)
	}
	session.Node, session.NodeID = node.Name, node.ID
	// 3. Whether.
	decision := view.Policy.Decide(h.Subject(), directory.PolicyNode(node), login)
	if !decision.Granted() {
		roles, why := denied(decision)
		return wire.OpenResponse{}, p.deniedSession(c, session, roles, why)
	}
	grant := *decision.Grant
	session.Role = grant.Names()[0]
	// 4. The certificate, and the session's row with it.
	order := p.Order(grant)
	session, blob, err := p.certifySession(c.Context(), session, grant, order, c.Caller.Proxy, key)
	if err != nil {
		return wire.OpenResponse{}, err
	}
	return wire.OpenResponse{
		Session: session.ID, Identity: session.Identity, Certificate: blob, Grant: grant,
		Target:    wire.Target{Node: node.ID, Name: node.Name, Addr: node.Addr, HostKeys: node.HostKeys},
		Recording: order,
	}, nil
}

// holder verifies a login certificate that is used from client, host:port.
func (p *parts) holder(ctx context.Context, blob []byte, client string) (holder.Holder, netip.AddrPort, error) {
	from, err := personAt(client)
	if err != nil {
		return holder.Holder{}, from, err
	}
	c, err := cert.Parse(blob)
	if err != nil {
		return holder.Holder{}, from, err
	}
	h, err := p.Holders.Check(ctx, c, from.Addr())
	return h, from, err
}

// personAt reads the address of a person, as a proxy sees it.
func personAt(client string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(client)
	if err != nil {
		return a, badRequest("the client's address is not address:port")
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()), nil
}

// certifySession issues the session certificate. It may be used from the proxy's
// own address alone, and carries what the grant allows and nothing else.
func (p *parts) certifySession(ctx context.Context, s wire.Session, g policy.Grant, order wire.RecordingOrder, x *store.Proxy, key ssh.PublicKey) (wire.Session, []byte, error) {
	var egress []netip.Prefix
	for _, text := range x.Egress {
		prefix, err := parsePrefix(text)
		if err != nil {
			return s, nil, fault.New(fault.Internal, fault.InternalError, "proxy %s has no usable egress address", x.Name).Because(err)
		}
		egress = append(egress, prefix)
	}
	after, before := cert.Window(p.Now(), cert.MaxSession)
	request := cert.Session{
		Identity: s.Identity, Revision: s.Revision, Login: s.Login, Node: s.NodeID,
		Key: key, ValidAfter: after, ValidBefore: before, SourceAddress: egress,
		PTY:             g.Allows(policy.Shell) || g.Allows(policy.Exec),
		AgentForwarding: g.Allows(policy.ForwardAgent),
		PortForwarding:  g.Allows(policy.ForwardLocal) || g.Allows(policy.ForwardRemote) || g.Allows(policy.ForwardUnix),
	}
	// A session's name is random and short; a taken one costs a second try.
	for try := 0; ; try++ {
		s.ID = id.NewSession()
		request.Session = s.ID
		issued, err := p.Issuer.Issue(ctx, func(ctx context.Context, intents []store.Intent) ([]id.Serial, error) {
			serial, err := p.Store.OpenSession(ctx, store.Opening{Session: s, Roles: g.Names(), Recording: order, Intent: intents[0]})
			return []id.Serial{serial}, err
		}, request)
		if fault.ReasonOf(err) == fault.SessionTaken && try < 3 {
			continue
		}
		if err != nil {
			return s, nil, err
		}
		s.Serial = issued[0].Serial
		return s, issued[0].Blob, nil
	}
}

// end closes a session's row, and takes in the seal of its recording. That the
// node's sshd took the certificate proves that people get in through a proxy,
// which strict mode waits for.
func (p *parts) end(c *call, in wire.EndRequest) (door.Nothing, error) {
	name, err := id.ParseSession(c.PathValue("id"))
	if err != nil {
		return door.Nothing{}, badRequest("%v", err)
	}
	if in.End == "" || len(in.End) > 64 || in.Bytes < 0 {
		return door.Nothing{}, badRequest("a session ends with a reason of 1 to 64 bytes")
	}
	s, err := p.Store.Session(c.Context(), name)
	if err != nil {
		return door.Nothing{}, err
	}
	if s.Proxy != c.Caller.Proxy.Name {
		return door.Nothing{}, fault.New(fault.Missing, fault.NotFound, "session %s is not this proxy's", name)
	}
	sealed, err := p.seal(c, s, in.Seal)
	if err != nil {
		return door.Nothing{}, p.suspect(c, name, err)
	}
	now := p.Now().Unix()
	if err := p.Store.EndSession(c.Context(), name, in, sealed, now); err != nil {
		if fault.ReasonOf(err) == fault.SealRefused {
			err = p.suspect(c, name, err)
		}
		return door.Nothing{}, err
	}
	if !in.Accepted {
		return door.Nothing{}, nil
	}
	err = p.Store.ProveNode(c.Context(), s.NodeID, now)
	if fault.ReasonOf(err) == fault.NodeUnknown {
		err = nil // it was removed meanwhile
	}
	return door.Nothing{}, err
}

// start ends, as lost, what the proxy left open when it died.
func (p *parts) start(c *call, in wire.StartRequest) (door.Nothing, error) {
	for _, s := range in.Live {
		if _, err := id.ParseSession(string(s)); err != nil {
			return door.Nothing{}, badRequest("%v", err)
		}
	}
	return door.Nothing{}, p.Store.EndLost(c.Context(), c.Caller.Proxy.Name, p.Now().Unix(), in.Live)
}

// menu lists the nodes that the holder of a login certificate may reach.
func (p *parts) menu(c *call, in wire.MenuRequest) ([]wire.ReachableNode, error) {
	h, _, err := p.holder(c.Context(), in.Certificate, in.Client)
	if err != nil {
		return nil, err
	}
	view, err := p.Directory.View()
	if err != nil {
		return nil, err
	}
	return view.Reachable(view.Policy.For(h.Subject())), nil
}
