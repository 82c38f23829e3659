package login

import (
	"time"

	"golang.org/x/crypto/ssh"
)

// certificate is a login certificate with its times.
type certificate struct {
	*ssh.Certificate
	from, to time.Time
}

// age is what a certificate is good for.
type age uint8

const (
	over  age = iota // of no use; also that there is none
	due              // valid, and it is time to renew it
	fresh            // nothing to do
)

// at says what c, which may be nil, is good for at now.
//
// It is due in the last tenth of its life, or in its last five minutes if that is
// sooner said; of a certificate of minutes, never earlier than in its last third.
func (c *certificate) at(now time.Time) age {
	if c == nil || !now.Before(c.to) {
		return over
	}
	life := c.to.Sub(c.from)
	margin := max(life/10, min(5*time.Minute, life/3))
	if c.to.Sub(now) <= margin {
		return due
	}
	return fresh
}
