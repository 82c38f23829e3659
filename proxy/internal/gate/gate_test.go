package gate

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestEnter(t *testing.T) {
	type step struct {
		addr string
		let  bool
	}
	for _, test := range []struct {
		name   string
		limits Limits
		steps  []step
	}{
		{"nobody enters a gate without limits set", Limits{}, []step{{"192.0.2.1", false}}},
		{"nobody enters where only the total is set", Limits{Total: 5}, []step{{"192.0.2.1", false}}},
		{"the total holds for all together", Limits{2, 2}, []step{{"192.0.2.1", true}, {"192.0.2.2", true}, {"192.0.2.3", false}}},
		{"an address has its share and leaves the rest", Limits{9, 1}, []step{{"192.0.2.1", true}, {"192.0.2.1", false}, {"192.0.2.2", true}}},
		{"an IPv4 address in IPv6's clothes is the same", Limits{9, 1}, []step{{"192.0.2.1", true}, {"::ffff:192.0.2.1", false}}},
		{"a subscriber's IPv6 addresses are one", Limits{9, 1}, []step{{"2001:db8::1", true}, {"2001:db8::ffff:1", false}, {"2001:db8:0:1::1", true}}},
		{"a zone makes no other address", Limits{9, 1}, []step{{"fe80::1%eth0", true}, {"fe80::1%eth1", false}}},
		{"a connection without an address counts too", Limits{9, 1}, []step{{"", true}, {"", false}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := New(test.limits)
			for i, s := range test.steps {
				addr, _ := netip.ParseAddr(s.addr)
				_, err := g.Enter(addr)
				if let := err == nil; let != s.let {
					t.Errorf("step %d from %q: %v", i, s.addr, err)
				}
				if err != nil && !errors.Is(err, &fault.Error{Reason: fault.ProxyBusy}) {
					t.Errorf("step %d: reason %s", i, fault.ReasonOf(err))
				}
			}
		})
	}
}

func TestLeaving(t *testing.T) {
	g := New(Limits{Total: 1, PerAddress: 1})
	addr := netip.MustParseAddr("192.0.2.1")
	leave, err := g.Enter(addr)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	leave() // authenticated, and later closed
	if g.Inside() != 0 {
		t.Fatalf("%d inside after a connection left twice", g.Inside())
	}
	if len(g.of) != 0 {
		t.Error("an address that left is still remembered")
	}
	if _, err := g.Enter(addr); err != nil {
		t.Errorf("no room after leaving: %v", err)
	}
}
