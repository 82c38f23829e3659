package proxy

import (
	"context"
	"net"
	"net/netip"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/preamble"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// arrival is what is known of a connection before SSH begins. Nothing of it is
// proven but the address, and, inside another connection, outer.
type arrival struct {
	client netip.AddrPort
	way    wire.Way    // connect and jump name the node; "" leaves it to the user name
	node   id.NodeName // with way
	login  id.Login    // connect: announced; the user name counts and must be the same
	ticket []byte      // connect: for the CA

	announced id.Identity // connect: whose certificate the preamble showed
	outer     id.Identity // jump: who proved to be there around this connection
	host      []ssh.Signer
}

// arrival reads the preamble, if there is one, and finds the host keys to show.
// The preamble proves nothing; but without a certificate that is good, nobody is
// told which nodes there are.
func (s *Server) arrival(ctx context.Context, client netip.AddrPort, line []byte) (arrival, error) {
	a := arrival{client: client}
	if line == nil {
		a.host = s.ownHost()
		return a, nil
	}
	p, err := preamble.Parse(line)
	if err != nil {
		return a, fault.New(fault.Invalid, fault.BadRequest, "the preamble cannot be read").
			Then("is sallyport here as new as the proxy?").Because(err)
	}
	c, err := cert.Parse(p.Certificate)
	if err == nil {
		err = cert.VerifyLogin(c, s.follower.trust().userCAs, s.now(), client.Addr())
	}
	if err != nil {
		return a, fault.Of(err).Then("run: sallyport login")
	}
	a.way, a.node, a.login, a.ticket = wire.WayConnect, p.Node, p.Login, p.Ticket
	a.announced = identityOf(c)
	a.host, err = s.hostOf(ctx, p.Node)
	return a, err
}

// hostOf are the host keys to show under the name of a node: with a certificate,
// and bare for clients that know none.
func (s *Server) hostOf(ctx context.Context, name id.NodeName) ([]ssh.Signer, error) {
	if !s.follower.trust().nodes[name] {
		return nil, fault.New(fault.Missing, fault.NodeUnknown, "no node is called %s", name).Then("run: sallyport ls")
	}
	signer, err := s.hostcerts.Signer(ctx, name)
	if err != nil {
		return nil, err
	}
	return []ssh.Signer{signer, s.keys.host}, nil
}

// ownHost are the host keys of the proxy's own name.
func (s *Server) ownHost() []ssh.Signer {
	if t := s.follower.trust(); t.host != nil {
		return []ssh.Signer{t.host, s.keys.host}
	}
	return []ssh.Signer{s.keys.host}
}

// addrPort is the client's address, with IPv4 as IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
