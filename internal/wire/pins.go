package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Identity is a part's TLS key, in a self-signed certificate because Go's TLS
// has no raw public keys (RFC 7250). Its pin is all that counts.
type Identity struct {
	TLS tls.Certificate
}

// NewIdentity makes a P-256 key.
func NewIdentity() (Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Identity{}, fmt.Errorf("make TLS key: %w", err)
	}
	return identityOf(key)
}

func identityOf(key *ecdsa.PrivateKey) (Identity, error) {
	// The dates are wide and mean nothing: the pin is the identity.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sallyport part"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Identity{}, fmt.Errorf("wrap TLS key: %w", err)
	}
	return Identity{TLS: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}, nil
}

// LoadIdentity reads the key at path, and makes it (mode 0600) when there is
// none. A file that others may read is refused.
func LoadIdentity(path string) (Identity, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createIdentity(path)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("read identity key: %w", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode()&0o077 != 0 {
		return Identity{}, fault.New(fault.Invalid, fault.ConfigInvalid, "identity key %s can be read by others", path).Then("run: chmod 600 %s", path)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return Identity{}, fault.New(fault.Invalid, fault.ConfigInvalid, "identity key %s is not PEM", path)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return Identity{}, fmt.Errorf("parse identity key %s: %w", path, err)
	}
	return identityOf(key)
}

func createIdentity(path string) (Identity, error) {
	identity, err := NewIdentity()
	if err != nil {
		return Identity{}, err
	}
	der, err := x509.MarshalECPrivateKey(identity.TLS.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		return Identity{}, fmt.Errorf("encode identity key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return Identity{}, fmt.Errorf("store identity key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return Identity{}, fmt.Errorf("store identity key: %w", err)
	}
	err = pem.Encode(f, &pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return Identity{}, fmt.Errorf("store identity key: %w", err)
	}
	return identity, nil
}

// Pin is the SHA-256 of the key's SubjectPublicKeyInfo.
func (i Identity) Pin() []byte {
	leaf, err := x509.ParseCertificate(i.TLS.Certificate[0])
	if err != nil {
		return nil
	}
	return PinOf(leaf)
}

// PinOf is the pin of a TLS peer's certificate.
func PinOf(leaf *x509.Certificate) []byte {
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return sum[:]
}

type pinError struct{ got string }

func (e *pinError) Error() string { return "TLS key " + e.got + " is not the pinned one" }

// NewPartsClient speaks to the parts' door. pin is PartsDoor.Pin; an empty pin
// trusts nobody.
func NewPartsClient(door PartsDoor, identity Identity) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(door.URL, "/"))
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "%q is not the address of a parts' door", door.URL).Then("it looks like https://access.example.com:7443")
	}
	want, err := hex.DecodeString(door.Pin)
	if err != nil || len(want) != sha256.Size {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "the pin of %s is not a SHA-256 in hex", base.Host)
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		TLSClientConfig: &tls.Config{
			MinVersion:   tls.VersionTLS13,
			Certificates: []tls.Certificate{identity.TLS},
			// Names and chains mean nothing at this door; VerifyConnection
			// below runs on every handshake and is the whole check.
			InsecureSkipVerify: true,
			VerifyConnection: func(s tls.ConnectionState) error {
				got := PinOf(s.PeerCertificates[0])
				if subtle.ConstantTimeCompare(got, want) != 1 {
					return &pinError{hex.EncodeToString(got)}
				}
				return nil
			},
		},
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     5 * time.Minute,
	}
	return &Client{base: base, http: &http.Client{Transport: transport, CheckRedirect: noRedirect}}, nil
}

// PartsTLS is the server's side of the parts' door: any client key is let in to
// the handshake, and the route table asks whose it is.
func PartsTLS(identity Identity) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{identity.TLS},
		ClientAuth:   tls.RequireAnyClientCert,
		NextProtos:   []string{"h2", "http/1.1"},
	}
}
