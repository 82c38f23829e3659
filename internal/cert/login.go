package cert

import (
	"net/netip"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Critical options and extensions that some profile lists (PROTOCOL.certkeys).
const (
	optForceCommand   = "force-command"
	optSourceAddress  = "source-address"
	optVerifyRequired = "verify-required"

	extPTY             = "permit-pty"
	extAgentForwarding = "permit-agent-forwarding"
	extPortForwarding  = "permit-port-forwarding"
)

// Login asks for a login certificate, which says who somebody is to a proxy and
// to the CA. It carries no authority: its one principal is no account on any
// node, and it has no extension at all. The extensions speak to sshd, which
// never sees this certificate; OpenSSH's client reads none of them; and the
// proxy asks the CA what a connection may do.
type Login struct {
	Identity    id.Identity   // the one principal
	LoginID     id.LoginID    // this act of logging in, for the audit log
	Key         ssh.PublicKey // the person's
	Serial      id.Serial     // reserved in the database before
	ValidAfter  int64         // Unix seconds, see Window
	ValidBefore int64         // Unix seconds, at most MaxLogin after issuance

	// SourceAddress are the networks from which the certificate may be used;
	// none is everywhere.
	SourceAddress []netip.Prefix

	// VerifyRequired demands the authenticator's PIN or fingerprint at every
	// use. Only for security keys: sshd ignores it silently on any other.
	VerifyRequired bool
}

func (Login) Profile() Profile     { return LoginProfile }
func (Login) Limit() time.Duration { return MaxLogin }

// Derive implements Request.
func (r Login) Derive() (*ssh.Certificate, error) {
	const p = LoginProfile
	if _, err := id.ParseIdentity(string(r.Identity)); err != nil {
		return nil, refuse(p, "%v", err)
	}
	if _, err := id.ParseLoginID(string(r.LoginID)); err != nil {
		return nil, refuse(p, "%v", err)
	}
	if err := CheckKey(p, r.Key); err != nil {
		return nil, err
	}
	if err := checkFrame(p, uint64(r.Serial), r.ValidAfter, r.ValidBefore, MaxLogin); err != nil {
		return nil, err
	}
	critical := map[string]string{}
	if len(r.SourceAddress) > 0 {
		text, err := formatSources(r.SourceAddress)
		if err != nil {
			return nil, refuse(p, "%v", err)
		}
		critical[optSourceAddress] = text
	}
	if r.VerifyRequired {
		if !isSecurityKey(r.Key) {
			return nil, refuse(p, "verify-required means nothing on a %s key", r.Key.Type())
		}
		critical[optVerifyRequired] = ""
	}
	return checkSize(p, &ssh.Certificate{
		Key:             r.Key,
		Serial:          uint64(r.Serial),
		CertType:        ssh.UserCert,
		KeyId:           keyID("identity", string(r.Identity), "login", string(r.LoginID)),
		ValidPrincipals: []string{string(r.Identity)},
		ValidAfter:      uint64(r.ValidAfter),
		ValidBefore:     uint64(r.ValidBefore),
		Permissions:     ssh.Permissions{CriticalOptions: critical, Extensions: map[string]string{}},
	})
}

// ReadLogin reads the request back that c was derived from. It proves nothing
// about c's signature, CA or time: that is VerifyLogin.
func ReadLogin(c *ssh.Certificate) (Login, error) {
	r, err := loginFields(c)
	if err != nil {
		return Login{}, err
	}
	if err := same(r, c); err != nil {
		return Login{}, err
	}
	return r, nil
}

// loginFields is ReadLogin without the check that c has nothing else.
func loginFields(c *ssh.Certificate) (Login, error) {
	if c == nil {
		return Login{}, refuse(LoginProfile, "there is none")
	}
	var r Login
	values, err := readKeyID(c.KeyId, "identity", "login")
	if err != nil {
		return r, refuse(LoginProfile, "%v", err)
	}
	r = Login{
		Identity: id.Identity(values[0]), LoginID: id.LoginID(values[1]),
		Key: c.Key, Serial: id.Serial(c.Serial),
		ValidAfter: int64(c.ValidAfter), ValidBefore: int64(c.ValidBefore),
	}
	if text, ok := c.CriticalOptions[optSourceAddress]; ok {
		if r.SourceAddress, err = parseSources(text); err != nil {
			return Login{}, refuse(LoginProfile, "%v", err)
		}
	}
	_, r.VerifyRequired = c.CriticalOptions[optVerifyRequired]
	return r, nil
}
