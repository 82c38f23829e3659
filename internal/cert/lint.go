package cert

import (
	"bytes"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Read reads c back into a request of profile p: ReadLogin, ReadSession or
// ReadHost.
func Read(p Profile, c *ssh.Certificate) (Request, error) {
	if c == nil {
		return nil, refuse(p, "there is none")
	}
	switch p {
	case LoginProfile:
		return ReadLogin(c)
	case SessionProfile:
		return ReadSession(c)
	case HostProfile:
		return ReadHost(c)
	}
	return nil, refuse(p, "no profile is called %q", string(p))
}

// Parse reads exactly one certificate from its wire form, and refuses what is
// not written the one way that it can be: trailing bytes, options out of order,
// numbers with leading zeros. Two readers can then not differ about it.
func Parse(blob []byte) (*ssh.Certificate, error) {
	if len(blob) > MaxSize {
		return nil, invalid("the certificate is larger than %d bytes", MaxSize)
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, invalid("the certificate is malformed").Because(err)
	}
	c, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, invalid("a plain %s key is no certificate", key.Type())
	}
	if !bytes.Equal(c.Marshal(), blob) {
		return nil, invalid("the certificate is not in its canonical form")
	}
	return c, nil
}

// Lint checks the exact bytes of a certificate: that they are what some request
// of profile p derives to, and that ca signed them. It returns the certificate.
// Faults have reason certificate_invalid where the bytes are no certificate or
// the signature is wrong, and profile_refused or key_refused otherwise.
func Lint(p Profile, blob []byte, ca ssh.PublicKey) (*ssh.Certificate, error) {
	c, err := Parse(blob)
	if err != nil {
		return nil, err
	}
	if _, err := Read(p, c); err != nil {
		return nil, err
	}
	if err := CheckAuthority(ca); err != nil {
		return nil, err
	}
	if !sameKey(c.SignatureKey, ca) {
		return nil, invalid("another CA signed the certificate")
	}
	return c, checkSignature(c)
}

// same derives r again, and refuses c if anything but the nonce, CA key and
// signature differs. The nonce's length is the signer's to choose, and it
// chooses 32.
func same(p Profile, r Request, c *ssh.Certificate) error {
	want, err := r.Derive()
	if err != nil {
		return err
	}
	if len(c.Nonce) != nonceSize {
		return refuse(p, "its nonce has %d bytes and not %d", len(c.Nonce), nonceSize)
	}
	return Equal(p, want, c)
}

// Equal refuses got if it differs from want in anything but Nonce, SignatureKey
// and Signature.
func Equal(p Profile, want, got *ssh.Certificate) error {
	if !bytes.Equal(body(want), body(got)) {
		return refuse(p, "it carries more, less or other than its profile derives")
	}
	return nil
}

// noKey stands where a certificate has no CA key yet, for Marshal needs one.
type noKey struct{ ssh.PublicKey }

func (noKey) Marshal() []byte { return nil }

// body is the wire form of c without nonce, CA key and signature.
func body(c *ssh.Certificate) []byte {
	bare := *c
	bare.Nonce, bare.SignatureKey, bare.Signature = nil, noKey{}, nil
	return bare.Marshal()
}

// CheckAuthority refuses what can be no CA key: nothing, a certificate (the
// class of CVE-2025-49825), and keys whose signatures a profile has no place
// for.
func CheckAuthority(ca ssh.PublicKey) error {
	if ca == nil {
		return invalid("there is no CA key")
	}
	if _, ok := ca.(*ssh.Certificate); ok {
		return invalid("the certificate is signed by a certificate")
	}
	switch ca.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	}
	return invalid("a key of type %s is no CA key", ca.Type())
}

// checkSignature verifies c's signature by c.SignatureKey.
func checkSignature(c *ssh.Certificate) error {
	if c.Signature == nil || len(c.Signature.Rest) > 0 {
		return invalid("the certificate's signature is malformed")
	}
	if err := c.SignatureKey.Verify(signedBytes(c), c.Signature); err != nil {
		return invalid("the certificate's signature is wrong").Because(err)
	}
	return nil
}

// signedBytes is the part of c's wire form that the signature covers: all but
// the signature, which stands last as a string (PROTOCOL.certkeys).
func signedBytes(c *ssh.Certificate) []byte {
	bare := *c
	bare.Signature = nil
	blob := bare.Marshal()
	return blob[:len(blob)-4]
}

func sameKey(a, b ssh.PublicKey) bool {
	return a != nil && b != nil && bytes.Equal(a.Marshal(), b.Marshal())
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Unauthentic, fault.CertificateInvalid, format, args...)
}
