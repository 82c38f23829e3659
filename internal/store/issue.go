package store

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// issuance is what happens, all or nothing, before certificates are signed. The
// writer runs the issuances of many callers as one set, so that the number of
// statements does not grow with the number of callers.
type issuance struct {
	once     []Once
	identity *Identity     // nil: nobody logs in
	session  *wire.Session // nil: no session opens; else its Serial is the first intent's
	intents  []Intent

	serials []id.Serial // the answer, in the order of intents
	job     *job
}

func (w *issuance) refuse(err error) { w.job.err = err }

// RecordLogin stores a verified login in one transaction: it uses up what may be
// used once, remembers the identity, and reserves the serial of the login
// certificate. A replay is token_replayed; a name that belongs to another
// subject is token_other_identity.
func (s *Store) RecordLogin(ctx context.Context, l Login) (id.Serial, error) {
	return s.reserveOne(ctx, &issuance{once: l.Once, identity: &l.Identity, intents: []Intent{l.Intent}})
}

// Reserve stores the intent of a certificate and returns its serial. Sign after
// it, then Complete.
func (s *Store) Reserve(ctx context.Context, i Intent) (id.Serial, error) {
	return s.reserveOne(ctx, &issuance{intents: []Intent{i}})
}

// OpenSession stores a session's row with the intent of its certificate; ws.Serial
// is ignored. A session name that is taken is session_taken: take another.
func (s *Store) OpenSession(ctx context.Context, ws wire.Session, i Intent) (id.Serial, error) {
	return s.reserveOne(ctx, &issuance{session: &ws, intents: []Intent{i}})
}

func (s *Store) reserveOne(ctx context.Context, w *issuance) (id.Serial, error) {
	if err := s.write(ctx, &job{issue: w}); err != nil {
		return 0, err
	}
	return w.serials[0], nil
}

// issue runs a whole set, or refuses the whole set.
func (t *tx) issue(set []*issuance) error {
	useOnce(t, set)
	if err := upsertIdentities(t, set); err != nil {
		return err
	}
	var intents []Intent
	for _, w := range set {
		intents = append(intents, w.intents...)
	}
	serials := reserve(t, intents)
	for _, w := range set {
		n := len(w.intents)
		w.serials, serials = serials[:n:n], serials[n:]
	}
	insertSessions(t, set)
	return nil
}
