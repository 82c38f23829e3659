package store

import (
	"context"
	"fmt"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// issuance is what happens, all or nothing, before certificates are signed. The
// writer runs the issuances of many callers as one set, so that the number of
// statements does not grow with the number of callers.
type issuance struct {
	once     []Once
	identity *Identity // nil: nobody logs in
	opening  *Opening  // nil: no session opens; else its certificate is the first intent's
	intents  []Intent
	events   []audit.Event // one for each intent, without its certificate

	serials []id.Serial // the answer, in the order of intents
	job     *job
}

func (w *issuance) refuse(err error) { w.job.err = err }

// RecordLogin stores a verified login in one transaction: it uses up what may be
// used once, remembers the identity, and reserves the serial of the login
// certificate. A replay is token_replayed; a name that belongs to another
// subject is token_other_identity.
func (s *Store) RecordLogin(ctx context.Context, l Login) (id.Serial, error) {
	event := Actor{string(l.Identity.Name), l.Client}.did(audit.LoginGranted)
	event.Identity = l.Identity.Name
	event.Groups, event.Text = loggedGroups(l.Identity.Groups)
	serials, err := s.issue(ctx, &issuance{
		once: l.Once, identity: &l.Identity, intents: []Intent{l.Intent}, events: []audit.Event{event},
	})
	if err != nil {
		return 0, err
	}
	return serials[0], nil
}

// maxGroups is how many bytes of groups stand in one event.
const maxGroups = 24 << 10

// loggedGroups are as many groups as one event holds, and a remark where that is
// not all.
func loggedGroups(all []string) (logged []string, remark string) {
	size := 0
	for i, g := range all {
		if size += len(g) + 3; size > maxGroups {
			return all[:i], fmt.Sprintf("and %d more groups", len(all)-i)
		}
	}
	return all, ""
}

// Reserve stores the intents of certificates, all or none, and returns their
// serials. Sign after it, then Complete.
func (s *Store) Reserve(ctx context.Context, by Actor, intents ...Intent) ([]id.Serial, error) {
	w := &issuance{intents: intents}
	for _, i := range intents {
		w.events = append(w.events, by.issues(i))
	}
	return s.issue(ctx, w)
}

// issues is the event of a certificate that is told nowhere else.
func (a Actor) issues(i Intent) audit.Event {
	e := a.did(audit.CertificateIssued)
	e.Node, e.NodeID, e.Proxy = i.Node, i.NodeID, i.Proxy
	return e
}

// OpenSession stores a session's row with the intent of its certificate. A
// session name that is taken is session_taken: take another.
func (s *Store) OpenSession(ctx context.Context, o Opening) (id.Serial, error) {
	o.Intent.LoginSerial = o.Session.LoginSerial
	serials, err := s.issue(ctx, &issuance{opening: &o, intents: []Intent{o.Intent}, events: []audit.Event{o.event()}})
	if err != nil {
		return 0, err
	}
	return serials[0], nil
}

func (s *Store) issue(ctx context.Context, w *issuance) ([]id.Serial, error) {
	if err := s.write(ctx, &job{issue: w}); err != nil {
		return nil, err
	}
	return w.serials, nil
}

// issue runs a whole set, or refuses the whole set.
func (t *tx) issue(set []*issuance) error {
	useOnce(t, set)
	if err := upsertIdentities(t, set); err != nil {
		return err
	}
	var intents []Intent
	var events []audit.Event
	for _, w := range set {
		intents = append(intents, w.intents...)
		events = append(events, w.events...)
	}
	serials, err := t.reserve(intents, events)
	if err != nil {
		return err
	}
	for _, w := range set {
		n := len(w.intents)
		w.serials, serials = serials[:n:n], serials[n:]
	}
	insertSessions(t, set)
	insertRecordings(t, set)
	return nil
}
