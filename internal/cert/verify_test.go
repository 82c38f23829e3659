package cert

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// client is where the person is.
var client = netip.MustParseAddr("203.0.113.9")

func TestVerifyLoginRefuses(t *testing.T) {
	ca, old, key := newSigner(t), newSigner(t), newSigner(t).PublicKey()
	cas := []ssh.PublicKey{old.PublicKey(), ca.PublicKey()}
	good := issue(t, loginOf(key, now), ca)
	home := loginOf(key, now)
	home.SourceAddress = prefixes("203.0.113.0/24", "2001:db8::/48")
	bound := issue(t, home, ca)
	pin := loginOf(keysOf(t)[ssh.KeyAlgoSKED25519], now)
	pin.VerifyRequired = true
	changed := func(change func(*ssh.Certificate)) *ssh.Certificate {
		c := clone(t, good)
		change(c)
		return c
	}
	end := time.Unix(int64(good.ValidBefore), 0)
	const invalid, expired = fault.CertificateInvalid, fault.CertificateExpired
	for _, test := range []struct {
		name   string
		c      *ssh.Certificate
		cas    []ssh.PublicKey
		now    time.Time
		client string
		reason fault.Reason // "" is accepted
	}{
		{"a good certificate is accepted", good, cas, now, "203.0.113.9", ""},
		{"a certificate by the older CA of a rotation is accepted", issue(t, loginOf(key, now), old), cas, now, "203.0.113.9", ""},
		{"a certificate a minute before its issuance is accepted, for slow clocks", good, cas, now.Add(-time.Minute), "203.0.113.9", ""},
		{"a certificate in its last second is accepted", good, cas, end.Add(-time.Second), "203.0.113.9", ""},
		{"a bound certificate is accepted from its network", bound, cas, now, "203.0.113.9", ""},
		{"a bound certificate is accepted from its network in IPv6 dress", bound, cas, now, "::ffff:203.0.113.9", ""},
		{"a bound certificate is accepted from its IPv6 network", bound, cas, now, "2001:db8::7", ""},

		{"no certificate", nil, cas, now, "203.0.113.9", invalid},
		{"the zero certificate", &ssh.Certificate{}, cas, now, "203.0.113.9", invalid},
		{"no principals, signed", sign(t, changed(func(c *ssh.Certificate) { c.ValidPrincipals = nil }), ca), cas, now, "203.0.113.9", invalid},
		{"a host certificate", issue(t, hostOf(key, now), ca), cas, now, "203.0.113.9", invalid},
		{"a session certificate by the same CA", issue(t, sessionOf(key, now), ca), cas, now, "203.0.113.9", invalid},
		{"no CA to trust", good, nil, now, "203.0.113.9", invalid},
		{"another CA", good, []ssh.PublicKey{newSigner(t).PublicKey()}, now, "203.0.113.9", invalid},
		{"a certificate as the CA", changed(func(c *ssh.Certificate) { c.SignatureKey = good }), append(cas, good), now, "203.0.113.9", invalid},
		{"a certificate as the key", changed(func(c *ssh.Certificate) { c.Key = good }), cas, now, "203.0.113.9", invalid},
		{"no key", changed(func(c *ssh.Certificate) { c.Key = nil }), cas, now, "203.0.113.9", invalid},
		{"no CA key", changed(func(c *ssh.Certificate) { c.SignatureKey = nil }), cas, now, "203.0.113.9", invalid},
		{"no signature", changed(func(c *ssh.Certificate) { c.Signature = nil }), cas, now, "203.0.113.9", invalid},
		{"another signature", changed(func(c *ssh.Certificate) { c.Signature = bound.Signature }), cas, now, "203.0.113.9", invalid},
		{"a field that was changed after", changed(func(c *ssh.Certificate) { c.Serial++ }), cas, now, "203.0.113.9", invalid},
		{"an unknown critical option", sign(t, changed(func(c *ssh.Certificate) { c.CriticalOptions["x"] = "" }), ca), cas, now, "203.0.113.9", invalid},
		{"more than 16 KiB", sign(t, changed(func(c *ssh.Certificate) { c.Extensions["x"] = strings.Repeat("x", MaxSize) }), ca), cas, now, "203.0.113.9", invalid},
		{"a PIN at every use, which nobody can see here", issue(t, pin, ca), cas, now, "203.0.113.9", invalid},
		{"the second in which it ends", good, cas, end, "203.0.113.9", expired},
		{"a day later", good, cas, now.Add(24 * time.Hour), "203.0.113.9", expired},
		{"two minutes before its issuance", good, cas, now.Add(-2 * time.Minute), "203.0.113.9", expired},
		{"a clock at its zero", good, cas, time.Time{}, "203.0.113.9", expired},
		{"another network", bound, cas, now, "198.51.100.1", invalid},
		{"another IPv6 network", bound, cas, now, "2001:db9::7", invalid},
		{"an address that nobody knows", bound, cas, now, "", invalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			var from netip.Addr
			if test.client != "" {
				from = netip.MustParseAddr(test.client)
			}
			err := VerifyLogin(test.c, test.cas, test.now, from)
			if test.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantReason(t, err, test.reason)
		})
	}
}

