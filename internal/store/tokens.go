package store

import (
	"context"
	"path"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// CreateToken stores a join token under the SHA-256 of its secret.
func (s *Store) CreateToken(ctx context.Context, by Actor, token wire.JoinToken, secretHash []byte) error {
	return s.alone(ctx, func(t *tx) error {
		const insert = `INSERT INTO tokens (id, secret, part, names, labels, uses, used, seconds, expires, author)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`
		n, err := t.exec(insert, token.ID, secretHash, token.Part, toJSON(token.Names), toJSON(token.Labels),
			token.Uses, token.Used, token.Seconds, token.Expires, token.Author)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, fault.BadRequest, "there is a join token %s already", token.ID)
		}
		if err != nil {
			return err
		}
		event := by.did(audit.TokenMade)
		event.Token = loggedToken(token)
		return t.log(event)
	})
}

// loggedToken is a token in the audit log.
func loggedToken(t wire.JoinToken) *audit.Token {
	return &audit.Token{
		ID: t.ID, Part: string(t.Part), Names: t.Names, Labels: t.Labels, Uses: t.Uses, Expires: t.Expires,
	}
}

const tokenColumns = `id, part, names, labels, uses, used, seconds, expires, author`

func scanToken(r scanner) (t wire.JoinToken, err error) {
	err = r.Scan(&t.ID, &t.Part, fromJSON[[]string]{&t.Names}, fromJSON[map[string]string]{&t.Labels},
		&t.Uses, &t.Used, &t.Seconds, &t.Expires, &t.Author)
	return t, err
}

// Tokens lists all join tokens, those that expire last first.
func (s *Store) Tokens(ctx context.Context) ([]wire.JoinToken, error) {
	const query = `SELECT ` + tokenColumns + ` FROM tokens ORDER BY expires DESC, id`
	return all(ctx, s, scanToken, query)
}

// DeleteToken ends a join token; not_found when there is none.
func (s *Store) DeleteToken(ctx context.Context, by Actor, token string) error {
	return s.alone(ctx, func(t *tx) error {
		const remove = `DELETE FROM tokens WHERE id = $1 RETURNING ` + tokenColumns
		var removed wire.JoinToken
		found, err := t.row(func(r scanner) (err error) { removed, err = scanToken(r); return err }, remove, token)
		if err == nil && !found {
			err = fault.New(fault.Missing, fault.NotFound, "there is no join token %s", token)
		}
		if err != nil {
			return err
		}
		event := by.did(audit.TokenRemoved)
		event.Token = loggedToken(removed)
		return t.log(event)
	})
}

// useToken counts one use of the token with that secret by part, for names.
func useToken(t *tx, secretHash []byte, part wire.Part, names []string) (wire.JoinToken, error) {
	const query = `SELECT ` + tokenColumns + ` FROM tokens WHERE secret = $1`
	var token wire.JoinToken
	found, err := t.row(func(r scanner) (err error) { token, err = scanToken(r); return err }, query, secretHash)
	switch {
	case err != nil:
		return token, err
	case !found || token.Part != part:
		// The holder of a token for another part learns nothing of it.
		return token, fault.New(fault.Unauthentic, fault.JoinTokenUnknown, "this join token is not known").
			Then("ask an admin for a new one")
	case token.Expires <= t.now:
		return token, fault.New(fault.Unauthentic, fault.JoinTokenExpired, "this join token has expired").
			Then("ask an admin for a new one")
	case token.Used >= token.Uses:
		return token, fault.New(fault.Conflict, fault.JoinTokenUsed, "this join token is used up").
			Then("ask an admin for a new one")
	}
	for _, name := range names {
		if !covered(token.Names, name) {
			return token, fault.New(fault.Denied, fault.JoinTokenNames,
				"this join token does not cover the name %q", name).
				Then("ask an admin for one that does")
		}
	}
	const count = `UPDATE tokens SET used = used + 1 WHERE id = $1`
	_, err = t.exec(count, token.ID)
	return token, err
}

// covered reports whether one of patterns (path.Match) matches name. A malformed
// pattern matches nothing.
func covered(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, name); err == nil && ok {
			return true
		}
	}
	return false
}
