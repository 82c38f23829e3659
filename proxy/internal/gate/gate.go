// Package gate limits the connections that have not yet proven who they are, in
// all and for each source address. Time is the caller's to limit.
//
// # Promises
//
// A connection that has proven an identity counts no more, so that strangers
// can never keep out those who are in. An address that holds its whole share
// leaves the rest of the room to others. A refusal costs a lock and a map
// look-up. The zero Limits let nobody in.
package gate

import (
	"net/netip"
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Limits are counts of connections that are not authenticated yet.
type Limits struct {
	Total      int
	PerAddress int // of one IPv4 address or one IPv6 /64
}

// Gate counts. Make it with New.
type Gate struct {
	limits Limits

	mu    sync.Mutex
	total int
	of    map[netip.Addr]int // no entry is 0
}

// New returns a gate that nobody has entered.
func New(l Limits) *Gate { return &Gate{limits: l, of: make(map[netip.Addr]int)} }

// Enter lets a connection from addr in, or refuses it with proxy_busy. leave
// must be called when the connection is authenticated or has ended; a second
// call does nothing.
func (g *Gate) Enter(addr netip.Addr) (leave func(), err error) {
	from := network(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= g.limits.Total {
		return nil, fault.New(fault.Unavailable, fault.ProxyBusy, "too many people are logging in at once").Then("try again in a moment")
	}
	if g.of[from] >= g.limits.PerAddress {
		return nil, fault.New(fault.Unavailable, fault.ProxyBusy, "too many logins from your address at once").Then("try again in a moment")
	}
	g.total++
	g.of[from]++
	return sync.OnceFunc(func() { g.leave(from) }), nil
}

func (g *Gate) leave(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.of[from]--; g.of[from] == 0 {
		delete(g.of, from)
	}
}

// Inside is how many connections count now.
func (g *Gate) Inside() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}

// network is what one subscriber has: an IPv4 address, an IPv6 /64 (RFC 6177).
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
