// Package hostcerts keeps the host certificates under which the proxy answers
// for nodes, so that the CA is asked once per name and half life and not once
// per connection.
//
// # Promises
//
// A certificate is shown under the name that it was asked for and no other: the
// key of the cache is an id.NodeName, which has one spelling, on the way in and
// on the way out. An expired certificate is never returned. Any number of
// connections to a name whose certificate is missing cause one question. Hits
// and misses are counted, because a cache that never hits looks healthy.
package hostcerts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Ask gets a host certificate for name from the CA. The certificate must be for
// the cache's key; whether name is a node is the CA's to know.
type Ask func(ctx context.Context, name id.NodeName) (*ssh.Certificate, error)

// Cache holds one certificate for each name. Make it with New.
type Cache struct {
	key ssh.Signer
	ask Ask
	now func() time.Time

	mu     sync.Mutex
	held   map[id.NodeName]*entry
	counts Counts
}

// Counts since the start.
type Counts struct {
	Hits   int64 // answered from the cache
	Asked  int64 // questions to the CA
	Joined int64 // waited for somebody else's question
	Failed int64 // questions without a good answer
}

// entry is a certificate, a question under way, or both.
type entry struct {
	signer ssh.Signer // nil before the first answer
	half   time.Time  // from here on ask for the next
	end    time.Time  // ValidBefore
	asking chan struct{}
	err    error // of the last question; to be read after asking was closed
}

// New returns an empty cache for certificates of key.
func New(key ssh.Signer, ask Ask, now func() time.Time) *Cache {
	return &Cache{key: key, ask: ask, now: now, held: make(map[id.NodeName]*entry)}
}

// Signer returns the host key with a certificate for name. Beyond its half life
// a certificate is still used if the CA does not give the next one. Errors are
// the CA's.
func (c *Cache) Signer(ctx context.Context, name id.NodeName) (ssh.Signer, error) {
	c.mu.Lock()
	e := c.held[name]
	if e == nil {
		e = &entry{}
		c.forget()
		c.held[name] = e
	}
	if c.now().Before(e.half) {
		c.counts.Hits++
		c.mu.Unlock()
		return e.signer, nil
	}
	asking := e.asking
	if asking == nil {
		asking = make(chan struct{})
		e.asking = asking
		c.counts.Asked++
		c.mu.Unlock()
		// Not with the context of this connection: others wait for the answer.
		c.renew(context.WithoutCancel(ctx), name, e)
	} else {
		c.counts.Joined++
		c.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.signer != nil && c.now().Before(e.end) {
		return e.signer, nil
	}
	return nil, e.err
}

// renew asks and keeps the answer in e.
func (c *Cache) renew(ctx context.Context, name id.NodeName, e *entry) {
	certificate, err := c.ask(ctx, name)
	var signer ssh.Signer
	if err == nil {
		signer, err = c.wear(certificate, name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.err = err
	if err != nil {
		c.counts.Failed++
	} else {
		from, end := time.Unix(int64(certificate.ValidAfter), 0), time.Unix(int64(certificate.ValidBefore), 0)
		e.signer, e.half, e.end = signer, from.Add(end.Sub(from)/2), end
	}
	close(e.asking)
	e.asking = nil
}

// wear puts the certificate on the key. What a client would refuse anyway is
// refused here, where somebody reads the log.
func (c *Cache) wear(certificate *ssh.Certificate, name id.NodeName) (ssh.Signer, error) {
	bad := func(err error) error {
		return fault.New(fault.Internal, fault.CertificateInvalid, "the CA gave no host certificate that serves for %s", name).Because(err)
	}
	if certificate == nil || certificate.CertType != ssh.HostCert {
		return nil, bad(errors.New("not a host certificate"))
	}
	if len(certificate.ValidPrincipals) != 1 || certificate.ValidPrincipals[0] != string(name) {
		return nil, bad(fmt.Errorf("its names are %q", certificate.ValidPrincipals))
	}
	if c.now().Unix() >= int64(certificate.ValidBefore) {
		return nil, bad(errors.New("it has expired"))
	}
	signer, err := ssh.NewCertSigner(certificate, c.key)
	if err != nil {
		return nil, bad(err)
	}
	return signer, nil
}

// forget drops what has expired, so that names that come and go leave nothing.
// c.mu is held.
func (c *Cache) forget() {
	now := c.now()
	for name, e := range c.held {
		if e.asking == nil && !now.Before(e.end) {
			delete(c.held, name)
		}
	}
}

// Counts returns the counters.
func (c *Cache) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}
