package login

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/sshsig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/loginkey"
	"github.com/sallyport-ssh/sallyport/login/internal/signin"
)

// grant is what the CA gave, checked.
type grant struct {
	answer      wire.LoginResponse
	certificate *ssh.Certificate
}

// loginRequest ties t to key. A security key wants to be touched for it.
func (p *person) loginRequest(key loginkey.Key, t signin.Tokens) (wire.LoginRequest, error) {
	p.askForTouch(key.PublicKey())
	proof, err := sshsig.Sign(key, wire.NamespaceLogin, wire.LoginProof(t.ID))
	if err != nil {
		return wire.LoginRequest{}, fmt.Errorf("prove the login key: %w", err)
	}
	return wire.LoginRequest{
		IDToken: t.ID, AccessToken: t.Access, NonceSalt: t.Salt,
		PublicKey: key.PublicKey().Marshal(), Proof: proof,
	}, nil
}

// askForTouch says what a security key is waiting for.
func (p *person) askForTouch(key ssh.PublicKey) {
	if loginkey.IsSecurityKey(key) {
		fmt.Fprintln(p.env.Stderr, "Touch your security key.")
	}
}

// certify sends request, a LoginRequest or a RenewRequest, and checks what comes
// back: ssh would otherwise be the first to find out that it is of no use.
func certify(ctx context.Context, client *wire.Client, path string, request any, d wire.Discovery, key loginkey.Key) (*grant, error) {
	var g grant
	if err := client.Do(ctx, http.MethodPost, path, request, &g.answer); err != nil {
		return nil, err
	}
	bad := fault.New(fault.Internal, fault.CertificateInvalid, "the CA sent a certificate that is of no use").Then("tell whoever runs the CA")
	if _, err := id.ParseIdentity(string(g.answer.Identity)); err != nil {
		return nil, bad.Because(err)
	}
	parsed, err := ssh.ParsePublicKey(g.answer.Certificate)
	if err != nil {
		return nil, bad.Because(err)
	}
	c, ok := parsed.(*ssh.Certificate)
	switch {
	case !ok || c.CertType != ssh.UserCert:
		return nil, bad.Because(fmt.Errorf("%s is no login certificate", parsed.Type()))
	case !bytes.Equal(c.Key.Marshal(), key.PublicKey().Marshal()):
		return nil, bad.Because(fmt.Errorf("it is for another key"))
	case len(c.ValidPrincipals) != 1 || c.ValidPrincipals[0] != string(g.answer.Identity):
		return nil, bad.Because(fmt.Errorf("its principals are %q, not %s", c.ValidPrincipals, g.answer.Identity))
	case c.ValidBefore != uint64(g.answer.ValidBefore):
		return nil, bad.Because(fmt.Errorf("it ends at another time than the CA says"))
	}
	authorities, err := parseKeys(d.Trust.UserCA)
	if err != nil {
		return nil, bad.Because(err)
	}
	if !contains(authorities, c.SignatureKey) {
		return nil, bad.Because(fmt.Errorf("it is signed by another key than the CA's"))
	}
	checker := ssh.CertChecker{
		SupportedCriticalOptions: []string{"source-address", "verify-required"},
		// The signature alone: this machine's clock may be a minute off.
		Clock: func() time.Time { return time.Unix(int64(c.ValidAfter), 0) },
	}
	if err := checker.CheckCert(string(g.answer.Identity), c); err != nil {
		return nil, bad.Because(err)
	}
	g.certificate = c
	return &g, nil
}

// parseKeys reads authorized_keys lines. A certificate is nobody's CA key.
func parseKeys(lines []string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for _, line := range lines {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("read CA key: %w", err)
		}
		if _, is := key.(*ssh.Certificate); is {
			return nil, fmt.Errorf("read CA key: it is a certificate")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func contains(keys []ssh.PublicKey, key ssh.PublicKey) bool {
	for _, one := range keys {
		if bytes.Equal(one.Marshal(), key.Marshal()) {
			return true
		}
	}
	return false
}
