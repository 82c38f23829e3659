// Package issue is the one way to a certificate: a straight procedure in
// numbered steps, in the order that survives a crash at any point (as Let's
// Encrypt's CA does it). Logins, sessions and hosts all come through Issue.
//
// # Promises
//
// No certificate leaves Issue whose serial, subject, key and validity were not
// durable before it was signed, and whose bytes are not durable now. What was
// signed is exactly what was asked for: derived here, derived again by the
// signer, and compared. After a crash there may be serials without a
// certificate, and never a certificate without its serial.
package issue

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

// Signer signs what a request derives to, or refuses.
type Signer interface {
	// Sign returns the certificate that r derives to, signed by the CA key of
	// r's profile, or an error. It has linted r before it asked, and compared
	// every byte but the nonce with what came back.
	Sign(ctx context.Context, r cert.Request) (*ssh.Certificate, error)
}

// Results keeps what became of an intent.
type Results interface {
	// Complete stores the certificate of a serial, once, durably.
	Complete(ctx context.Context, serial id.Serial, blob []byte) error
}

// Reserve stores intents durably, all or none, and returns their serials in the
// same order. What else has to happen in that transaction (the token that is
// used up, the session's row) is its maker's business.
type Reserve func(ctx context.Context, intents []store.Intent) ([]id.Serial, error)

// Issuer issues certificates. The zero Issuer refuses.
type Issuer struct {
	signer  Signer
	results Results
}

// New makes an Issuer.
func New(signer Signer, results Results) *Issuer {
	return &Issuer{signer: signer, results: results}
}

// Certificate is an issued certificate.
type Certificate struct {
	Blob        []byte // wire form
	Serial      id.Serial
	ValidBefore int64
}

// Issue issues one certificate for each of requests, whose serials are 0.
func (i *Issuer) Issue(ctx context.Context, reserve Reserve, requests ...cert.Request) ([]Certificate, error) {
	if i.signer == nil {
		return nil, fault.New(fault.Unavailable, fault.SignerAway, "this CA cannot sign")
	}
	// 1. Refuse what its profile does not allow, before a serial is spent on it.
	intents := make([]store.Intent, len(requests))
	for n, r := range requests {
		c, err := withSerial(r, 1).Derive()
		if err != nil {
			return nil, err
		}
		intents[n] = intent(r, c)
	}

	// 2. Store serials and intents.
	serials, err := reserve(ctx, intents)
	if err != nil {
		return nil, err
	}
	if len(serials) != len(requests) {
		return nil, fmt.Errorf("reserve: %d serials for %d certificates", len(serials), len(requests))
	}

	out := make([]Certificate, len(requests))
	for n, r := range requests {
		if out[n], err = i.one(ctx, withSerial(r, serials[n])); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (i *Issuer) one(ctx context.Context, r cert.Request) (Certificate, error) {
	// 3. Lint, sign, compare: Sign does the first and the last on this side, and
	// the signer derives and lints for itself in its own process.
	signed, err := i.signer.Sign(ctx, r)
	if err != nil {
		return Certificate{}, fmt.Errorf("sign %s certificate: %w", r.Profile(), err)
	}
	// 4. Store the result. What cannot be stored is not handed out.
	blob := signed.Marshal()
	if err := i.results.Complete(ctx, id.Serial(signed.Serial), blob); err != nil {
		return Certificate{}, err
	}
	return Certificate{Blob: blob, Serial: id.Serial(signed.Serial), ValidBefore: int64(signed.ValidBefore)}, nil
}

// intent is what is stored of r before it is signed.
func intent(r cert.Request, c *ssh.Certificate) store.Intent {
	i := store.Intent{
		Profile: store.Profile(r.Profile()), Subject: subject(r), KeyPrint: ssh.FingerprintSHA256(c.Key),
		ValidAfter: int64(c.ValidAfter), ValidBefore: int64(c.ValidBefore), KeyID: c.KeyId,
	}
	if host, is := r.(cert.Host); is {
		i.Node, i.NodeID, i.Proxy = host.Name, host.Node, host.Proxy
	}
	return i
}

func subject(r cert.Request) string {
	switch r := r.(type) {
	case cert.Login:
		return string(r.Identity)
	case cert.Session:
		return string(r.Identity)
	case cert.Host:
		if r.Proxy != "" {
			return string(r.Proxy)
		}
		return string(r.Name)
	}
	return ""
}

func withSerial(r cert.Request, serial id.Serial) cert.Request {
	switch r := r.(type) {
	case cert.Login:
		r.Serial = serial
		return r
	case cert.Session:
		r.Serial = serial
		return r
	case cert.Host:
		r.Serial = serial
		return r
	}
	return refused{}
}

// refused stands for a kind of request that this package does not know.
type refused struct{}

func (refused) Profile() cert.Profile { return "" }
func (refused) Limit() time.Duration  { return 0 }
func (refused) Derive() (*ssh.Certificate, error) {
	return nil, fault.New(fault.Internal, fault.ProfileRefused, "no such certificate is issued here")
}
