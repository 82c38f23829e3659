package parts

import (
	"context"
	"net"
	"net/netip"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/issue"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// agentHost renews a node's host certificate, for its own names alone.
func (p *parts) agentHost(c *call, in wire.HostCertificateRequest) (wire.HostCertificate, error) {
	n := c.Caller.Node
	if in.Node != "" && in.Node != n.Name {
		return wire.HostCertificate{}, p.refusedHost(c, fault.New(fault.Denied, fault.JoinTokenNames, "an agent certifies its own node, %s", n.Name))
	}
	keys, err := hostKeys([]string{in.HostKey})
	if err != nil {
		return wire.HostCertificate{}, err
	}
	after, before := cert.Window(p.Now(), p.HostLifetime)
	out, err := p.certifyHosts(c.Context(), cert.Host{
		Name: n.Name, Node: n.ID, Principals: principals(string(n.Name), n.Names), ValidAfter: after, ValidBefore: before,
	}, keys, p.reserve(c))
	if err != nil {
		return wire.HostCertificate{}, err
	}
	_, err = p.Store.UpdateNode(c.Context(), c.Caller.actor(), n.ID, func(n *store.Node) error { n.CertUntil = before; return nil })
	return out[0], err
}

// proxyHost certifies a proxy's host key: for itself, or, short-lived, for the
// name of a node, under which it answers inside `ssh -J`.
func (p *parts) proxyHost(c *call, in wire.HostCertificateRequest) (wire.HostCertificate, error) {
	keys, err := hostKeys([]string{in.HostKey})
	if err != nil {
		return wire.HostCertificate{}, err
	}
	request, err := p.ownHost(c.Caller.Proxy)
	if in.Node != "" {
		request, err = p.standIn(c.Caller.Proxy, in.Node)
	}
	if err != nil {
		return wire.HostCertificate{}, p.refusedHost(c, err)
	}
	out, err := p.certifyHosts(c.Context(), request, keys, p.reserve(c))
	if err != nil {
		return wire.HostCertificate{}, err
	}
	return out[0], nil
}

// ownHost is for a proxy's own names: its name, and the address by which people
// reach it. A host name there has to be the proxy's name, which is what the join
// token was asked about: a token for a proxy is none for the name of any host.
func (p *parts) ownHost(x *store.Proxy) (cert.Host, error) {
	host, _, _ := net.SplitHostPort(x.Addr)
	if _, err := netip.ParseAddr(host); err != nil && host != string(x.Name) && host != "localhost" {
		return cert.Host{}, fault.New(fault.Denied, fault.JoinTokenNames, "people reach this proxy as %q, and it is called %s", host, x.Name).
			Then("call the proxy by the host name of its address")
	}
	after, before := cert.Window(p.Now(), p.HostLifetime)
	return cert.Host{Proxy: x.Name, Principals: principals(string(x.Name), []string{host}), ValidAfter: after, ValidBefore: before}, nil
}

// standIn is for the name of a node that exists.
func (p *parts) standIn(x *store.Proxy, name id.NodeName) (cert.Host, error) {
	view, err := p.Directory.View()
	if err != nil {
		return cert.Host{}, err
	}
	n := view.Node(name)
	if n == nil {
		return cert.Host{}, nodeUnknown(name)
	}
	after, before := cert.Window(p.Now(), min(p.HostLifetime, cert.MaxStandIn))
	return cert.Host{
		Proxy: x.Name, Name: n.Name, Node: n.ID, Principals: []string{string(n.Name)}, ValidAfter: after, ValidBefore: before,
	}, nil
}

// certifyHosts issues one certificate for each key, all like request.
func (p *parts) certifyHosts(ctx context.Context, request cert.Host, keys []ssh.PublicKey, reserve issue.Reserve) ([]wire.HostCertificate, error) {
	requests := make([]cert.Request, len(keys))
	for i, key := range keys {
		request.Key = key
		requests[i] = request
	}
	issued, err := p.Issuer.Issue(ctx, reserve, requests...)
	if err != nil {
		return nil, err
	}
	out := make([]wire.HostCertificate, len(issued))
	for i, c := range issued {
		out[i] = wire.HostCertificate{Certificate: c.Blob, ValidBefore: c.ValidBefore}
	}
	return out, nil
}

// reserve is for certificates that come with nothing else.
func (p *parts) reserve(c *call) issue.Reserve {
	return func(ctx context.Context, intents []store.Intent) ([]id.Serial, error) {
		return p.Store.Reserve(ctx, c.Caller.actor(), intents...)
	}
}

func nodeUnknown(name id.NodeName) error {
	return fault.New(fault.Missing, fault.NodeUnknown, "there is no node %q here", string(name)).Then("To see yours: sallyport ls")
}
