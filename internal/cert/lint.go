package cert

import (
	"bytes"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Read reads c back into the request of profile p that derives to it: ReadLogin,
// ReadSession or ReadHost.
func Read(p Profile, c *ssh.Certificate) (Request, error) {
	r, err := fields(p, c)
	if err != nil {
		return nil, err
	}
	if err := same(r, c); err != nil {
		return nil, err
	}
	return r, nil
}

func fields(p Profile, c *ssh.Certificate) (r Request, err error) {
	switch p {
	case LoginProfile:
		r, err = loginFields(c)
	case SessionProfile:
		r, err = sessionFields(c)
	case HostProfile:
		r, err = hostFields(c)
	default:
		return nil, refuse(p, "there is no such profile")
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Parse reads exactly one certificate from its wire form, and refuses what is
// not written the one way that it can be: trailing bytes, options out of order,
// numbers with leading zeros. Two readers can then not differ about it.
func Parse(blob []byte) (*ssh.Certificate, error) {
	c, err := parse(blob)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(c.Marshal(), blob) {
		return nil, invalid("the certificate is not in its canonical form")
	}
	return c, nil
}

func parse(blob []byte) (*ssh.Certificate, error) {
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
	return c, nil
}

// Lint checks the exact bytes of a certificate: that they are what some request
// of profile p derives to, and that ca signed them. It returns the certificate.
// Faults have reason certificate_invalid where the bytes are no certificate or
// the signature is wrong, and profile_refused or key_refused otherwise.
func Lint(p Profile, blob []byte, ca ssh.PublicKey) (*ssh.Certificate, error) {
	c, err := parse(blob)
	if err != nil {
		return nil, err
	}
	r, err := fields(p, c)
	if err != nil {
		return nil, err
	}
	want, err := r.Derive()
	if err != nil {
		return nil, err
	}
	if err := check(want, c, blob, ca); err != nil {
		return nil, err
	}
	return c, nil
}

// Check is Lint for who asked for the certificate, and so knows r: it must be
// what r derives to, and nothing that another request would.
func Check(r Request, blob []byte, ca ssh.PublicKey) (*ssh.Certificate, error) {
	want, err := r.Derive()
	if err != nil {
		return nil, err
	}
	c, err := parse(blob)
	if err != nil {
		return nil, err
	}
	if err := check(want, c, blob, ca); err != nil {
		return nil, err
	}
	return c, nil
}

// check compares the bytes of c, which blob is, with those of want under c's
// nonce and signature, and verifies the signature by ca.
func check(want, c *ssh.Certificate, blob []byte, ca ssh.PublicKey) error {
	if err := CheckAuthority(ca); err != nil {
		return err
	}
	want.Nonce, want.SignatureKey = c.Nonce, ca
	signed := encodeSigned(want)
	if len(c.Nonce) != nonceSize || !bytes.Equal(appendSignature(signed, c.Signature), blob) {
		if !sameKey(c.SignatureKey, ca) {
			return invalid("another CA signed the certificate")
		}
		return errOther
	}
	return checkSignature(c, signed)
}

// same derives r again, and refuses c if anything but the nonce, CA key and
// signature differs. The nonce's value is the signer's to choose.
func same(r Request, c *ssh.Certificate) error {
	want, err := r.Derive()
	if err != nil {
		return err
	}
	if c.SignatureKey == nil {
		return errOther
	}
	want.Nonce, want.SignatureKey = c.Nonce, c.SignatureKey
	if len(c.Nonce) != nonceSize || !bytes.Equal(encodeSigned(want), encodeSigned(c)) {
		return errOther
	}
	return nil
}

// errOther is the fault of a certificate that no request, or not the one at
// hand, derives to.
var errOther = fault.New(fault.Invalid, fault.ProfileRefused,
	"the certificate carries more, less or other than its profile derives")

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

// checkSignature verifies c's signature over signed, by c.SignatureKey.
func checkSignature(c *ssh.Certificate, signed []byte) error {
	if c.Signature == nil || len(c.Signature.Rest) > 0 {
		return invalid("the certificate's signature is malformed")
	}
	if err := c.SignatureKey.Verify(signed, c.Signature); err != nil {
		return invalid("the certificate's signature is wrong").Because(err)
	}
	return nil
}

func sameKey(a, b ssh.PublicKey) bool {
	return a != nil && b != nil && bytes.Equal(a.Marshal(), b.Marshal())
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Unauthentic, fault.CertificateInvalid, format, args...)
}
