package cert

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// TestPromise1NothingBeyondAProfileIsSignedOrAccepted is promise 1 of DESIGN,
// section 7. Each row is a certificate that a CA key really signed, with one
// thing that its profile does not have. Lint refuses the bytes, and whoever
// verifies refuses the certificate.
func TestPromise1NothingBeyondAProfileIsSignedOrAccepted(t *testing.T) {
	ca, other := newSigner(t), newSigner(t)
	key := newSigner(t).PublicKey()
	good := map[Profile]*ssh.Certificate{
		LoginProfile:   issue(t, loginOf(key, now), ca),
		SessionProfile: issue(t, sessionOf(key, now), ca),
		HostProfile:    issue(t, hostOf(key, now), ca),
	}
	accepted := func(p Profile, c *ssh.Certificate) error {
		switch p {
		case LoginProfile:
			return VerifyLogin(c, []ssh.PublicKey{ca.PublicKey()}, now, client)
		case HostProfile:
			return VerifyHost(c, []ssh.PublicKey{ca.PublicKey()}, "web-1", now)
		}
		_, err := Read(p, c) // a session certificate is the node's sshd's to verify
		return err
	}
	all := []struct {
		name   string
		change func(*ssh.Certificate)
	}{
		{"no principals", func(c *ssh.Certificate) { c.ValidPrincipals = nil }},
		{"an empty principal", func(c *ssh.Certificate) { c.ValidPrincipals = []string{""} }},
		{"the principal of everybody", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"*"} }},
		{"serial 0", func(c *ssh.Certificate) { c.Serial = 0 }},
		{"no end", func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }},
		{"no beginning", func(c *ssh.Certificate) { c.ValidAfter = 0 }},
		{"ten years", func(c *ssh.Certificate) { c.ValidBefore = c.ValidAfter + 10*365*24*3600 }},
		{"the other type", func(c *ssh.Certificate) { c.CertType = 3 - c.CertType }},
		{"type 0", func(c *ssh.Certificate) { c.CertType = 0 }},
		{"an empty KeyID", func(c *ssh.Certificate) { c.KeyId = "" }},
		{"a KeyID with more in it", func(c *ssh.Certificate) { c.KeyId += " x=y" }},
		{"a KeyID with a line in it", func(c *ssh.Certificate) { c.KeyId += "\nAccepted publickey for root" }},
		{"an unknown critical option", func(c *ssh.Certificate) { c.CriticalOptions["no-such-option"] = "" }},
		{"verify-required on a plain key", func(c *ssh.Certificate) { c.CriticalOptions["verify-required"] = "" }},
		{"an empty source address", func(c *ssh.Certificate) { c.CriticalOptions["source-address"] = "" }},
		{"a source address of everywhere", func(c *ssh.Certificate) { c.CriticalOptions["source-address"] = "0.0.0.0/0" }},
		{"a source address with a negation", func(c *ssh.Certificate) { c.CriticalOptions["source-address"] = "!192.0.2.1" }},
		{"X11 forwarding", func(c *ssh.Certificate) { c.Extensions["permit-X11-forwarding"] = "" }},
		{"~/.ssh/rc", func(c *ssh.Certificate) { c.Extensions["permit-user-rc"] = "" }},
		{"no touch", func(c *ssh.Certificate) { c.Extensions["no-touch-required"] = "" }},
		{"an extension of somebody's own", func(c *ssh.Certificate) { c.Extensions["admin@example.com"] = "yes" }},
		{"an extension with a value", func(c *ssh.Certificate) { c.Extensions["permit-pty"] = "yes" }},
		{"something in Reserved", func(c *ssh.Certificate) { c.Reserved = []byte("x") }},
	}
	more := map[Profile][]struct {
		name   string
		change func(*ssh.Certificate)
	}{
		LoginProfile: {
			{"a second principal", func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "root") }},
			{"another principal than its KeyID", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"root@example.com"} }},
			{"a terminal", func(c *ssh.Certificate) { c.Extensions["permit-pty"] = "" }},
			{"a forced command", func(c *ssh.Certificate) { c.CriticalOptions["force-command"] = "id" }},
		},
		SessionProfile: {
			{"a second principal", func(c *ssh.Certificate) {
				c.ValidPrincipals = append(c.ValidPrincipals, "root@n-0123456789ab")
			}},
			{"a principal without a node", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"deploy"} }},
			{"no source address", func(c *ssh.Certificate) { delete(c.CriticalOptions, "source-address") }},
			{"an empty forced command", func(c *ssh.Certificate) { c.CriticalOptions["force-command"] = "" }},
			{"three minutes", func(c *ssh.Certificate) { c.ValidBefore += 60 }},
		},
		HostProfile: {
			{"a pattern among its names", func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "*.example.com") }},
			{"a critical option", func(c *ssh.Certificate) { c.CriticalOptions["source-address"] = "192.0.2.1" }},
			{"an extension", func(c *ssh.Certificate) { c.Extensions["permit-pty"] = "" }},
		},
	}
	for p, certificate := range good {
		if err := accepted(p, certificate); err != nil {
			t.Fatalf("a good %s certificate is refused: %v", p, err)
		}
		for _, row := range slices.Concat(all, more[p]) {
			t.Run(string(p)+" with "+row.name, func(t *testing.T) {
				c := clone(t, certificate)
				row.change(c)
				c = sign(t, c, ca)
				if _, err := Lint(p, c.Marshal(), ca.PublicKey()); err == nil {
					t.Error("Lint passes it")
				}
				if accepted(p, c) == nil {
					t.Error("it is accepted")
				}
			})
		}
		for wrong := range good {
			if _, err := Lint(wrong, certificate.Marshal(), ca.PublicKey()); (err == nil) != (wrong == p) {
				t.Errorf("a %s certificate as a %s certificate: %v", p, wrong, err)
			}
		}
		t.Run(string(p)+" by another CA", func(t *testing.T) {
			foreign := sign(t, certificate, other)
			if _, err := Lint(p, foreign.Marshal(), ca.PublicKey()); err == nil {
				t.Error("Lint passes it")
			}
			if p != SessionProfile && accepted(p, foreign) == nil {
				t.Error("it is accepted")
			}
		})
	}
	if _, err := Lint("", good[LoginProfile].Marshal(), ca.PublicKey()); err == nil {
		t.Error("the zero profile passes a certificate")
	}
	if _, err := Lint(LoginProfile, good[LoginProfile].Marshal(), nil); err == nil {
		t.Error("a certificate passes without a CA")
	}
}

