// Package cert holds the three certificate profiles of Sallyport (DESIGN,
// section 2): login, session and host. For each it derives the certificate from
// a request's typed fields, and lints exact bytes against what the profile
// allows. The CA and its signer both derive and lint, apart from each other;
// nothing is signed that only one of them understood.
//
// Fields follow draft-ietf-sshm-cert and OpenSSH's PROTOCOL.certkeys. Options
// are sorted and unique, each value is a string within a string.
//
// # How the lint works
//
// There is one description of each profile, Derive. Lint reads a certificate
// back into the request that it would have come from, derives again, and
// compares bytes. A certificate passes only if some legal request derives to
// exactly it, so that a field nobody thought of (an extension more, bytes in
// Reserved, a principal more) cannot pass for want of a check.
//
// # Promises
//
// No certificate without exactly the principals of its profile, with serial 0,
// with an option its profile does not list, with a validity beyond its profile's
// limit or signed by another than its profile's CA key passes Lint. Zero values
// derive nothing. The package is pure: the caller brings the time.
package cert

import (
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Profile says what a certificate is for, and so which CA key signs it: the
// user CA login certificates, the session CA session certificates, the host CA
// host certificates. The zero Profile is none.
type Profile string

const (
	LoginProfile   Profile = "login"
	SessionProfile Profile = "session"
	HostProfile    Profile = "host"
)

// Profiles in the order of DESIGN, section 2.
func Profiles() []Profile { return []Profile{LoginProfile, SessionProfile, HostProfile} }

// Limits of every profile.
const (
	// Backdate is how far ValidAfter lies before the moment of issuance, for
	// clocks that are behind the CA's. It is not counted against a limit.
	Backdate = time.Minute

	MaxLogin   = 24 * time.Hour
	MaxSession = time.Minute
	MaxHost    = 7 * 24 * time.Hour
	// MaxStandIn is for the certificate by which a proxy answers under a
	// node's name (Host.Proxy and Host.Node both set).
	MaxStandIn = 24 * time.Hour

	MaxSize       = 16 << 10 // bytes of a certificate on the wire
	MaxPrincipals = 256      // OpenSSH's SSHKEY_CERT_MAX_PRINCIPALS
	nonceSize     = 32
)

// A Request is what the CA asks the signer for: Login, Session or Host.
type Request interface {
	Profile() Profile

	// Limit is the longest validity that the profile allows this request,
	// Backdate not counted.
	Limit() time.Duration

	// Derive makes the certificate without Nonce, SignatureKey and Signature.
	// Anything that the profile does not allow, and any zero value that a
	// certificate cannot do without, is a fault with reason profile_refused (or
	// key_refused, where it is the key).
	Derive() (*ssh.Certificate, error)
}

// Window returns ValidAfter and ValidBefore, in Unix seconds, of a certificate
// that is issued at now for lifetime.
func Window(now time.Time, lifetime time.Duration) (after, before int64) {
	return now.Add(-Backdate).Unix(), now.Add(lifetime).Unix()
}

// lifetime is what Window was given, read back from a certificate: its
// validity without the backdating.
func lifetime(after, before int64) time.Duration {
	return time.Duration(before-after)*time.Second - Backdate
}

// refuse is the fault of a request that its profile does not allow.
func refuse(p Profile, format string, args ...any) *fault.Error {
	f := fault.New(fault.Invalid, fault.ProfileRefused, format, args...)
	f.Text = "no " + string(p) + " certificate: " + f.Text
	return f
}

// checkFrame refuses what no profile allows: serial 0 (OpenSSH cannot revoke
// it), and a validity that is empty, or longer than limit and Backdate.
func checkFrame(p Profile, serial uint64, after, before int64, limit time.Duration) error {
	switch {
	case serial == 0:
		return refuse(p, "serial 0 cannot be revoked")
	case after <= 0:
		return refuse(p, "it has no beginning")
	case before <= after:
		return refuse(p, "it would end before it begins")
	case before-after > int64((limit+Backdate)/time.Second):
		return refuse(p, "a validity of %v is longer than %v", lifetime(after, before), limit)
	}
	return nil
}

// checkSize refuses a derived certificate that would not fit MaxSize once it
// has its nonce, CA key and signature.
func checkSize(p Profile, c *ssh.Certificate) (*ssh.Certificate, error) {
	const rest = 512 // nonce, CA key and signature of Ed25519 or ECDSA, and lengths
	size := rest + len(c.Key.Marshal()) + len(c.KeyId)
	for _, name := range c.ValidPrincipals {
		size += 4 + len(name)
	}
	for name, value := range c.CriticalOptions {
		size += 12 + len(name) + len(value)
	}
	if size > MaxSize {
		return nil, refuse(p, "it would be larger than %d bytes", MaxSize)
	}
	return c, nil
}