func TestACertificateOfTomorrowBlamesTheClock(t *testing.T) {
	ca := newSigner(t)
	c := issue(t, loginOf(newSigner(t).PublicKey(), now), ca)
	err := VerifyLogin(c, []ssh.PublicKey{ca.PublicKey()}, now.Add(-time.Hour), client)
	if err == nil || !strings.Contains(err.Error(), "clock here says 2027-01-15T07:00:00Z") {
		t.Errorf("got %v", err)
	}
}

func TestVerifyHostRefuses(t *testing.T) {
	ca, key := newSigner(t), newSigner(t).PublicKey()
	cas := []ssh.PublicKey{ca.PublicKey()}
	good := issue(t, hostOf(key, now), ca)
	standIn := hostOf(key, now)
	standIn.Proxy, standIn.ValidBefore = "gate-1", now.Add(MaxStandIn).Unix()
	proxy := hostOf(key, now)
	proxy.Name, proxy.Node, proxy.Proxy = "", "", "gate-1"
	anyNode := func(c *ssh.Certificate, cas []ssh.PublicKey, name string, at time.Time) error {
		return VerifyNode(c, cas, id.NodeName(name), "n-0123456789ab", at)
	}
	for _, test := range []struct {
		name   string
		verify func(*ssh.Certificate, []ssh.PublicKey, string, time.Time) error
		c      *ssh.Certificate
		cas    []ssh.PublicKey
		as     string
		now    time.Time
		reason fault.Reason // "" is accepted
	}{
		{"a node's certificate proves its name", VerifyHost, good, cas, "web-1", now, ""},
		{"a node's certificate proves its address", VerifyHost, good, cas, "192.0.2.7", now, ""},
		{"a node's certificate proves its name to a proxy", anyNode, good, cas, "web-1", now, ""},
		{"a proxy proves a node's name to a client", VerifyHost, issue(t, standIn, ca), cas, "web-1", now, ""},

		{"no certificate", VerifyHost, nil, cas, "web-1", now, fault.CertificateInvalid},
		{"no principals, signed", VerifyHost, sign(t, func() *ssh.Certificate { c := clone(t, good); c.ValidPrincipals = nil; return c }(), ca), cas, "web-1", now, fault.CertificateInvalid},
		{"another name", VerifyHost, good, cas, "web-2", now, fault.CertificateInvalid},
		{"a name's beginning", VerifyHost, good, cas, "web", now, fault.CertificateInvalid},
		{"no name", VerifyHost, good, cas, "", now, fault.CertificateInvalid},
		{"a person's certificate", VerifyHost, issue(t, loginOf(key, now), ca), cas, "you@example.com", now, fault.CertificateInvalid},
		{"another CA", VerifyHost, good, []ssh.PublicKey{newSigner(t).PublicKey()}, "web-1", now, fault.CertificateInvalid},
		{"no CA", VerifyHost, good, nil, "web-1", now, fault.CertificateInvalid},
		{"after its end", VerifyHost, good, cas, "web-1", now.Add(MaxHost), fault.CertificateExpired},
		{"before its beginning", VerifyHost, good, cas, "web-1", now.Add(-2 * time.Minute), fault.CertificateExpired},

		{"a proxy under the node's name, to a proxy", anyNode, issue(t, standIn, ca), cas, "web-1", now, fault.CertificateInvalid},
		{"a proxy with the node among its names, to a proxy", anyNode, issue(t, proxy, ca), cas, "web-1", now, fault.CertificateInvalid},
		{"a node that had the name before", func(c *ssh.Certificate, cas []ssh.PublicKey, name string, at time.Time) error {
			return VerifyNode(c, cas, id.NodeName(name), "n-aaaaaaaaaaaa", at)
		}, good, cas, "web-1", now, fault.CertificateInvalid},
		{"a node without an id", func(c *ssh.Certificate, cas []ssh.PublicKey, name string, at time.Time) error {
			return VerifyNode(c, cas, id.NodeName(name), "", at)
		}, issue(t, proxy, ca), cas, "web-1", now, fault.CertificateInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.verify(test.c, test.cas, test.as, test.now)
			if test.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantReason(t, err, test.reason)
		})
	}
}
