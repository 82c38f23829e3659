package people

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/idtoken"
	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/ca/internal/testissuer"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/sshsig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// entrance is a world with an issuer.
type entrance struct {
	*world
	issuer *testissuer.Issuer
}

func newEntrance(t *testing.T, change ...func(*Config)) *entrance {
	t.Helper()
	i := testissuer.New(t)
	tokens := idtoken.New(idtoken.Config{
		People: idtoken.People{Issuer: i.URL, ClientID: testissuer.ClientID, NameClaim: "email", GroupsClaim: "groups", Userinfo: idtoken.UserinfoAuto},
		Log:    slog.New(slog.DiscardHandler), Now: time.Now,
	})
	return &entrance{newWorld(t, append(change, func(c *Config) { c.Tokens = tokens })...), i}
}

// ask is a login request for key with a token that has these claims changed.
func (e *entrance) ask(key ssh.Signer, change map[string]any) wire.LoginRequest {
	e.t.Helper()
	salt := make([]byte, wire.NonceSaltSize)
	rand.Read(salt)
	public := key.PublicKey().Marshal()
	token := e.issuer.Sign(testissuer.With(e.issuer.Claims(wire.Nonce(public, salt)), change))
	proof, err := sshsig.Sign(key, wire.NamespaceLogin, wire.LoginProof(token))
	if err != nil {
		e.t.Fatal(err)
	}
	return wire.LoginRequest{IDToken: token, PublicKey: public, NonceSalt: salt, Proof: proof}
}

func (e *entrance) login(in wire.LoginRequest) (out wire.LoginResponse, err error) {
	e.t.Helper()
	err = e.anyone("POST", wire.PathLogin, in, &out)
	return out, err
}

func (e *entrance) anyone(method, path string, in, out any) error {
	c, err := wire.NewClient(e.url)
	if err != nil {
		e.t.Fatal(err)
	}
	return c.Do(e.t.Context(), method, path, in, out)
}

