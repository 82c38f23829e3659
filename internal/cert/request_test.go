package cert

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("web-%d", i)
	}
	return names
}

// TestARequestIsRefused: what no profile derives, one row per way to ask for it.
func TestARequestIsRefused(t *testing.T) {
	keys := keysOf(t)
	ed, sk := keys[ssh.KeyAlgoED25519], keys[ssh.KeyAlgoSKED25519]
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048, err := ssh.NewPublicKey(&small.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	certified := issue(t, loginOf(ed, now), newSigner(t))

	login := func(change func(*Login)) Request { r := loginOf(ed, now); change(&r); return r }
	session := func(change func(*Session)) Request { r := sessionOf(ed, now); change(&r); return r }
	host := func(change func(*Host)) Request { r := hostOf(ed, now); change(&r); return r }
	const refused, key = fault.ProfileRefused, fault.KeyRefused
	for _, test := range []struct {
		name   string
		r      Request
		reason fault.Reason
	}{
		{"a zero login request", Login{}, refused},
		{"a zero session request", Session{}, refused},
		{"a zero host request", Host{}, refused},

		{"a login without a name", login(func(r *Login) { r.Identity = "" }), refused},
		{"a login for a name with a comma, which is two principals", login(func(r *Login) { r.Identity = "you,root" }), refused},
		{"a login for a name with a space, which forges the KeyID", login(func(r *Login) { r.Identity = "you login=0000" }), refused},
		{"a login for everybody", login(func(r *Login) { r.Identity = "*" }), refused},
		{"a login without its id", login(func(r *Login) { r.LoginID = "" }), refused},
		{"a login with serial 0", login(func(r *Login) { r.Serial = 0 }), refused},
		{"a login for 24 hours and a second", login(func(r *Login) { r.ValidBefore = now.Add(MaxLogin).Unix() + 1 }), refused},
		{"a login without a beginning", login(func(r *Login) { r.ValidAfter = 0 }), refused},
		{"a login that begins before time", login(func(r *Login) { r.ValidAfter = -1 }), refused},
		{"a login that ends before it begins", login(func(r *Login) { r.ValidBefore = r.ValidAfter }), refused},
		{"a login that never ends", login(func(r *Login) { r.ValidBefore = -1 }), refused},
		{"a login without a key", login(func(r *Login) { r.Key = nil }), key},
		{"a login for a certificate in the place of a key", login(func(r *Login) { r.Key = certified }), key},
		{"a login for an RSA key", login(func(r *Login) { r.Key = keys[ssh.KeyAlgoRSA] }), key},
		{"verify-required on a key that sshd would ignore it for", login(func(r *Login) { r.VerifyRequired = true }), refused},
		{"a login from everywhere, spelt out", login(func(r *Login) { r.SourceAddress = prefixes("0.0.0.0/0") }), refused},
		{"a login from a network with bits beyond its length", login(func(r *Login) { r.SourceAddress = prefixes("10.0.0.1/8") }), refused},
		{"a login from IPv4 in IPv6 dress", login(func(r *Login) { r.SourceAddress = prefixes("::ffff:10.0.0.1/128") }), refused},
		{"a login from one network twice", login(func(r *Login) { r.SourceAddress = prefixes("10.0.0.0/8", "10.0.0.0/8") }), refused},
		{"a login from no network", login(func(r *Login) { r.SourceAddress = []netip.Prefix{{}} }), refused},
		{"a login from 33 networks", login(func(r *Login) {
			for i := range 33 {
				r.SourceAddress = append(r.SourceAddress, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 0}), 24))
			}
		}), refused},

		{"a session without its name", session(func(r *Session) { r.Session = "" }), refused},
		{"a session for nobody", session(func(r *Session) { r.Identity = "" }), refused},
		{"a session that no policy granted", session(func(r *Session) { r.Revision = 0 }), refused},
		{"a session without a login", session(func(r *Session) { r.Login = "" }), refused},
		{"a session whose login names a node", session(func(r *Session) { r.Login = "root@n-aaaaaaaaaaaa" }), refused},
		{"a session for every login", session(func(r *Session) { r.Login = "*" }), refused},
		{"a session without a node", session(func(r *Session) { r.Node = "" }), refused},
		{"a session for a node by its name", session(func(r *Session) { r.Node = "web-1" }), refused},
		{"a session from anywhere", session(func(r *Session) { r.SourceAddress = nil }), refused},
		{"a session from half of the internet", session(func(r *Session) { r.SourceAddress = prefixes("128.0.0.0/1") }), refused},
		{"a session from a wide IPv6 network", session(func(r *Session) { r.SourceAddress = prefixes("2000::/3") }), refused},
		{"a session of 61 seconds", session(func(r *Session) { r.ValidBefore = now.Unix() + 61 }), refused},
		{"a session that is backdated by two minutes", session(func(r *Session) { r.ValidAfter -= 60 }), refused},
		{"a session with serial 0", session(func(r *Session) { r.Serial = 0 }), refused},
		{"a session for a FIDO key", session(func(r *Session) { r.Key = sk }), key},
		{"a session for an RSA key", session(func(r *Session) { r.Key = keys[ssh.KeyAlgoRSA] }), key},
		{"a session with a command that holds a zero byte", session(func(r *Session) { r.ForceCommand = "id\x00;sh" }), refused},
		{"a session with a command of 8 KiB and a byte", session(func(r *Session) { r.ForceCommand = strings.Repeat("x", MaxForceCommand+1) }), refused},

		{"a host for nobody", host(func(r *Host) { r.Name, r.Node = "", "" }), refused},
		{"a host with a name and no node", host(func(r *Host) { r.Node = "" }), refused},
		{"a host without names", host(func(r *Host) { r.Principals = nil }), refused},
		{"a host with 257 names", host(func(r *Host) { r.Principals = manyNames(257) }), refused},
		{"a host with names of more than 16 KiB", host(func(r *Host) {
			for _, name := range manyNames(256) {
				r.Principals = append(r.Principals, strings.Repeat("x", 80)+name)
			}
			r.Principals = r.Principals[3:]
		}), refused},
		{"a host for every name", host(func(r *Host) { r.Principals = []string{"*"} }), refused},
		{"a host for a pattern", host(func(r *Host) { r.Principals = []string{"web-?"} }), refused},
		{"a host with one name twice", host(func(r *Host) { r.Principals = []string{"a", "a"} }), refused},
		{"a host with an empty name", host(func(r *Host) { r.Principals = []string{""} }), refused},
		{"a host with a name in capitals", host(func(r *Host) { r.Principals = []string{"Web-1"} }), refused},
		{"a host with a port", host(func(r *Host) { r.Principals = []string{"[web-1]:2222"} }), refused},
		{"a host with an address in another spelling", host(func(r *Host) { r.Principals = []string{"2001:DB8::1"} }), refused},
		{"a host with an address in a zone", host(func(r *Host) { r.Principals = []string{"fe80::1%eth0"} }), refused},
		{"a host for 7 days and a second", host(func(r *Host) { r.ValidBefore = now.Add(MaxHost).Unix() + 1 }), refused},
		{"a proxy under a node's name for a week", host(func(r *Host) { r.Proxy = "gate-1" }), refused},
		{"a proxy with a space in its name", host(func(r *Host) { r.Proxy, r.Name, r.Node = "gate host=web", "", "" }), refused},
		{"a host with a FIDO key", host(func(r *Host) { r.Key = sk }), key},
		{"a host with an RSA key of 2048 bits", host(func(r *Host) { r.Key = rsa2048 }), key},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := test.r.Derive()
			wantReason(t, err, test.reason)
			if c != nil {
				t.Error("a refused request derived a certificate nonetheless")
			}
			if _, err := Prepare(test.r, make([]byte, nonceSize), newSigner(t).PublicKey()); err == nil {
				t.Error("a refused request can be signed")
			}
		})
	}
}

