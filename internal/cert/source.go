package cert

import (
	"fmt"
	"net/netip"
	"strings"
)

// The critical option source-address: a comma-separated list of addresses and
// networks (ssh-keygen(1), CERTIFICATES).

const maxSources = 32

// The widest networks that a session certificate may name. A proxy's egress is
// an address, or the pool of a NAT; a network wider than this binds nothing.
const (
	widestV4 = 16
	widestV6 = 32
)

// formatSources writes the option's one canonical form: single addresses
// without a length, everything else masked.
func formatSources(list []netip.Prefix) (string, error) {
	if len(list) > maxSources {
		return "", fmt.Errorf("more than %d source addresses", maxSources)
	}
	text := make([]string, len(list))
	seen := make(map[netip.Prefix]bool, len(list))
	for i, p := range list {
		switch {
		case !p.IsValid():
			return "", fmt.Errorf("a source address is missing")
		case p.Addr().Is4In6():
			return "", fmt.Errorf("source address %v is IPv4 in IPv6 dress", p)
		case p != p.Masked():
			// sshd refuses the whole list for it (addr_match_cidr_list).
			return "", fmt.Errorf("source address %v has bits beyond its length", p)
		case p.Bits() == 0:
			return "", fmt.Errorf("source address %v is everywhere", p)
		case seen[p]:
			return "", fmt.Errorf("source address %v is there twice", p)
		}
		seen[p] = true
		if p.IsSingleIP() {
			text[i] = p.Addr().String()
		} else {
			text[i] = p.String()
		}
	}
	return strings.Join(text, ","), nil
}

// parseSources reads what formatSources writes, and nothing else.
func parseSources(text string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, s := range strings.Split(text, ",") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return nil, fmt.Errorf("source address %q is malformed", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if list = append(list, p); len(list) > maxSources {
			break
		}
	}
	again, err := formatSources(list)
	if err != nil {
		return nil, err
	}
	if again != text {
		return nil, fmt.Errorf("source addresses %q are not in their canonical form", text)
	}
	return list, nil
}

// matchSource says whether addr lies in one of list. The zero addr lies nowhere.
func matchSource(list []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Source returns the prefix that holds exactly addr.
func Source(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	return netip.PrefixFrom(addr, addr.BitLen())
}
