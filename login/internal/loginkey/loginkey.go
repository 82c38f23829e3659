// Package loginkey is the key that a login certificate is for: made fresh at each
// login and kept in a file, or held by a FIDO2 security key.
//
// # Promises
//
// A key that we make is Ed25519, is never written anywhere but to its file (0600)
// and to ssh-agent, and in the agent it stands with the end of its certificate. A
// security key's private half never leaves it; what it signs, it signs through
// ssh-agent, with a touch.
package loginkey

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Key is a login key. Make it with New, Load or FromSecurityKey.
type Key struct {
	ssh.Signer
	// Private is nil for a security key.
	Private ed25519.PrivateKey
}

// New makes a key.
func New() (Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("make login key: %w", err)
	}
	return of(private)
}

func of(private ed25519.PrivateKey) (Key, error) {
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		return Key{}, fmt.Errorf("use login key: %w", err)
	}
	return Key{Signer: signer, Private: private}, nil
}

// Files returns the private and public files of the key, as ssh reads them.
func (k Key) Files(comment string) (private, public []byte, err error) {
	block, err := ssh.MarshalPrivateKey(k.Private, comment)
	if err != nil {
		return nil, nil, fmt.Errorf("encode login key: %w", err)
	}
	return pem.EncodeToMemory(block), Line(k.PublicKey(), comment), nil
}

// Line is key, or a certificate, as the one line of a .pub file.
func Line(key ssh.PublicKey, comment string) []byte {
	line := bytes.TrimSpace(ssh.MarshalAuthorizedKey(key))
	return append(line, " "+comment+"\n"...)
}

// Load returns the key whose private file, or whose security key's handle,
// stands at path. For a security key it asks agent.
func Load(path string, agent *Agent) (Key, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fault.New(fault.Unauthentic, fault.CertificateInvalid, "the login key %s cannot be read", path).Then("run: sallyport login").Because(err)
	}
	if raw, err := ssh.ParseRawPrivateKey(data); err == nil {
		if private, ok := raw.(*ed25519.PrivateKey); ok {
			return of(*private)
		}
	}
	public, err := readPublic(path)
	if err != nil || !IsSecurityKey(public) {
		return Key{}, fault.New(fault.Unauthentic, fault.CertificateInvalid, "%s is not a login key", path).Then("run: sallyport login").Because(err)
	}
	return FromSecurityKey(path, public, agent)
}

// readPublic reads the public half that stands beside the private file path.
func readPublic(path string) (ssh.PublicKey, error) {
	data, err := os.ReadFile(path + ".pub")
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	return key, err
}

// IsSecurityKey says whether key is held by a FIDO2 authenticator. A certificate
// is no key.
func IsSecurityKey(key ssh.PublicKey) bool {
	switch key.Type() {
	case ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return true
	}
	return false
}

// ReadCertificate reads a certificate from the content of its file.
func ReadCertificate(data []byte) (*ssh.Certificate, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	c, ok := key.(*ssh.Certificate)
	if !ok || c.CertType != ssh.UserCert {
		return nil, fmt.Errorf("read certificate: %s is none of a person's", strings.TrimSpace(key.Type()))
	}
	return c, nil
}