// TestARequestAtItsLimitIsDerived: the rows above refuse for their own reason.
func TestARequestAtItsLimitIsDerived(t *testing.T) {
	keys, ca := keysOf(t), newSigner(t)
	ed := keys[ssh.KeyAlgoED25519]
	day := loginOf(ed, now)
	day.ValidBefore = now.Add(MaxLogin).Unix()
	fido := loginOf(keys[ssh.KeyAlgoSKECDSA256], now)
	fido.VerifyRequired = true
	pool := sessionOf(ed, now)
	pool.SourceAddress = prefixes("198.51.0.0/16", "2001:db8::/32")
	sealed := sessionOf(ed, now)
	sealed.ForceCommand = strings.Repeat("x", MaxForceCommand)
	lines := sessionOf(ed, now)
	lines.ForceCommand = "set -e\nuptime"
	full := hostOf(ed, now)
	full.Principals = manyNames(MaxPrincipals)
	proxy := Host{Proxy: "gate-1", Principals: []string{"gate.example.com", "2001:db8::1"}, Key: keys[ssh.KeyAlgoRSA], Serial: 1, ValidAfter: 1, ValidBefore: 2}
	standIn := hostOf(ed, now)
	standIn.Proxy, standIn.ValidBefore = "gate-1", now.Add(MaxStandIn).Unix()
	for name, r := range map[string]Request{
		"a day": day, "a FIDO key with PIN": fido, "a pool of egress addresses": pool, "a long command": sealed,
		"a command of two lines": lines, "256 names": full, "a proxy": proxy, "a proxy under a node's name": standIn,
	} {
		t.Run(name, func(t *testing.T) {
			c := issue(t, r, ca)
			back, err := Read(r.Profile(), c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, back, cmp.Comparer(sameKey), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Errorf("read back differs from what was asked for:\n%s", diff)
			}
		})
	}
}

func TestAWindowIsBackdatedByAMinute(t *testing.T) {
	after, before := Window(now, time.Minute)
	if after != now.Unix()-60 || before != now.Unix()+60 {
		t.Errorf("got %d to %d", after-now.Unix(), before-now.Unix())
	}
}
