package store

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Identity returns name as its issuer last described it; not_found when it
// never logged in.
func (s *Store) Identity(ctx context.Context, name id.Identity) (Identity, error) {
	const query = `SELECT name, issuer, subject, groups, claims, seen FROM identities WHERE name = $1`
	var i Identity
	var claims string
	found, err := s.row(ctx, func(r scanner) error {
		return r.Scan(&i.Name, &i.Issuer, &i.Subject, fromJSON[[]string]{&i.Groups}, &claims, &i.Seen)
	}, query, name)
	if err != nil {
		return Identity{}, err
	}
	if !found {
		return Identity{}, fault.New(fault.Missing, fault.NotFound, "%s never logged in", name)
	}
	if claims != "" {
		i.Claims = []byte(claims)
	}
	return i, nil
}

// upsertIdentities writes the identities of a set where they are new, differ, or
// were last seen a minute ago or more: most logins change nothing and write
// nothing. A name that is another subject's comes back with that
// subject, unchanged, and refuses the set.
func upsertIdentities(t *tx, set []*issuance) error {
	const upsert = `INSERT INTO identities (name, issuer, subject, groups, claims, seen)
		VALUES {($, $, $, $, $, $)}
		ON CONFLICT (name) DO UPDATE
		SET groups = excluded.groups, claims = excluded.claims, seen = excluded.seen
		WHERE identities.issuer <> excluded.issuer OR identities.subject <> excluded.subject
			OR identities.groups <> excluded.groups OR identities.claims <> excluded.claims
			OR identities.seen <= excluded.seen - 60
		RETURNING name, issuer, subject`

	byName := make(map[id.Identity]*Identity, len(set))
	var args []any
	for _, w := range set {
		i := w.identity
		if i == nil {
			continue
		}
		if first := byName[i.Name]; first != nil {
			// PostgreSQL takes each row once. Who logs in twice within one commit
			// is described as the same person at the same moment.
			if first.Issuer != i.Issuer || first.Subject != i.Subject {
				return otherSubject(i.Name)
			}
			continue
		}
		byName[i.Name] = i
		args = append(args, i.Name, i.Issuer, i.Subject, toJSON(i.Groups), string(i.Claims), i.Seen)
	}
	t.laterRows(upsert, 6, args, func(r scanner) error {
		var name id.Identity
		var issuer, subject string
		if err := r.Scan(&name, &issuer, &subject); err != nil {
			return err
		}
		if i := byName[name]; i == nil || i.Issuer != issuer || i.Subject != subject {
			return otherSubject(name)
		}
		return nil
	}, nil)
	return nil
}

func otherSubject(name id.Identity) error {
	return fault.New(fault.Denied, fault.TokenOtherIdentity,
		"the name %s belongs to another account of the issuer", name).
		Then("ask an admin: a name never moves to another account")
}
