package cert

import (
	"bytes"
	"crypto/ed25519"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// fuzzCA is always the same key, so that the corpus stays worth something.
func fuzzCA(t testing.TB) ssh.Signer {
	t.Helper()
	ca, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func seed(f *testing.F) {
	f.Helper()
	ca := fuzzCA(f)
	key := ca.PublicKey()
	standIn := hostOf(key, now)
	standIn.Proxy, standIn.ValidBefore = "gate-1", now.Add(MaxStandIn).Unix()
	for _, r := range []Request{loginOf(key, now), sessionOf(key, now), hostOf(key, now), standIn} {
		f.Add(issue(f, r, ca).Marshal())
	}
}

// FuzzLint: no bytes bring a reader down, and what passes is what some request
// of the profile derives to, under our CA.
func FuzzLint(f *testing.F) {
	seed(f)
	ca := fuzzCA(f).PublicKey()
	f.Fuzz(func(t *testing.T, blob []byte) {
		if c, err := Parse(blob); err == nil && !bytes.Equal(c.Marshal(), blob) {
			t.Fatal("Parse takes what Marshal does not write")
		}
		for _, p := range Profiles() {
			c, err := Lint(p, blob, ca)
			if err != nil {
				continue
			}
			r, err := Read(p, c)
			if err != nil {
				t.Fatalf("Lint passes a %s certificate that Read refuses: %v", p, err)
			}
			if _, err := Check(r, blob, ca); err != nil {
				t.Fatalf("Lint passes a %s certificate that Check refuses: %v", p, err)
			}
		}
	})
}

// FuzzVerify: whatever is in a certificate, and even if our CA had signed it,
// what a verifier accepts has no more than its profile.
func FuzzVerify(f *testing.F) {
	seed(f)
	ca := fuzzCA(f)
	cas := []ssh.PublicKey{ca.PublicKey()}
	f.Fuzz(func(t *testing.T, blob []byte) {
		key, err := ssh.ParsePublicKey(blob)
		if err != nil {
			return
		}
		c, ok := key.(*ssh.Certificate)
		if !ok {
			return
		}
		at := time.Unix(int64(c.ValidAfter), 0)
		if VerifyLogin(c, cas, at, client) == nil && !sameKey(c.SignatureKey, ca.PublicKey()) {
			t.Fatal("another CA's certificate is accepted")
		}
		c = sign(t, c, ca)
		if VerifyLogin(c, cas, at, netip.Addr{}) == nil {
			if len(c.ValidPrincipals) != 1 || len(c.Extensions) > 0 || len(c.CriticalOptions) > 0 || len(c.Reserved) > 0 ||
				c.Serial == 0 || c.ValidBefore-c.ValidAfter > uint64((MaxLogin+Backdate)/time.Second) {
				t.Fatalf("more than a login certificate is accepted: %+v", c)
			}
		}
		for _, name := range c.ValidPrincipals {
			if VerifyHost(c, cas, name, at) == nil && (len(c.Extensions) > 0 || len(c.CriticalOptions) > 0 || c.Serial == 0 ||
				c.ValidBefore-c.ValidAfter > uint64((MaxHost+Backdate)/time.Second)) {
				t.Fatalf("more than a host certificate is accepted: %+v", c)
			}
		}
	})
}
