package people

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// nodes lists them as the store has them now: what agents report does not raise
// the state version, and so is not in the directory.
func (p *people) nodes(c *call) ([]wire.Node, error) {
	rows, err := p.Store.Nodes(c.Context())
	list := make([]wire.Node, len(rows))
	for i, n := range rows {
		list[i] = n.Node
	}
	return list, err
}

// addNode registers a node that has no agent: its host keys are pinned, and its
// admin puts the answer's lines on it.
func (p *people) addNode(c *call, in wire.AddNode) (wire.NodeAdded, error) {
	name, err := id.ParseNodeName(string(in.Name))
	if err != nil {
		return wire.NodeAdded{}, badRequest("%v", err)
	}
	keys, err := pinnedKeys(in.HostKeys)
	if err != nil {
		return wire.NodeAdded{}, err
	}
	if err := checkAddr(in.Addr); err != nil {
		return wire.NodeAdded{}, err
	}
	if err := checkLabels(in.Labels); err != nil {
		return wire.NodeAdded{}, err
	}
	n := store.Node{Node: wire.Node{
		ID: id.NewNode(), Name: name, Addr: in.Addr, Labels: in.Labels, HostKeys: keys,
	}}
	if err := p.Store.AddNode(c.Context(), c.Caller.actor(), n); err != nil {
		return wire.NodeAdded{}, err
	}
	added := wire.NodeAdded{
		Node: n.Node, SshdConfig: sshdConfig(n.ID),
		SessionCA: string(cert.AuthorizedKeys("sallyport-session-ca", p.SessionCA...)),
	}
	return added, p.Directory.Refresh(c.Context())
}

// sshdConfig are the lines by which sshd lets session certificates in (DESIGN,
// section 2). sshd takes the first value of a keyword, so they stand at the top.
func sshdConfig(n id.Node) string {
	return fmt.Sprintf(`# Sallyport, at the top of /etc/ssh/sshd_config.
# Save the session CA's key as /etc/ssh/sallyport_session_ca.pub first.
TrustedUserCAKeys /etc/ssh/sallyport_session_ca.pub
AuthorizedPrincipalsCommand /bin/echo %%u@%s
AuthorizedPrincipalsCommandUser nobody
`, n)
}

// setNode changes what an admin says about a node.
func (p *people) setNode(c *call, in wire.SetNode) (wire.Node, error) {
	current, err := p.Store.NodeByName(c.Context(), id.NodeName(c.PathValue("name")))
	if err != nil {
		return wire.Node{}, err
	}
	updated, err := p.Store.UpdateNode(c.Context(), c.Caller.actor(), current.ID, func(n *store.Node) error { return change(n, in) })
	if err != nil {
		return wire.Node{}, err
	}
	return updated.Node, p.Directory.Refresh(c.Context())
}

func change(n *store.Node, in wire.SetNode) error {
	if in.Strict != nil {
		if *in.Strict && !n.Agent {
			return badRequest("%s has no agent that could switch strict mode on", n.Name)
		}
		n.Strict = *in.Strict
	}
	if in.Addr != nil {
		if err := checkAddr(*in.Addr); err != nil {
			return err
		}
		n.Addr = *in.Addr
	}
	if in.Labels != nil {
		if err := checkLabels(*in.Labels); err != nil {
			return err
		}
		n.Labels = *in.Labels
	}
	if in.HostKeys != nil {
		if n.Agent {
			return badRequest("%s has an agent and a host certificate; its keys are not pinned", n.Name)
		}
		keys, err := pinnedKeys(*in.HostKeys)
		if err != nil {
			return err
		}
		n.HostKeys = keys
	}
	return nil
}

func (p *people) removeNode(c *call) (door.Nothing, error) {
	if err := p.Store.RemoveNode(c.Context(), c.Caller.actor(), id.NodeName(c.PathValue("name"))); err != nil {
		return door.Nothing{}, err
	}
	return door.Nothing{}, p.Directory.Refresh(c.Context())
}

// pinnedKeys reads host keys, as ssh-keyscan prints them after the host. Without
// one a proxy could not tell the node from somebody in its place.
func pinnedKeys(lines []string) ([]string, error) {
	if len(lines) == 0 || len(lines) > 8 {
		return nil, badRequest("a node without an agent has 1 to 8 host keys").Then("run: ssh-keyscan HOST, and compare with the node's console")
	}
	var keys []string
	for _, line := range lines {
		key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
			return nil, fault.New(fault.Invalid, fault.KeyRefused, "%q is no host key, as in: ssh-ed25519 AAAA...", clip(line)).Because(err)
		}
		if _, is := key.(*ssh.Certificate); is {
			return nil, fault.New(fault.Invalid, fault.KeyRefused, "a certificate is no host key")
		}
		keys = append(keys, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	n, errPort := strconv.ParseUint(port, 10, 16)
	if err != nil || errPort != nil || n == 0 || host == "" || len(host) > id.MaxNodeName || strings.ContainsFunc(host, unicode.IsSpace) {
		return badRequest("%q is not host:port", clip(addr))
	}
	return nil
}

// Limits of labels.
const (
	maxLabels = 64
	maxLabel  = 256 // bytes of a name or value
)

func checkLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return badRequest("more than %d labels", maxLabels)
	}
	for name, value := range labels {
		for _, s := range []string{name, value} {
			if s == "" || len(s) > maxLabel || !utf8.ValidString(s) || strings.TrimSpace(s) != s ||
				strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
				return badRequest("label %q=%q: a name and a value of printable text", clip(name), clip(value))
			}
		}
	}
	return nil
}

// clip shortens what is shown of somebody's input.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