// clone copies what a row changes.
func clone(t *testing.T, c *ssh.Certificate) *ssh.Certificate {
	t.Helper()
	again, err := Parse(c.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// TestBytesOutOfFormAreRefused: what a lax reader would take for the same
// certificate.
func TestBytesOutOfFormAreRefused(t *testing.T) {
	ca := newSigner(t)
	session := sessionOf(newSigner(t).PublicKey(), now)
	session.ForceCommand = "uptime"
	c := issue(t, session, ca)
	blob := c.Marshal()

	// The two options' names have other lengths, so their order shows.
	swap := func(blob []byte) []byte {
		a := option("force-command", "uptime")
		b := option("source-address", "192.0.2.1")
		return bytes.Replace(blob, slices.Concat(a, b), slices.Concat(b, a), 1)
	}
	twice := func(blob []byte) []byte {
		a := option("force-command", "uptime")
		b := option("source-address", "192.0.2.1")
		length := binary.BigEndian.AppendUint32(nil, uint32(len(a)+len(b)))
		longer := binary.BigEndian.AppendUint32(nil, uint32(2*len(a)+len(b)))
		return bytes.Replace(blob, slices.Concat(length, a, b), slices.Concat(longer, a, a, b), 1)
	}
	for name, bad := range map[string][]byte{
		"nothing":                    nil,
		"a byte more":                append(slices.Clone(blob), 0),
		"a byte less":                blob[:len(blob)-1],
		"a plain key":                c.Key.Marshal(),
		"options out of order":       swap(blob),
		"an option twice":            twice(blob),
		"more than 16 KiB":           append(slices.Clone(blob), make([]byte, MaxSize)...),
		"garbage after the header":   append(slices.Clone(blob[:40]), make([]byte, 400)...),
		"a certificate as its CA":    withCA(c, c.Marshal()),
		"a signature of another key": sign(t, c, newSigner(t)).Marshal(),
	} {
		t.Run(name, func(t *testing.T) {
			if bytes.Equal(bad, blob) {
				t.Fatal("the row changed nothing")
			}
			_, err := Lint(SessionProfile, bad, ca.PublicKey())
			wantReason(t, err, fault.CertificateInvalid)
		})
	}
	// One bit anywhere, and it is another certificate or none.
	for i := range blob {
		bad := slices.Clone(blob)
		bad[i] ^= 1
		if _, err := Lint(SessionProfile, bad, ca.PublicKey()); err == nil {
			t.Fatalf("byte %d may be changed", i)
		}
	}
}

func option(name, value string) []byte {
	return appendOptions(nil, map[string]string{name: value})[4:]
}

// withCA writes c with ca, any bytes, in the place of its CA's key.
func withCA(c *ssh.Certificate, ca []byte) []byte {
	return bytes.Replace(c.Marshal(), appendString(nil, c.SignatureKey.Marshal()), appendString(nil, ca), 1)
}

// TestCheckWantsExactlyWhatWasAskedFor: a signer that signs another legal
// request than the CA's is found out.
func TestCheckWantsExactlyWhatWasAskedFor(t *testing.T) {
	ca, key := newSigner(t), newSigner(t).PublicKey()
	asked := sessionOf(key, now)
	blob := issue(t, asked, ca).Marshal()
	if _, err := Check(asked, blob, ca.PublicKey()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Session){
		"another login":          func(r *Session) { r.Login = "root" },
		"another node":           func(r *Session) { r.Node = "n-aaaaaaaaaaaa" },
		"another identity":       func(r *Session) { r.Identity = "them@example.com" },
		"another key":            func(r *Session) { r.Key = newSigner(t).PublicKey() },
		"another serial":         func(r *Session) { r.Serial++ },
		"a second more":          func(r *Session) { r.ValidAfter++ },
		"a terminal more":        func(r *Session) { r.PTY = true },
		"another source address": func(r *Session) { r.SourceAddress = prefixes("192.0.2.2/32") },
	} {
		t.Run(name, func(t *testing.T) {
			r := asked
			change(&r)
			if _, err := Check(r, blob, ca.PublicKey()); err == nil {
				t.Error("it is taken for what was asked for")
			}
		})
	}
	t.Run("another CA", func(t *testing.T) {
		_, err := Check(asked, blob, newSigner(t).PublicKey())
		wantReason(t, err, fault.CertificateInvalid)
	})
}

func TestPrepareRefusesWhatIsNoCA(t *testing.T) {
	r := loginOf(newSigner(t).PublicKey(), now)
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	for name, ca := range map[string]ssh.PublicKey{
		"no key":        nil,
		"a certificate": issue(t, loginOf(newSigner(t).PublicKey(), time.Unix(1e9, 0)), newSigner(t)),
		"an RSA key":    keysOf(t)[ssh.KeyAlgoRSA],
		"a FIDO key":    keysOf(t)[ssh.KeyAlgoSKED25519],
	} {
		if _, err := Prepare(r, nonce, ca); err == nil {
			t.Errorf("%s can sign", name)
		}
	}
	if _, err := Prepare(r, nonce[:16], newSigner(t).PublicKey()); err == nil {
		t.Error("a nonce of 16 bytes is taken")
	}
}
