package cert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// now is the moment of the tests that need no other program.
var now = time.Unix(1_800_000_000, 0)

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// issue makes the certificate that r asks for, as the signer does.
func issue(t testing.TB, r Request, ca ssh.Signer) *ssh.Certificate {
	t.Helper()
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	d, err := Prepare(r, nonce, ca.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	blob, err := d.Sign(func(data []byte) (*ssh.Signature, error) { return ca.Sign(rand.Reader, data) })
	if err != nil {
		t.Fatal(err)
	}
	c, err := Lint(r.Profile(), blob, ca.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sign signs c as it is, which nothing in the product can do.
func sign(t testing.TB, c *ssh.Certificate, ca ssh.Signer) *ssh.Certificate {
	t.Helper()
	signed := *c
	if err := signed.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return &signed
}

func loginOf(key ssh.PublicKey, at time.Time) Login {
	after, before := Window(at, 8*time.Hour)
	return Login{
		Identity: "you@example.com", LoginID: "0123456789ab", Key: key,
		Serial: 7, ValidAfter: after, ValidBefore: before,
	}
}

func sessionOf(key ssh.PublicKey, at time.Time) Session {
	after, before := Window(at, MaxSession)
	return Session{
		Session: "7kq2-m9x4d", Identity: "you@example.com", Revision: 3,
		Login: "deploy", Node: "n-0123456789ab", Key: key,
		Serial: 8, ValidAfter: after, ValidBefore: before,
		SourceAddress: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
	}
}

func hostOf(key ssh.PublicKey, at time.Time) Host {
	after, before := Window(at, MaxHost)
	return Host{
		Name: "web-1", Node: "n-0123456789ab", Principals: []string{"web-1", "web-1.example.com", "192.0.2.7"},
		Key: key, Serial: 9, ValidAfter: after, ValidBefore: before,
	}
}

// keysOf every kind, by their SSH names.
func keysOf(t testing.TB) map[string]ssh.PublicKey {
	t.Helper()
	keys := map[string]ssh.PublicKey{}
	add := func(k any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		p, err := ssh.NewPublicKey(k)
		if err != nil {
			t.Fatal(err)
		}
		keys[p.Type()] = p
	}
	ed, _, err := ed25519.GenerateKey(nil)
	add(ed, err)
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(&k.PublicKey, err)
	}
	k, err := rsa.GenerateKey(rand.Reader, 3072)
	add(&k.PublicKey, err)
	for name, blob := range map[string][]byte{
		ssh.KeyAlgoSKED25519: ssh.Marshal(struct {
			Type        string
			Key         []byte
			Application string
		}{ssh.KeyAlgoSKED25519, ed, "ssh:"}),
		ssh.KeyAlgoSKECDSA256: ssh.Marshal(struct {
			Type, Curve string
			Key         []byte
			Application string
		}{ssh.KeyAlgoSKECDSA256, "nistp256", point(t, keys[ssh.KeyAlgoECDSA256]), "ssh:"}),
	} {
		if keys[name], err = ssh.ParsePublicKey(blob); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func point(t testing.TB, key ssh.PublicKey) []byte {
	t.Helper()
	var k struct {
		Type, Curve string
		Point       []byte
	}
	if err := ssh.Unmarshal(key.Marshal(), &k); err != nil {
		t.Fatal(err)
	}
	return k.Point
}

func wantReason(t *testing.T, err error, want fault.Reason) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a fault with reason %q", err, want)
	}
	if f.Reason != want {
		t.Fatalf("got reason %q (%v), want %q", f.Reason, err, want)
	}
}

// TestOwnEncoderWritesWhatXCryptoWrites: two encoders that do not know each
// other agree on every kind of key and option.
func TestOwnEncoderWritesWhatXCryptoWrites(t *testing.T) {
	ca := newSigner(t)
	for name, key := range keysOf(t) {
		requests := []Request{hostOf(key, now)}
		if name != ssh.KeyAlgoRSA {
			requests = []Request{loginOf(key, now)}
		}
		if name == ssh.KeyAlgoED25519 {
			s := sessionOf(key, now)
			s.ForceCommand, s.PTY, s.PortForwarding = "systemctl restart nginx", true, true
			requests = append(requests, s)
		}
		for _, r := range requests {
			c := issue(t, r, ca)
			if !bytes.Equal(encode(c), c.Marshal()) {
				t.Errorf("%s: a %s certificate is written differently", name, r.Profile())
			}
			if _, err := Read(r.Profile(), c); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestSSHKeygenReadsEveryField: OpenSSH reads of our certificates what DESIGN,
// section 2 says.
func TestSSHKeygenReadsEveryField(t *testing.T) {
	keygen := rig.Need(t, "ssh-keygen", "openssh-client")
	ca, keys := newSigner(t), keysOf(t)
	at := time.Now()
	login := loginOf(keys[ssh.KeyAlgoSKED25519], at)
	login.VerifyRequired = true
	login.SourceAddress = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::1/128")}
	session := sessionOf(keys[ssh.KeyAlgoECDSA256], at)
	session.ForceCommand, session.PTY, session.AgentForwarding = "uptime", true, true
	host := hostOf(keys[ssh.KeyAlgoRSA], at)
	standIn := hostOf(keys[ssh.KeyAlgoED25519], at)
	standIn.Proxy, standIn.ValidBefore = "gate-1", at.Add(MaxStandIn).Unix()
	for _, test := range []struct {
		name string
		r    Request
		want []string
	}{
		{"login", login, []string{
			"user certificate", `Key ID: "identity=you@example.com login=0123456789ab"`, "Serial: 7",
			"Principals: | you@example.com | Critical Options: | source-address 203.0.113.0/24,2001:db8::1 | verify-required | Extensions: (none)",
		}},
		{"session", session, []string{
			"user certificate", `Key ID: "session=7kq2-m9x4d identity=you@example.com policy=3"`, "Serial: 8",
			"Principals: | deploy@n-0123456789ab | Critical Options: | force-command uptime | source-address 192.0.2.1 | Extensions: | permit-agent-forwarding | permit-pty",
		}},
		{"host", host, []string{
			"host certificate", `Key ID: "host=web-1 node=n-0123456789ab"`, "Serial: 9",
			"Principals: | web-1 | web-1.example.com | 192.0.2.7 | Critical Options: (none) | Extensions: (none)",
		}},
		{"proxy under a node's name", standIn, []string{`Key ID: "proxy=gate-1 host=web-1 node=n-0123456789ab"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "id-cert.pub")
			if err := os.WriteFile(path, ssh.MarshalAuthorizedKey(issue(t, test.r, ca)), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(keygen, "-L", "-f", path).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var lines []string
			for line := range strings.Lines(string(out)) {
				lines = append(lines, strings.TrimSpace(line))
			}
			text := strings.Join(lines, " | ")
			for _, want := range append(test.want, "Signing CA: ED25519 "+ssh.FingerprintSHA256(ca.PublicKey())) {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in what ssh-keygen reads:\n%s", want, text)
				}
			}
		})
	}
}

func TestADraftIsSignedOnce(t *testing.T) {
	ca := newSigner(t)
	d, err := Prepare(loginOf(newSigner(t).PublicKey(), now), make([]byte, nonceSize), ca.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	sign := func(data []byte) (*ssh.Signature, error) { return ca.Sign(rand.Reader, data) }
	if _, err := d.Sign(sign); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Sign(sign); err == nil {
		t.Error("a draft was signed twice")
	}
	if _, err := (&Draft{}).Sign(sign); err == nil {
		t.Error("a draft that nobody prepared was signed")
	}
}

func TestTrustIsPrintedAsSshWantsIt(t *testing.T) {
	a, b := newSigner(t).PublicKey(), newSigner(t).PublicKey()
	lines := string(CertAuthority([]string{"web-*", "*.example.com"}, "host-ca", a, b))
	if strings.Count(lines, "\n") != 2 || !strings.HasPrefix(lines, "@cert-authority web-*,*.example.com ssh-ed25519 ") {
		t.Errorf("known_hosts lines are %q", lines)
	}
	if lines := CertAuthority(nil, "", a); len(lines) > 0 {
		t.Errorf("no patterns give %q, which is every host's", lines)
	}
	key, comment, _, rest, err := ssh.ParseAuthorizedKey(AuthorizedKeys("session-ca", a, b))
	if err != nil || comment != "session-ca" || !sameKey(key, a) || len(rest) == 0 {
		t.Errorf("TrustedUserCAKeys lines do not read back: %v", err)
	}
}
