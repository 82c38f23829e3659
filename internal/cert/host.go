package cert

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Host asks for a host certificate, of one of three kinds:
//
//	Name and Node         a node's own; KeyID host=<name> node=<id>
//	Proxy                 a proxy's own; KeyID proxy=<name>
//	Proxy, Name and Node  a proxy that answers under a node's name inside -J;
//	                      KeyID proxy=<name> host=<name> node=<id>
//
// To a client all three prove the name. A proxy that dials a node accepts only
// the first (VerifyNode), so that a taken-over proxy cannot pose as a node to
// another proxy.
type Host struct {
	Name        id.NodeName   // the node's
	Node        id.Node       // the node's
	Proxy       id.Proxy      // the proxy's
	Principals  []string      // host names and addresses, 1 to MaxPrincipals, each once
	Key         ssh.PublicKey // the host's
	Serial      id.Serial     // reserved in the database before
	ValidAfter  int64         // Unix seconds, see Window
	ValidBefore int64         // Unix seconds, at most Limit after issuance
}

func (Host) Profile() Profile { return HostProfile }

// Limit is MaxHost, and MaxStandIn for a proxy under a node's name.
func (r Host) Limit() time.Duration {
	if r.Proxy != "" && r.Node != "" {
		return MaxStandIn
	}
	return MaxHost
}

// Derive implements Request.
func (r Host) Derive() (*ssh.Certificate, error) {
	const p = HostProfile
	kid, err := r.keyID()
	if err != nil {
		return nil, refuse(p, "%v", err)
	}
	if err := CheckKey(p, r.Key); err != nil {
		return nil, err
	}
	if err := checkFrame(p, uint64(r.Serial), r.ValidAfter, r.ValidBefore, r.Limit()); err != nil {
		return nil, err
	}
	if n := len(r.Principals); n == 0 || n > MaxPrincipals {
		return nil, refuse(p, "%d names are not 1 to %d", n, MaxPrincipals)
	}
	seen := make(map[string]bool, len(r.Principals))
	for _, name := range r.Principals {
		if err := checkHostName(name); err != nil {
			return nil, refuse(p, "%v", err)
		}
		if seen[name] {
			return nil, refuse(p, "name %q is there twice", name)
		}
		seen[name] = true
	}
	return checkSize(p, &ssh.Certificate{
		Key:             r.Key,
		Serial:          uint64(r.Serial),
		CertType:        ssh.HostCert,
		KeyId:           kid,
		ValidPrincipals: r.Principals,
		ValidAfter:      uint64(r.ValidAfter),
		ValidBefore:     uint64(r.ValidBefore),
		Permissions:     ssh.Permissions{CriticalOptions: map[string]string{}, Extensions: map[string]string{}},
	})
}

func (r Host) keyID() (string, error) {
	var pairs []string
	if r.Proxy != "" {
		if err := checkHostName(string(r.Proxy)); err != nil {
			return "", fmt.Errorf("proxy: %w", err)
		}
		pairs = append(pairs, "proxy", string(r.Proxy))
	}
	if r.Name != "" || r.Node != "" {
		if _, err := id.ParseNodeName(string(r.Name)); err != nil {
			return "", err
		}
		if _, err := id.ParseNode(string(r.Node)); err != nil {
			return "", err
		}
		pairs = append(pairs, "host", string(r.Name), "node", string(r.Node))
	}
	if len(pairs) == 0 {
		return "", fmt.Errorf("it is for no host")
	}
	return keyID(pairs...), nil
}

// checkHostName takes what ssh(1) compares with: a host name in lower case or
// an IP address in its canonical form, without a port. A wildcard is neither.
func checkHostName(name string) error {
	if a, err := netip.ParseAddr(name); err == nil {
		if a.Zone() != "" || a.String() != name {
			return fmt.Errorf("address %q is not in its canonical form", name)
		}
		return nil
	}
	_, err := id.ParseNodeName(name)
	return err
}

// ReadHost reads the request back that c was derived from. It proves nothing
// about c's signature, CA or time: that is VerifyHost.
func ReadHost(c *ssh.Certificate) (Host, error) {
	r, err := hostFields(c)
	if err != nil {
		return Host{}, err
	}
	if err := same(r, c); err != nil {
		return Host{}, err
	}
	return r, nil
}

// hostFields is ReadHost without the check that c has nothing else.
func hostFields(c *ssh.Certificate) (Host, error) {
	if c == nil {
		return Host{}, refuse(HostProfile, "there is none")
	}
	r := Host{
		Principals: c.ValidPrincipals, Key: c.Key, Serial: id.Serial(c.Serial),
		ValidAfter: int64(c.ValidAfter), ValidBefore: int64(c.ValidBefore),
	}
	names := []string{"host", "node"}
	if strings.HasPrefix(c.KeyId, "proxy=") {
		names = []string{"proxy"}
		if strings.Contains(c.KeyId, " ") {
			names = []string{"proxy", "host", "node"}
		}
	}
	values, err := readKeyID(c.KeyId, names...)
	if err != nil {
		return Host{}, refuse(HostProfile, "%v", err)
	}
	for i, name := range names {
		switch name {
		case "proxy":
			r.Proxy = id.Proxy(values[i])
		case "host":
			r.Name = id.NodeName(values[i])
		case "node":
			r.Node = id.Node(values[i])
		}
	}
	return r, nil
}
