package cert

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// A Draft is a certificate that was derived and linted, and may be signed once.
// Prepare is the only way to one, and Sign the only use of it, so that nothing
// can be signed that was not linted, and nothing twice. (The idea is boulder's
// issuance token.)
type Draft struct {
	profile Profile
	limit   time.Duration
	cert    *ssh.Certificate
	signed  []byte
	used    atomic.Bool
}

// Prepare derives r, gives it nonce (32 random bytes) and CA key, writes the
// bytes to sign, and lints those: read back, they are again exactly r.
func Prepare(r Request, nonce []byte, ca ssh.PublicKey) (*Draft, error) {
	c, err := r.Derive()
	if err != nil {
		return nil, err
	}
	if err := CheckAuthority(ca); err != nil {
		return nil, err
	}
	c.Nonce, c.SignatureKey = nonce, ca
	d := &Draft{profile: r.Profile(), limit: r.Limit(), cert: c, signed: encodeSigned(c)}

	// The lint reads a whole certificate. What stands after the signed bytes is
	// the signature alone; an empty one of the right form completes them.
	blank := appendSignature(slices.Clip(d.signed), &ssh.Signature{Format: ca.Type()})
	back, err := parse(blank)
	if err != nil {
		return nil, err
	}
	again, err := fields(d.profile, back)
	if err != nil {
		return nil, err
	}
	want, err := again.Derive()
	if err != nil {
		return nil, err
	}
	want.Nonce, want.SignatureKey = back.Nonce, back.SignatureKey
	if len(nonce) != nonceSize || !bytes.Equal(encodeSigned(want), d.signed) {
		return nil, errOther
	}
	return d, nil
}

// Profile names the CA key that may sign the draft.
func (d *Draft) Profile() Profile { return d.profile }

// Sign has sign make the signature over the draft's bytes and returns the
// certificate's wire form. The second call fails, also after a first that failed.
func (d *Draft) Sign(sign func(data []byte) (*ssh.Signature, error)) ([]byte, error) {
	if d == nil || d.cert == nil || d.used.Swap(true) {
		return nil, fault.New(fault.Internal, fault.ProfileRefused, "a draft is signed once")
	}
	sig, err := sign(d.signed)
	if err != nil {
		return nil, fmt.Errorf("sign a %s certificate: %w", d.profile, err)
	}
	return appendSignature(d.signed, sig), nil
}

// Serial of the draft.
func (d *Draft) Serial() uint64 { return d.cert.Serial }

// Validity is the draft's, from the first to the second.
func (d *Draft) Validity() (after, before time.Time) {
	return time.Unix(int64(d.cert.ValidAfter), 0), time.Unix(int64(d.cert.ValidBefore), 0)
}

// Limit is what the profile allows the draft's request, see Request.
func (d *Draft) Limit() time.Duration { return d.limit }
