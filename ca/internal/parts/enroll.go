package parts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Limits of an enrolment.
const (
	maxNames    = 32
	maxHostKeys = 8
	maxEgress   = 16
)

// enroll turns a join token and the TLS key of this connection into a part. The
// token is used up, the part is stored and the serials are reserved in one
// transaction.
func (p *parts) enroll(c *call, in wire.EnrollRequest) (wire.EnrollResponse, error) {
	keys, err := hostKeys(in.HostKeys)
	if err != nil {
		return wire.EnrollResponse{}, p.refusedEnrolment(c, in, err)
	}
	secret := sha256.Sum256([]byte(in.Token))
	var out wire.EnrollResponse
	switch in.Part {
	case wire.PartAgent:
		out, err = p.enrollAgent(c, secret[:], in, keys)
	case wire.PartProxy:
		out, err = p.enrollProxy(c, secret[:], in, keys)
	default:
		err = badRequest("a part is an agent or a proxy, not %q", string(in.Part))
	}
	if err != nil {
		return wire.EnrollResponse{}, p.refusedEnrolment(c, in, err)
	}
	if err := p.Directory.Refresh(c.Context()); err != nil {
		return wire.EnrollResponse{}, err
	}
	view, err := p.Directory.View()
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	out.Trust, out.Proxies = p.Trust, view.Addrs()
	p.Log.Info("enrolled", "part", in.Part, "name", in.Name, "from", c.Caller.From)
	return out, nil
}

func (p *parts) enrollAgent(c *call, secret []byte, in wire.EnrollRequest, keys []ssh.PublicKey) (wire.EnrollResponse, error) {
	name, err := id.ParseNodeName(in.Name)
	if err != nil {
		return wire.EnrollResponse{}, badRequest("%v", err)
	}
	names, err := hostNames(in.Names)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	addr, err := dialAddr(in.Addr, c.Caller.From)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	after, before := cert.Window(p.Now(), p.HostLifetime)
	n := store.Node{Pin: c.Caller.Pin, Node: wire.Node{
		ID: id.NewNode(), Name: name, Addr: addr, Names: names, Seen: p.Now().Unix(), CertUntil: before,
	}}
	// A key that is enrolled already is the same node coming back.
	if known, err := p.Store.NodeByPin(c.Context(), c.Caller.Pin); err == nil {
		n.ID = known.ID
	} else if fault.ReasonOf(err) != fault.NotEnrolled {
		return wire.EnrollResponse{}, err
	}
	request := cert.Host{Name: name, Node: n.ID, Principals: principals(string(name), names), ValidAfter: after, ValidBefore: before}
	var enrolled store.Node
	certificates, err := p.certifyHosts(c.Context(), request, keys, func(ctx context.Context, intents []store.Intent) (serials []id.Serial, err error) {
		enrolled, serials, err = p.Store.EnrollNode(ctx, enrolment(c, secret, intents), n)
		if err == nil && enrolled.ID != n.ID {
			err = fault.New(fault.Conflict, fault.NodeNameTaken, "this key was enrolled twice at once").Then("enrol again")
		}
		return serials, err
	})
	return wire.EnrollResponse{Node: enrolled.ID, Labels: enrolled.Labels, Certificates: certificates}, err
}

func (p *parts) enrollProxy(c *call, secret []byte, in wire.EnrollRequest, keys []ssh.PublicKey) (wire.EnrollResponse, error) {
	name, err := id.ParseNodeName(in.Name) // a proxy's name is a host's, too
	if err != nil {
		return wire.EnrollResponse{}, badRequest("%v", err)
	}
	addr, err := dialAddr(in.Addr, c.Caller.From)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	egress, err := egressOf(in.Egress, c.Caller.From)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	x := store.Proxy{
		ProxyAddr: wire.ProxyAddr{Name: id.Proxy(name), Addr: addr, Egress: egress},
		Pin:       c.Caller.Pin, HostKey: in.HostKeys[0], Seen: p.Now().Unix(),
	}
	request, err := p.ownHost(&x)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	certificates, err := p.certifyHosts(c.Context(), request, keys, func(ctx context.Context, intents []store.Intent) (serials []id.Serial, err error) {
		_, serials, err = p.Store.EnrollProxy(ctx, enrolment(c, secret, intents), x)
		return serials, err
	})
	return wire.EnrollResponse{Certificates: certificates}, err
}

func enrolment(c *call, secret []byte, intents []store.Intent) store.Enrolment {
	return store.Enrolment{Secret: secret, Client: c.Caller.From.String(), Intents: intents}
}

// hostKeys reads the keys to certify. A certificate in a key's place, or a key
// that the profile does not certify, is refused before a token is used up.
func hostKeys(lines []string) ([]ssh.PublicKey, error) {
	if len(lines) == 0 || len(lines) > maxHostKeys {
		return nil, badRequest("a host has 1 to %d host keys", maxHostKeys)
	}
	var keys []ssh.PublicKey
	for _, line := range lines {
		key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
			return nil, fault.New(fault.Invalid, fault.KeyRefused, "a host key is not one line of authorized_keys form").Because(err)
		}
		if err := cert.CheckKey(cert.HostProfile, key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// hostNames reads the further names of a host certificate. That they are the
// token's to give is checked where the token is used up.
func hostNames(names []string) ([]string, error) {
	if len(names) > maxNames {
		return nil, badRequest("more than %d names", maxNames)
	}
	for _, name := range names {
		if a, err := netip.ParseAddr(name); err == nil && a.String() == name {
			continue
		}
		if _, err := id.ParseNodeName(name); err != nil {
			return nil, badRequest("%v", err)
		}
	}
	return names, nil
}

// principals are a host certificate's, each once.
func principals(name string, more []string) []string {
	list := []string{name}
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

// dialAddr is where others reach a part. Without a host it is the address from
// which the part speaks to the CA.
func dialAddr(addr string, from netip.Addr) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	n, errPort := strconv.ParseUint(port, 10, 16)
	if err != nil || errPort != nil || n == 0 || len(host) > id.MaxNodeName || strings.ContainsAny(host, " \t\r\n/") {
		return "", badRequest("the address is not host:port")
	}
	if host == "" {
		host = from.String()
	}
	return net.JoinHostPort(host, port), nil
}

// egressOf reads the addresses from which a proxy reaches nodes, in the form
// that session certificates have.
func egressOf(list []string, from netip.Addr) ([]string, error) {
	if len(list) == 0 {
		list = []string{from.String()}
	}
	if len(list) > maxEgress {
		return nil, badRequest("more than %d egress addresses", maxEgress)
	}
	for _, s := range list {
		if _, err := parsePrefix(s); err != nil {
			return nil, badRequest("%q is neither an IP address nor a network such as 10.0.4.0/24", s)
		}
	}
	return list, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return cert.Source(a), nil
	}
	return netip.ParsePrefix(s)
}