func TestALoginCertificateIsWhatItsProfileSays(t *testing.T) {
	e := newEntrance(t, func(c *Config) { c.SourceAddress = true })
	key := testca.Key(t)
	out, err := e.login(e.ask(key, nil))
	if err != nil {
		t.Fatal(err)
	}
	c, err := cert.Lint(cert.LoginProfile, out.Certificate, e.Keys[cert.LoginProfile].PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if c.ValidPrincipals[0] != "ann@example.com" || out.Identity != "ann@example.com" || len(c.Extensions) != 0 {
		t.Errorf("principals %v, extensions %v", c.ValidPrincipals, c.Extensions)
	}
	if got := c.CriticalOptions["source-address"]; got != "127.0.0.1" {
		t.Errorf("source-address %q", got)
	}
	if d := time.Unix(out.ValidBefore, 0).Sub(time.Now()); d > 8*time.Hour || d < 8*time.Hour-time.Minute {
		t.Errorf("valid for %v", d)
	}
	if out.Nodes == nil {
		t.Error("no list of nodes: an empty one says that there are none")
	}
}

func TestATokenLogsInOnce(t *testing.T) {
	e := newEntrance(t)
	key := testca.Key(t)
	in := e.ask(key, nil)
	first, err := e.login(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.login(in); fault.ReasonOf(err) != fault.TokenReplayed {
		t.Errorf("again: %v", err)
	}
	if err := e.anyone("POST", wire.PathRenew, wire.RenewRequest{LoginRequest: in, Certificate: first.Certificate}, nil); fault.ReasonOf(err) != fault.TokenReplayed {
		t.Errorf("as a renewal: %v", err)
	}
	// A refreshed token that still carries the nonce is another token, and no login.
	fresh := e.ask(key, nil)
	again := in
	again.IDToken = e.issuer.Sign(testissuer.With(e.issuer.Claims(""), map[string]any{"nonce": wire.Nonce(in.PublicKey, in.NonceSalt)}))
	again.Proof = mustProve(t, key, again.IDToken)
	if _, err := e.login(again); fault.ReasonOf(err) != fault.TokenReplayed {
		t.Errorf("its nonce in another token: %v", err)
	}
	if _, err := e.login(fresh); err != nil {
		t.Errorf("a new login with the same key: %v", err)
	}
}

func mustProve(t *testing.T, key ssh.Signer, token string) []byte {
	t.Helper()
	proof, err := sshsig.Sign(key, wire.NamespaceLogin, wire.LoginProof(token))
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func TestANameNeverMovesToAnotherSubject(t *testing.T) {
	e := newEntrance(t)
	if _, err := e.login(e.ask(testca.Key(t), nil)); err != nil {
		t.Fatal(err)
	}
	_, err := e.login(e.ask(testca.Key(t), map[string]any{"sub": "somebody-else"}))
	if fault.ReasonOf(err) != fault.TokenOtherIdentity {
		t.Errorf("got %v", err)
	}
}

func TestAKeyIsRefused(t *testing.T) {
	e := newEntrance(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	rsaSigner, _ := ssh.NewSignerFromKey(rsaKey)
	good := testca.Key(t)
	for name, public := range map[string][]byte{
		"that is none":             nil,
		"that is cut short":        good.PublicKey().Marshal()[:20],
		"with something behind it": append(good.PublicKey().Marshal(), 0),
		"of RSA":                   rsaSigner.PublicKey().Marshal(),
		"that is a certificate":    e.Login("x@example.com").Certificate,
	} {
		t.Run(name, func(t *testing.T) {
			in := e.ask(good, nil)
			in.PublicKey = public
			if _, err := e.login(in); fault.ReasonOf(err) != fault.KeyRefused {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("that is no security key, where one is required", func(t *testing.T) {
		e := newEntrance(t, func(c *Config) { c.Discovery.SecurityKeyRequired = true })
		if _, err := e.login(e.ask(good, nil)); fault.ReasonOf(err) != fault.KeyRefused {
			t.Errorf("got %v", err)
		}
	})
	t.Run("but not P-256", func(t *testing.T) {
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		signer, _ := ssh.NewSignerFromKey(key)
		if _, err := e.login(e.ask(signer, nil)); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestARenewal(t *testing.T) {
	e := newEntrance(t)
	key := testca.Key(t)
	first, err := e.login(e.ask(key, nil))
	if err != nil {
		t.Fatal(err)
	}
	refreshed := func(key ssh.Signer, change map[string]any) wire.LoginRequest {
		in := e.ask(key, nil)
		in.IDToken = e.issuer.Sign(testissuer.With(e.issuer.Claims(""), change))
		in.NonceSalt, in.Proof = nil, mustProve(t, key, in.IDToken)
		return in
	}
	renew := func(in wire.LoginRequest, certificate []byte) (out wire.LoginResponse, err error) {
		err = e.anyone("POST", wire.PathRenew, wire.RenewRequest{LoginRequest: in, Certificate: certificate}, &out)
		return out, err
	}
	bob, other := e.ask(testca.Key(t), map[string]any{"sub": "bob", "email": "bob@example.com"}), testca.Key(t)
	bobs, err := e.login(bob)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		reason      fault.Reason
		in          wire.LoginRequest
		certificate []byte
	}{
		"with another person's refresh":            {fault.TokenOtherIdentity, refreshed(key, map[string]any{"sub": "bob", "email": "bob@example.com"}), first.Certificate},
		"of another person's certificate":          {fault.TokenOtherIdentity, refreshed(key, nil), bobs.Certificate},
		"for another key":                          {fault.TokenOtherIdentity, refreshed(other, nil), first.Certificate},
		"without a certificate":                    {fault.CertificateInvalid, refreshed(key, nil), nil},
		"with a certificate that was made up":      {fault.CertificateInvalid, refreshed(key, nil), e.Forge(testca.Key(t), *parse(t, first.Certificate)).Marshal()},
		"with a token that the key did not sign":   {fault.ProofInvalid, unsigned(refreshed(key, nil)), first.Certificate},
		"with a name that moved to another one":    {fault.TokenOtherIdentity, refreshed(key, map[string]any{"sub": "evil"}), first.Certificate},
		"with an address that is verified no more": {fault.TokenClaims, refreshed(key, map[string]any{"email_verified": false}), first.Certificate},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := renew(row.in, row.certificate); fault.ReasonOf(err) != row.reason {
				t.Errorf("got %v (%s), want %s", err, fault.ReasonOf(err), row.reason)
			}
		})
	}
	again, err := renew(refreshed(key, map[string]any{"groups": []string{"ops"}}), first.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Groups) != 1 || again.Groups[0] != "ops" {
		t.Errorf("groups are those of the new token: %v", again.Groups)
	}
	if parse(t, again.Certificate).Serial <= parse(t, first.Certificate).Serial {
		t.Error("it has the old serial")
	}
}

func parse(t *testing.T, blob []byte) *ssh.Certificate {
	t.Helper()
	c, err := cert.Parse(blob)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func unsigned(in wire.LoginRequest) wire.LoginRequest {
	in.Proof = nil
	return in
}
