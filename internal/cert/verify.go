package cert

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// VerifyLogin says whether c is a login certificate of one of userCAs that may
// be used now from client. It is what the CA and the proxies ask; possession of
// the key is theirs to have proven.
//
// Refusals are certificate_invalid; outside of its validity, certificate_expired.
// The zero client is nowhere, and refused where the certificate names source
// addresses. To accept an expired certificate (renewal), pass a now within its
// validity.
//
// A certificate with verify-required is refused: x/crypto's server neither
// checks the authenticator's user-verified flag nor shows it to its caller, and
// a critical option that nobody carries out is one that is unknown.
func VerifyLogin(c *ssh.Certificate, userCAs []ssh.PublicKey, now time.Time, client netip.Addr) error {
	// Before anything else: x/crypto's CertChecker takes a certificate without
	// principals for everybody's.
	if c == nil || len(c.ValidPrincipals) == 0 {
		return invalid("the certificate names nobody")
	}
	if c.CertType != ssh.UserCert {
		return invalid("a host certificate is no login")
	}
	if err := verify(LoginProfile, c, userCAs); err != nil {
		return err
	}
	r, err := ReadLogin(c)
	if err != nil {
		return invalid("the certificate is no login certificate").Because(err)
	}
	if r.VerifyRequired {
		return invalid("the certificate wants a PIN at every use, which cannot be checked here")
	}
	if err := checkTime(c, now); err != nil {
		return err
	}
	if len(r.SourceAddress) > 0 && !matchSource(r.SourceAddress, client) {
		return invalid("the certificate may not be used from %v", client)
	}
	return nil
}

// VerifySession says whether c is a session certificate of one of sessionCAs that
// is valid now. A node's sshd asks this itself, with the address from which the
// proxy comes; here it is asked by who reads a recording later, so the source
// address is not looked at.
func VerifySession(c *ssh.Certificate, sessionCAs []ssh.PublicKey, now time.Time) error {
	if c == nil || len(c.ValidPrincipals) == 0 {
		return invalid("the certificate opens nothing")
	}
	if c.CertType != ssh.UserCert {
		return invalid("a host certificate opens no session")
	}
	if err := verify(SessionProfile, c, sessionCAs); err != nil {
		return err
	}
	if _, err := ReadSession(c); err != nil {
		return invalid("the certificate is no session certificate").Because(err)
	}
	return checkTime(c, now)
}

// VerifyHost says whether c is a host certificate of one of hostCAs that proves
// name (a host name or an address, without port) now. It takes a node's own
// certificate and a proxy's; to dial a node use VerifyNode.
func VerifyHost(c *ssh.Certificate, hostCAs []ssh.PublicKey, name string, now time.Time) error {
	_, err := verifyHost(c, hostCAs, name, now)
	return err
}

// VerifyNode says whether c is node's own host certificate and proves name now.
// A proxy's certificate for the name is refused, and so is the certificate of a
// node that had the name before.
func VerifyNode(c *ssh.Certificate, hostCAs []ssh.PublicKey, name id.NodeName, node id.Node, now time.Time) error {
	r, err := verifyHost(c, hostCAs, string(name), now)
	if err != nil {
		return err
	}
	if r.Proxy != "" {
		return invalid("host %s shows a certificate of proxy %s", name, r.Proxy)
	}
	if r.Node != node || node == "" {
		return invalid("host %s shows the certificate of another node, %s", name, r.Node)
	}
	return nil
}

func verifyHost(c *ssh.Certificate, hostCAs []ssh.PublicKey, name string, now time.Time) (Host, error) {
	if c == nil || len(c.ValidPrincipals) == 0 {
		return Host{}, invalid("the host certificate names no host")
	}
	if c.CertType != ssh.HostCert {
		return Host{}, invalid("a person's certificate is no host's")
	}
	if err := verify(HostProfile, c, hostCAs); err != nil {
		return Host{}, err
	}
	r, err := ReadHost(c)
	if err != nil {
		return Host{}, invalid("the certificate is no host certificate").Because(err)
	}
	if err := checkTime(c, now); err != nil {
		return Host{}, err
	}
	if name == "" || !slices.Contains(c.ValidPrincipals, name) {
		return Host{}, invalid("the host certificate is not for %q", name)
	}
	return r, nil
}

// verify checks keys, size, CA and signature. The keys come first: Marshal
// panics on a kind of key that has no certificates, and a certificate in the
// place of a key would verify and marshal as if it were one.
func verify(p Profile, c *ssh.Certificate, cas []ssh.PublicKey) error {
	if err := CheckKey(p, c.Key); err != nil {
		return invalid("%s", fault.Of(err).Text)
	}
	if err := CheckAuthority(c.SignatureKey); err != nil {
		return err
	}
	signed := encodeSigned(c)
	if len(signed)+len(appendSignature(nil, c.Signature)) > MaxSize {
		return invalid("the certificate is larger than %d bytes", MaxSize)
	}
	if !slices.ContainsFunc(cas, func(ca ssh.PublicKey) bool { return sameKey(ca, c.SignatureKey) }) {
		return invalid("another CA signed the certificate")
	}
	return checkSignature(c, signed)
}

// checkTime says which clock is meant, because the usual cause is a wrong one.
func checkTime(c *ssh.Certificate, now time.Time) error {
	unix := now.Unix()
	if unix < 0 || uint64(unix) < c.ValidAfter {
		return fault.New(fault.Unauthentic, fault.CertificateExpired,
			"the certificate is not yet valid: the clock here says %s, it begins %s",
			stamp(unix), stamp(int64(c.ValidAfter))).Then("compare the clocks of both machines")
	}
	if uint64(unix) >= c.ValidBefore {
		return fault.New(fault.Unauthentic, fault.CertificateExpired,
			"the certificate ended %s", stamp(int64(c.ValidBefore)))
	}
	return nil
}

func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
