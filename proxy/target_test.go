package proxy

import (
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

func TestTarget(t *testing.T) {
	named := arrival{way: wire.WayJump, node: "web-1"}
	announced := arrival{way: wire.WayConnect, node: "web-1", login: "deploy"}
	for _, test := range []struct {
		name string
		a    arrival
		user string
		want target // without fault; the zero target is refused
	}{
		{"a user name without a node is the menu", arrival{}, "deploy", target{way: wire.WayMenu}},
		{"no user name is the menu", arrival{}, "", target{way: wire.WayMenu}},
		{"login@node", arrival{}, "deploy@web-1", target{wire.WayName, "deploy", "web-1", nil}},
		{"nodes have no capitals", arrival{}, "deploy@WEB-1", target{wire.WayName, "deploy", "web-1", nil}},
		{"logins have", arrival{}, "Deploy@web-1", target{wire.WayName, "Deploy", "web-1", nil}},
		{"a jump names the node", named, "deploy", target{wire.WayJump, "deploy", "web-1", nil}},
		{"an announced login", announced, "deploy", target{wire.WayConnect, "deploy", "web-1", nil}},
		{"another login than announced", announced, "root", target{}},
		{"a second node inside a jump", named, "deploy@web-2", target{}},
		{"two nodes", arrival{}, "deploy@web-1@web-2", target{}},
		{"no login", arrival{}, "@web-1", target{}},
		{"no node", arrival{}, "deploy@", target{}},
		{"a login that looks like an option", arrival{}, "-v@web-1", target{}},
		{"a node that climbs", arrival{}, "deploy@../etc", target{}},
		{"a zero byte", arrival{}, "deploy\x00@web-1", target{}},
	} {
		got := test.a.target(test.user)
		refused := got.fault != nil
		got.fault = nil
		if refused != (test.want == target{}) || got != test.want {
			t.Errorf("%s: %+v, refused %v", test.name, got, refused)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"deploy@web-1", "deploy", "@", "a@b@c", "DEPLOY@WEB-1", "\xff@\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, user string) {
		for _, a := range []arrival{{}, {way: wire.WayJump, node: "web-1"}} {
			got := a.target(user)
			if got.fault != nil || got.way == wire.WayMenu {
				if got.node != "" || got.login != "" {
					t.Errorf("%q: %+v names a node all the same", user, got)
				}
				continue
			}
			if _, err := id.ParseLogin(string(got.login)); err != nil {
				t.Errorf("%q: %v", user, err)
			}
			if _, err := id.ParseNodeName(string(got.node)); err != nil {
				t.Errorf("%q: %v", user, err)
			}
		}
	})
}
