package recording

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/sshsig"
)

// Trust is what a recording is verified against: public keys. HostCA must be
// there; without UserCA or SessionCA the certificates of that kind are not
// looked at.
type Trust struct {
	HostCA, UserCA, SessionCA []ssh.PublicKey
}

// CheckSeal checks that the proxy which s names has signed it: by the key that a
// host CA certified as that proxy's own, at a time at which the certificate was
// valid. The signature is by the plain key, never by a certificate.
func CheckSeal(s *Seal, hostCAs []ssh.PublicKey) error {
	refuse := func(what string, err error) error {
		return &DamageError{How: Forged, Where: "seal", What: what, Err: err}
	}
	if len(hostCAs) == 0 {
		return refuse("there is no host CA to check it against", nil)
	}
	c, err := parseCertificate(s.Certificate)
	if err != nil {
		return refuse("its certificate is malformed", err)
	}
	r, err := cert.ReadHost(c)
	if err != nil {
		return refuse("its certificate is no host certificate", err)
	}
	// A proxy that answers under a node's name has that name's certificate, too.
	if r.Proxy == "" || r.Node != "" || r.Proxy != s.Proxy {
		return refuse(fmt.Sprintf("its certificate is not proxy %q's own", s.Proxy), nil)
	}
	if len(c.ValidPrincipals) == 0 {
		return refuse("its certificate names no host", nil)
	}
	if err := cert.VerifyHost(c, hostCAs, c.ValidPrincipals[0], time.UnixMicro(s.Sealed)); err != nil {
		return refuse("its certificate does not hold", err)
	}
	if err := sshsig.Verify(s.Signature, c.Key, SealNamespace, s.Text); err != nil {
		return refuse("its signature is wrong", err)
	}
	return nil
}

func parseCertificate(b []byte) (*ssh.Certificate, error) {
	key, err := ssh.ParsePublicKey(b)
	if err != nil {
		return nil, err
	}
	c, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, errors.New("it is a plain key")
	}
	return c, nil
}

// skew is how far the clocks of the CA and the proxy may differ.
const skew = 5 * time.Minute

// check holds the certificates in m to the CAs and to what else m says: a proxy
// cannot name somebody for whom nobody has signed.
func (t Trust) check(m Meta) error {
	if len(t.UserCA) > 0 {
		if err := t.checkLogin(m); err != nil {
			return &DamageError{How: Misnamed, Where: "header", What: "the login certificate does not show who this was", Err: err}
		}
	}
	if len(t.SessionCA) > 0 {
		if err := t.checkSession(m); err != nil {
			return &DamageError{How: Misnamed, Where: "header", What: "the session certificate does not show what this was", Err: err}
		}
	}
	return nil
}

func (t Trust) checkLogin(m Meta) error {
	c, err := parseCertificate(m.LoginCertificate)
	if err != nil {
		return err
	}
	r, err := cert.ReadLogin(c)
	if err != nil {
		return err
	}
	if r.Identity != m.Identity {
		return fmt.Errorf("it is of %s, not of %s", r.Identity, m.Identity)
	}
	client, err := netip.ParseAddrPort(m.Client)
	if err != nil {
		return fmt.Errorf("read client's address: %w", err)
	}
	return cert.VerifyLogin(c, t.UserCA, within(c, time.UnixMicro(m.Started)), client.Addr().Unmap())
}

func (t Trust) checkSession(m Meta) error {
	c, err := parseCertificate(m.SessionCertificate)
	if err != nil {
		return err
	}
	r, err := cert.ReadSession(c)
	if err != nil {
		return err
	}
	if r.Session != m.Session || r.Identity != m.Identity || r.Login != m.Login || r.Node != m.NodeID || r.Revision != m.Revision {
		return fmt.Errorf("it is for session %s of %s as %s on %s", r.Session, r.Identity, r.Login, r.Node)
	}
	return cert.VerifySession(c, t.SessionCA, within(c, time.UnixMicro(m.Started)))
}

// within is the time at which a certificate has to be valid, which may be skew
// away from at.
func within(c *ssh.Certificate, at time.Time) time.Time {
	after, before := time.Unix(int64(c.ValidAfter), 0), time.Unix(int64(c.ValidBefore), 0)
	if at.Before(after) && after.Sub(at) <= skew {
		return after
	}
	if last := before.Add(-time.Second); at.After(last) && at.Sub(last) <= skew {
		return last
	}
	return at
}
