package keyfile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"time"
)

const doorFile = "door.age"

// CreateDoorKey makes the TLS key of the parts' door and a certificate for it.
// Parts pin the key (wire: Discovery.Parts); names and dates of the certificate
// mean nothing to them, so it is self-signed and does not end. P-256 and not
// Ed25519, for load balancers and browsers that look at it.
func CreateDoorKey(dir string, pass Passphrase) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make door key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "sallyport parts' door"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, section 4.1.2.5
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make door certificate: %w", err)
	}
	text, err := encodeKey(key)
	if err != nil {
		return fmt.Errorf("write door key: %w", err)
	}
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	defer clear(text)
	return writeUnderPassphrase(filepath.Join(dir, doorFile), pass, text)
}

// LoadDoorKey returns the key that CreateDoorKey made, for tls.Config.
func LoadDoorKey(dir string, pass Passphrase) (tls.Certificate, error) {
	text, err := readUnderPassphrase(filepath.Join(dir, doorFile), pass)
	if err != nil {
		return tls.Certificate{}, err
	}
	defer clear(text)
	c, err := tls.X509KeyPair(text, text)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read door key: %w", err)
	}
	return c, nil
}
