package signer

import (
	"bytes"
	"crypto"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// PublicKeys are the CA keys as the world may know them. Of each, the first one
// signs; the others are trusted as well, because a rotation is under way. The
// zero PublicKeys trust nobody.
type PublicKeys struct {
	UserCA    []ssh.PublicKey // login certificates
	SessionCA []ssh.PublicKey // session certificates
	HostCA    []ssh.PublicKey // host certificates

	// Log is the verifier key of the audit log (audit.VerifierKey): its name, and
	// the key that signs its checkpoints and nothing else.
	Log string
}

// Of returns the keys of profile p's CA.
func (k PublicKeys) Of(p cert.Profile) []ssh.PublicKey {
	switch p {
	case cert.LoginProfile:
		return k.UserCA
	case cert.SessionProfile:
		return k.SessionCA
	case cert.HostProfile:
		return k.HostCA
	}
	return nil
}

// TrustedUserCAKeys is the content of the file that sshd_config's
// TrustedUserCAKeys names: the session CA, and never the user CA.
func (k PublicKeys) TrustedUserCAKeys() []byte {
	return cert.AuthorizedKeys("sallyport-session-ca", k.SessionCA...)
}

// KnownHosts are the @cert-authority lines of known_hosts for hosts that match
// one of patterns.
func (k PublicKeys) KnownHosts(patterns ...string) []byte {
	return cert.CertAuthority(patterns, "sallyport-host-ca", k.HostCA...)
}

// check refuses a set in which a CA has no key, or a key two jobs: a session
// certificate would then be a login certificate, and the other way round.
func (k PublicKeys) check() error {
	var seen [][]byte
	for _, p := range cert.Profiles() {
		if len(k.Of(p)) == 0 {
			return fault.New(fault.Invalid, fault.ConfigInvalid, "there is no CA key for %s certificates", p)
		}
		for _, key := range k.Of(p) {
			if err := cert.CheckAuthority(key); err != nil {
				return err
			}
			blob := key.Marshal()
			for _, other := range seen {
				if bytes.Equal(other, blob) {
					return fault.New(fault.Invalid, fault.ConfigInvalid, "CA key %s has two jobs", ssh.FingerprintSHA256(key))
				}
			}
			seen = append(seen, blob)
		}
	}
	if k.Log == "" {
		return fault.New(fault.Invalid, fault.ConfigInvalid, "there is no key for the audit log's checkpoints").
			Then("run: sallyport ca init, which adds it")
	}
	_, log, err := audit.ParseVerifierKey(k.Log)
	if err != nil {
		return fault.New(fault.Invalid, fault.ConfigInvalid, "the audit log's key: %v", err)
	}
	blob := ssh.Marshal(struct{ Kind, Key string }{ssh.KeyAlgoED25519, string(log)})
	for _, other := range seen {
		if bytes.Equal(other, blob) {
			return fault.New(fault.Invalid, fault.ConfigInvalid, "the audit log's key is a CA key, and has two jobs")
		}
	}
	return nil
}

func prints(keys []ssh.PublicKey) []string {
	var out []string
	for _, key := range keys {
		out = append(out, ssh.FingerprintSHA256(key))
	}
	return out
}

// A KeySource holds the three CA keys and the log's: Files, and later a PKCS#11 token or a
// cloud's KMS. It is opened before the fence closes; what its Signers do
// afterwards has to pass the fence.
type KeySource interface {
	// Public returns the keys of every profile, the signing one first.
	Public() PublicKeys

	// Signer returns the key that signs certificates of p, the first of
	// Public().Of(p). It is called once per profile; the signer itself is
	// called by several goroutines at once.
	Signer(p cert.Profile) (crypto.Signer, error)

	// Log returns the Ed25519 key of Public().Log. It is called once.
	Log() (crypto.Signer, error)
}

// authority is one profile's signing key.
type authority struct {
	public ssh.PublicKey
	signer ssh.Signer
}

// authorities takes every profile's signing key from source and sees that the
// private key belongs to the public one: with another, every certificate would
// be made, logged, and refused by all who get it.
func authorities(source KeySource) (map[cert.Profile]authority, error) {
	public := source.Public()
	if err := public.check(); err != nil {
		return nil, err
	}
	all := map[cert.Profile]authority{}
	for _, p := range cert.Profiles() {
		key, err := source.Signer(p)
		if err != nil {
			return nil, fmt.Errorf("open CA key for %s certificates: %w", p, err)
		}
		signer, err := ssh.NewSignerFromSigner(key)
		if err != nil {
			return nil, fmt.Errorf("open CA key for %s certificates: %w", p, err)
		}
		first := public.Of(p)[0]
		if !bytes.Equal(signer.PublicKey().Marshal(), first.Marshal()) {
			return nil, fault.New(fault.Invalid, fault.ConfigInvalid,
				"the private CA key for %s certificates does not belong to %s, the first of its public keys", p, ssh.FingerprintSHA256(first))
		}
		all[p] = authority{first, signer}
	}
	return all, nil
}
