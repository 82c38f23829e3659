// Package holder says who holds a login certificate. Both doors ask it: the
// people's for every proven request, the parts' for every session.
//
// # Promises
//
// A certificate counts only if one of the user CAs signed it, it is a login
// certificate and nothing else, it is within its time, it is used from where it
// may be used, the store has this very certificate as handed out, and it was
// not revoked. The last two are asked of the database each time, so that a
// revocation counts everywhere at once; and whoever steals the user CA's key
// still has no certificate of which this CA has a record.
//
// Possession of the certified key is for the caller to have proven.
package holder

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

// Records are what the store knows.
type Records interface {
	// Certificate returns what was stored of a serial; a fault of kind Missing
	// when it was never reserved.
	Certificate(ctx context.Context, serial id.Serial) (store.Certificate, error)
	// Identity returns somebody as their issuer last described them; a fault of
	// kind Missing when they never logged in.
	Identity(ctx context.Context, name id.Identity) (store.Identity, error)
}

// Checker verifies login certificates. The zero Checker refuses all.
type Checker struct {
	records Records
	userCAs []ssh.PublicKey
	now     func() time.Time
}

// New makes a Checker that trusts userCAs.
func New(records Records, userCAs []ssh.PublicKey, now func() time.Time) *Checker {
	return &Checker{records: records, userCAs: userCAs, now: now}
}

// Holder is who a valid login certificate speaks for.
type Holder struct {
	Login    cert.Login
	Identity store.Identity
}

// Subject is the holder as policy sees them.
func (h Holder) Subject() policy.Subject {
	return policy.Subject{Identity: h.Identity.Name, Groups: h.Identity.Groups, Claims: h.Identity.Claims}
}

// Check verifies c as it is used now from the address from.
func (k *Checker) Check(ctx context.Context, c *ssh.Certificate, from netip.Addr) (Holder, error) {
	if k.records == nil {
		return Holder{}, refuse("no certificate is known here")
	}
	if err := cert.VerifyLogin(c, k.userCAs, k.now(), from); err != nil {
		return Holder{}, advise(err)
	}
	return k.lookUp(ctx, c)
}

// CheckEnded is Check for a renewal: the certificate may have ended, by at most
// grace.
func (k *Checker) CheckEnded(ctx context.Context, c *ssh.Certificate, from netip.Addr, grace time.Duration) (Holder, error) {
	if k.records == nil || c == nil {
		return Holder{}, refuse("no certificate is known here")
	}
	now := k.now()
	end := time.Unix(int64(min(c.ValidBefore, 1<<40)), 0)
	if now.After(end.Add(grace)) {
		return Holder{}, fault.New(fault.Unauthentic, fault.CertificateExpired, "the certificate ended too long ago to be renewed").Then("run: sallyport login")
	}
	if !now.Before(end) {
		now = end.Add(-time.Second)
	}
	if err := cert.VerifyLogin(c, k.userCAs, now, from); err != nil {
		return Holder{}, advise(err)
	}
	return k.lookUp(ctx, c)
}

// lookUp asks the store about a certificate whose signature is good.
func (k *Checker) lookUp(ctx context.Context, c *ssh.Certificate) (Holder, error) {
	login, err := cert.ReadLogin(c)
	if err != nil {
		return Holder{}, err
	}
	record, err := k.records.Certificate(ctx, login.Serial)
	switch {
	case isMissing(err):
		return Holder{}, refuse("this CA has no record of the certificate").Because(err)
	case err != nil:
		return Holder{}, err
	case record.Revoked != 0:
		return Holder{}, fault.New(fault.Unauthentic, fault.CertificateRevoked, "the certificate was revoked").Then("run: sallyport login")
	case record.Profile != store.ProfileLogin || !bytes.Equal(record.Blob, c.Marshal()):
		return Holder{}, refuse("the certificate is not the one that this CA handed out")
	}
	identity, err := k.records.Identity(ctx, login.Identity)
	if isMissing(err) {
		return Holder{}, refuse("nobody of that name has logged in here").Because(err)
	}
	if err != nil {
		return Holder{}, err
	}
	return Holder{Login: login, Identity: identity}, nil
}

// advise adds the next step where there is none yet: with a certificate that does
// not count, it is a new login.
func advise(err error) error {
	f := fault.Of(err)
	if f.Kind != fault.Unauthentic || f.Next != "" {
		return f
	}
	return f.Then("run: sallyport login")
}

func isMissing(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Kind == fault.Missing
}

func refuse(text string) *fault.Error {
	return fault.New(fault.Unauthentic, fault.CertificateInvalid, "%s", text).Then("run: sallyport login")
}
