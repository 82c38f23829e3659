package people

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"path"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Limits of join tokens.
const (
	maxTokenUses     = 10_000
	maxTokenNames    = 64
	maxTokenLifetime = 90 * 24 * time.Hour
)

func (p *people) tokens(c *call) ([]wire.JoinToken, error) {
	list, err := p.Store.Tokens(c.Context())
	if list == nil {
		list = []wire.JoinToken{}
	}
	return list, err
}

func (p *people) newToken(c *call, in wire.NewJoinToken) (wire.JoinTokenSecret, error) {
	return CreateToken(c.Context(), p.Store, c.Caller.actor(), in, p.Now())
}

// CreateToken makes a join token. Nothing in it has a default: what a part may
// become is said, or refused.
func CreateToken(ctx context.Context, s *store.Store, by store.Actor, in wire.NewJoinToken, now time.Time) (wire.JoinTokenSecret, error) {
	if err := checkToken(in); err != nil {
		return wire.JoinTokenSecret{}, err
	}
	secret := secretText()
	token := wire.JoinToken{
		ID: strings.ToLower(rand.Text()[:8]), NewJoinToken: in, Expires: now.Unix() + in.Seconds, Author: by.Name,
	}
	sum := sha256.Sum256([]byte(secret))
	if err := s.CreateToken(ctx, by, token, sum[:]); err != nil {
		return wire.JoinTokenSecret{}, err
	}
	return wire.JoinTokenSecret{JoinToken: token, Secret: secret}, nil
}

// secretText is 120 random bits, in groups for the eye.
func secretText() string {
	s := strings.ToLower(rand.Text()[:24])
	return strings.Join([]string{s[:6], s[6:12], s[12:18], s[18:]}, "-")
}

func checkToken(t wire.NewJoinToken) error {
	switch {
	case t.Part != wire.PartAgent && t.Part != wire.PartProxy:
		return badRequest("a join token is for an agent or a proxy, not %q", string(t.Part))
	case len(t.Names) == 0 || len(t.Names) > maxTokenNames:
		return badRequest("a join token names 1 to %d hosts or patterns", maxTokenNames)
	case t.Uses < 1 || t.Uses > maxTokenUses:
		return badRequest("a join token is used 1 to %d times", maxTokenUses)
	case t.Seconds < 1 || t.Seconds > int64(maxTokenLifetime/time.Second):
		return badRequest("a join token lives up to %d days", int(maxTokenLifetime/(24*time.Hour)))
	}
	for _, name := range t.Names {
		if err := checkPattern(name); err != nil {
			return err
		}
	}
	return checkLabels(t.Labels)
}

// checkPattern takes host names and addresses with * and ?, in lower case.
func checkPattern(s string) error {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_:*?", r)
	}
	if s == "" || len(s) > 253 || strings.ContainsFunc(s, func(r rune) bool { return !legal(r) }) {
		return badRequest("%q is no host name or pattern such as web-*", s)
	}
	if _, err := path.Match(s, ""); err != nil {
		return badRequest("%q is no pattern", s)
	}
	return nil
}

func (p *people) deleteToken(c *call) (door.Nothing, error) {
	return door.Nothing{}, p.Store.DeleteToken(c.Context(), c.Caller.actor(), c.PathValue("id"))
}
