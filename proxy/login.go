package proxy

import (
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/proxy/internal/sshwire"
	"github.com/sallyport-ssh/sallyport/proxy/internal/voice"
)

// caller is who is connected, proven.
type caller struct {
	identity    id.Identity
	certificate *ssh.Certificate
	target      target
}

// login authenticates one connection. It is used by one goroutine, x/crypto's
// authentication loop.
type login struct {
	a      arrival
	trust  func() *trust
	now    func() time.Time
	proven func(caller) // called once, when possession of the key is proven

	told bool // a banner was sent; one is enough for an agent with ten keys
}

// config is the server's side of one connection: a login certificate, by public
// key, and nothing else.
func (l *login) config(identification []byte) *ssh.ServerConfig {
	c := &ssh.ServerConfig{
		Config:                    downstream(identification),
		ServerVersion:             sshwire.Version,
		PublicKeyAuthAlgorithms:   userKeys,
		MaxAuthTries:              20, // agents offer every key that they hold; the time is limited
		PublicKeyCallback:         l.offered,
		VerifiedPublicKeyCallback: l.verified,
	}
	for _, key := range l.a.host {
		c.AddHostKey(key)
	}
	return c
}

// offered is asked whether a key could do. It proves nothing: the client has not
// signed yet, and may not be able to.
func (l *login) offered(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	_, err := l.check(key)
	if err != nil {
		return nil, l.refuse(err)
	}
	return nil, nil
}

// verified decides: the client holds the key.
func (l *login) verified(meta ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
	certificate, err := l.check(key)
	if err != nil {
		return nil, l.refuse(err)
	}
	l.proven(caller{
		identity: identityOf(certificate), certificate: certificate,
		target: l.a.target(meta.User()),
	})
	return nil, nil
}

// check takes a login certificate of the user CA and nothing else, from where it
// may be used, of whom this connection is.
func (l *login) check(key ssh.PublicKey) (*ssh.Certificate, error) {
	certificate, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, fault.New(fault.Unauthentic, fault.CertificateInvalid, "a plain key opens nothing here")
	}
	if err := cert.VerifyLogin(certificate, l.trust().userCAs, l.now(), l.a.client.Addr()); err != nil {
		return nil, err
	}
	who := identityOf(certificate)
	if l.a.announced != "" && who != l.a.announced || l.a.outer != "" && who != l.a.outer {
		return nil, fault.New(fault.Unauthentic, fault.CertificateInvalid, "the certificate is %s's, and the connection somebody else's", who)
	}
	return certificate, nil
}

// identityOf is the one principal of a verified login certificate.
func identityOf(c *ssh.Certificate) id.Identity { return id.Identity(c.ValidPrincipals[0]) }

// refuse tells the client once why its key did not do, in a banner, which
// OpenSSH prints.
func (l *login) refuse(err error) error {
	f := fault.Of(err)
	if l.told {
		return f
	}
	l.told = true
	if f.Next == "" {
		f = f.Then("run: sallyport login")
	}
	return &ssh.BannerError{Err: f, Message: voice.Line(f) + "\r\n"}
}
