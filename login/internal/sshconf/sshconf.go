// Package sshconf writes what ssh reads: the file that ~/.ssh/config includes, the
// known_hosts with the host CA, and the one Include line in the person's own file.
//
// # Promises
//
// Whatever the person had in ~/.ssh/config stays byte for byte, and Uninstall
// takes away exactly what Install put there. Nothing that the CA sent reaches a
// file of ssh's before it was checked to be a host name, a pattern or a port: a
// CA that is not what it seems can lead hosts of these names through its proxies,
// and that is all; it can name no command, no file and no host beyond them.
//
// All but file.go is pure.
package sshconf

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Hosts is who is reached through Sallyport, and through what. Make it with
// HostsOf; the zero Hosts is nobody.
type Hosts struct {
	nodes   []string // ssh host patterns, each checked, negations among them
	proxies []proxy
}

type proxy struct {
	name string // what `ssh -J` may call it; may be empty
	host string // name or address, without brackets
	port string
}

// HostsOf puts together the patterns of discovery and the nodes that its person
// may reach.
func HostsOf(d wire.Discovery, nodes []id.NodeName) (Hosts, error) {
	var h Hosts
	for _, p := range d.Proxies {
		host, port, err := net.SplitHostPort(p.Addr)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || !isHost(host) {
			return Hosts{}, refuse("proxy address", p.Addr)
		}
		// Names of proxies are free text to their operators; one that is no
		// host name is no alias.
		name, err := id.ParseNodeName(string(p.Name))
		if err != nil {
			name = ""
		}
		h.proxies = append(h.proxies, proxy{string(name), strings.ToLower(host), port})
	}
	for _, pattern := range d.Names {
		if !isPattern(pattern) {
			return Hosts{}, refuse("host pattern", pattern)
		}
		h.nodes = append(h.nodes, strings.ToLower(pattern))
	}
	for _, name := range nodes {
		if _, err := id.ParseNodeName(string(name)); err != nil {
			return Hosts{}, refuse("node name", string(name))
		}
		h.nodes = append(h.nodes, string(name))
	}
	slices.Sort(h.nodes)
	h.nodes = slices.Compact(h.nodes)
	return h, nil
}

func refuse(what, text string) error {
	return fault.New(fault.Invalid, fault.ConfigInvalid, "the CA sent the %s %q, which has no place in an ssh_config", what, text).
		Then("tell whoever runs it")
}

// isPattern takes ssh_config(5) patterns of host names, "!" for negation among
// them. One without a letter or digit would be every host there is.
func isPattern(s string) bool {
	s = strings.TrimPrefix(s, "!")
	return s != "" && len(s) <= id.MaxNodeName && strings.ContainsFunc(s, isAlnum) &&
		strings.IndexFunc(s, func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune(".-_*?:", r) }) < 0 &&
		s[0] != '-'
}

func isHost(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == ""
	}
	return isPattern(s) && !strings.ContainsAny(s, "!*?:")
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// proxyHosts are the proxies' hosts, each once.
func (h Hosts) proxyHosts() []string {
	var hosts []string
	for _, p := range h.proxies {
		hosts = append(hosts, p.host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// nodePatterns splits the nodes' patterns into comma-separated lists of about
// limit bytes, because older ssh reads no longer lines. Each list begins with
// what is exempt: the negated patterns, and the proxies, which are reached
// without a proxy.
func (h Hosts) nodePatterns(limit int, form func(string) []string) []string {
	var exempt, lists []string
	for _, host := range h.proxyHosts() {
		exempt = append(exempt, negate(form(host))...)
	}
	list := ""
	for _, pattern := range h.nodes {
		if p, negated := strings.CutPrefix(pattern, "!"); negated {
			exempt = append(exempt, negate(form(p))...)
		}
	}
	for _, pattern := range h.nodes {
		if strings.HasPrefix(pattern, "!") {
			continue
		}
		add := strings.Join(form(pattern), ",")
		if list != "" && len(list)+1+len(add) > limit {
			lists = append(lists, list)
			list = ""
		}
		if list == "" {
			list = strings.Join(append(slices.Clone(exempt), add), ",")
		} else {
			list += "," + add
		}
	}
	if list != "" {
		lists = append(lists, list)
	}
	return lists
}

func negate(patterns []string) []string {
	out := make([]string, len(patterns))
	for i, p := range patterns {
		out[i] = "!" + p
	}
	return out
}

// plain is a pattern as Match host takes it.
func plain(pattern string) []string { return []string{pattern} }

// known is a pattern as known_hosts takes it: ssh looks a host on another port up
// as [host]:port.
func known(pattern string) []string { return []string{pattern, fmt.Sprintf("[%s]:*", pattern)} }
