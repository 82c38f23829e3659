package store

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Policy returns the newest revision. Before any was applied it has number 0
// and no files, which refuses everybody.
func (s *Store) Policy(ctx context.Context) (Revision, error) {
	const query = `SELECT revision, author, applied, files FROM policies ORDER BY revision DESC LIMIT 1`
	var rev Revision
	_, err := s.row(ctx, func(r scanner) error {
		return r.Scan(&rev.Revision, &rev.Author, &rev.Applied, fromJSON[map[string]string]{&rev.Files})
	}, query)
	return rev, err
}

// ApplyPolicy stores rev as the next revision and returns its number;
// rev.Revision is ignored. base is the revision that rev was made from, or -1
// for whatever is there; policy_stale when somebody applied in between.
func (s *Store) ApplyPolicy(ctx context.Context, by Actor, rev Revision, base int64) (int64, error) {
	var next int64
	err := s.alone(ctx, func(t *tx) error {
		const query = `SELECT coalesce(max(revision), 0) FROM policies`
		var newest int64
		if _, err := t.row(func(r scanner) error { return r.Scan(&newest) }, query); err != nil {
			return err
		}
		if base != -1 && base != newest {
			return fault.New(fault.Conflict, fault.PolicyStale,
				"the policy is at revision %d by now, and yours was made from %d", newest, base).
				Then("read it again, and apply your change to that")
		}
		next = newest + 1
		const insert = `INSERT INTO policies (revision, author, applied, files) VALUES ($1, $2, $3, $4)`
		if _, err := t.exec(insert, next, rev.Author, rev.Applied, toJSON(rev.Files)); err != nil {
			return err
		}
		t.bump()
		event := by.did(audit.PolicyApplied)
		event.Revision, event.Policy = next, audit.PolicyOf(next, rev.Files)
		return t.log(event)
	})
	if err != nil {
		return 0, err
	}
	return next, nil
}

// StateVersion rises with every change of nodes, proxies, policy and
// revocations.
func (s *Store) StateVersion(ctx context.Context) (int64, error) {
	const query = `SELECT state FROM counters WHERE one = 1`
	var version int64
	_, err := s.row(ctx, func(r scanner) error { return r.Scan(&version) }, query)
	return version, err
}
