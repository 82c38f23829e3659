package parts

import (
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// deniedSession logs that a session was denied to somebody proven, and returns
// why; or what kept it from being logged: no decision is told of which the log
// knows nothing.
func (p *parts) deniedSession(c *call, s wire.Session, roles []string, why error) error {
	event := audit.Event{
		Kind: audit.SessionDenied, Outcome: audit.Refused, Reason: string(fault.ReasonOf(why)),
		Actor: string(s.Identity), Client: s.Client, Identity: s.Identity, Login: s.Login, Node: s.Node, NodeID: s.NodeID,
		Proxy: s.Proxy, Way: string(s.Way), Roles: roles, Revision: s.Revision,
	}
	if err := p.Store.Append(c.Context(), event); err != nil {
		return err
	}
	return why
}

// denied is why d denies, and which role does, if one does.
func denied(d policy.Decision) (roles []string, why error) {
	if d.Denial == nil {
		return nil, policy.Denial{}.Fault()
	}
	if d.Denial.Role != "" {
		roles = []string{d.Denial.Role}
	}
	return roles, d.Denial.Fault()
}

// unknownNode is the denial of a node that there is not. Its name is the
// person's word, and is logged where it is a name.
func (p *parts) unknownNode(c *call, s wire.Session, asked id.NodeName) error {
	if name, err := id.ParseNodeName(string(asked)); err == nil {
		s.Node = name
	}
	return p.deniedSession(c, s, nil, nodeUnknown(asked))
}

// unproven logs that a session was asked for with a certificate that does not
// count, and returns why. Nobody is proven, so such events are bounded; whose the
// certificate was is said where this CA had signed and then revoked it.
func (p *parts) unproven(c *call, in wire.OpenRequest, why error) error {
	f := fault.Of(why)
	if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		return why // nothing was decided
	}
	event := audit.Event{
		Kind: audit.SessionDenied, Reason: string(f.Reason), Actor: c.Caller.actor().Name, Proxy: c.Caller.Proxy.Name,
	}
	if f.Reason == fault.CertificateRevoked {
		if parsed, err := cert.Parse(in.Certificate); err == nil {
			if login, err := cert.ReadLogin(parsed); err == nil {
				event.Identity, event.Actor = login.Identity, string(login.Identity)
			}
		}
	}
	if login, err := id.ParseLogin(string(in.Login)); err == nil {
		event.Login = login
	}
	if node, err := id.ParseNodeName(string(in.Node)); err == nil {
		event.Node = node
	}
	from, _ := personAt(in.Client)
	p.Refusals.Tell(c.Context(), event, from.Addr())
	return why
}

// refusedEnrolment tells the log of an enrolment that err refuses, and returns
// err.
func (p *parts) refusedEnrolment(c *call, in wire.EnrollRequest, err error) error {
	f := fault.Of(err)
	if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		return err // nothing was decided
	}
	event := audit.Event{Kind: audit.EnrolmentRefused, Reason: string(f.Reason), Text: "of an unknown part"}
	if name, bad := id.ParseNodeName(in.Name); bad == nil {
		switch in.Part {
		case wire.PartAgent:
			event.Node, event.Text = name, "of a node"
		case wire.PartProxy:
			event.Proxy, event.Text = id.Proxy(name), "of a proxy"
		}
	}
	p.Refusals.Tell(c.Context(), event, c.Caller.From)
	return err
}

// refusedHost logs that a part asked for a host certificate that is not its to
// have, and returns why; or what kept it from being logged.
func (p *parts) refusedHost(c *call, why error) error {
	if fault.Of(why).Kind != fault.Denied {
		return why
	}
	by := c.Caller.actor()
	event := audit.Event{
		Kind: audit.EnrolmentRefused, Outcome: audit.Refused, Reason: string(fault.ReasonOf(why)),
		Text: "of a host certificate", Actor: by.Name, Client: by.Client,
	}
	if err := p.Store.Append(c.Context(), event); err != nil {
		return err
	}
	return why
}
