package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// reserve gives each intent the next serial, stores it, and logs its event: no
// serial without its leaf. events has one for each intent.
func (t *tx) reserve(intents []Intent, events []audit.Event) ([]id.Serial, error) {
	const insert = `INSERT INTO certificates
		(serial, profile, subject, key_print, valid_after, valid_before, reserved)
		VALUES {($, $, $, $, $, $, $)}`
	if len(events) != len(intents) {
		return nil, fmt.Errorf("reserve %d serials: %d events", len(intents), len(events))
	}
	serials := make([]id.Serial, len(intents))
	args := make([]any, 0, 7*len(intents))
	for n, i := range intents {
		t.serial++
		serials[n] = id.Serial(t.serial)
		events[n].Certificate = i.certificate(serials[n])
		args = append(args, t.serial, i.Profile, i.Subject, i.KeyPrint, i.ValidAfter, i.ValidBefore, t.now)
	}
	t.laterRows(insert, 7, args, nil, nil)
	return serials, t.log(events...)
}

// completion stores a signed certificate.
type completion struct {
	serial id.Serial
	blob   []byte
	job    *job
}

func (w *completion) refuse(err error) { w.job.err = err }

// Complete stores the certificate that was signed for serial, once:
// certificate_stored when it has one, not_found when it was never reserved.
func (s *Store) Complete(ctx context.Context, serial id.Serial, blob []byte) error {
	if len(blob) == 0 {
		return fault.New(fault.Invalid, fault.BadRequest, "certificate %d is empty", serial)
	}
	return s.write(ctx, &job{complete: &completion{serial: serial, blob: blob}})
}

// complete runs a whole set, or refuses the whole set.
func (t *tx) complete(set []*completion) error {
	const update = `WITH signed (serial, certificate) AS (VALUES {(CAST($ AS BIGINT), CAST($ AS BYTEA))})
		UPDATE certificates SET certificate = signed.certificate FROM signed
		WHERE certificates.serial = signed.serial AND certificates.certificate IS NULL`
	args := make([]any, 0, 2*len(set))
	for _, w := range set {
		args = append(args, int64(w.serial), w.blob)
	}
	t.laterRows(update, 2, args, nil, func(changed, given int64) error {
		if changed < given {
			return errNotCompleted
		}
		return nil
	})
	if err := t.send(); !errors.Is(err, errNotCompleted) || len(set) > 1 {
		return err
	}
	const query = `SELECT 1 FROM certificates WHERE serial = $1`
	serial, one := set[0].serial, 0
	found, err := t.row(func(r scanner) error { return r.Scan(&one) }, query, int64(serial))
	if err != nil {
		return err
	}
	if !found {
		return noCertificate(serial)
	}
	return fault.New(fault.Conflict, fault.CertificateStored, "certificate %d is stored already", serial)
}

var errNotCompleted = errors.New("some serial was not reserved, or is completed")

func noCertificate(serial id.Serial) error {
	return fault.New(fault.Missing, fault.NotFound, "no certificate has serial %d", serial)
}

const certificateColumns = `serial, profile, subject, key_print, valid_after, valid_before, reserved, certificate, revoked`

func scanCertificate(r scanner) (c Certificate, err error) {
	err = r.Scan(&c.Serial, &c.Profile, &c.Subject, &c.KeyPrint, &c.ValidAfter, &c.ValidBefore,
		&c.Reserved, &c.Blob, &c.Revoked)
	return c, err
}

// Certificate returns what is known of serial, or not_found.
func (s *Store) Certificate(ctx context.Context, serial id.Serial) (Certificate, error) {
	const query = `SELECT ` + certificateColumns + ` FROM certificates WHERE serial = $1`
	return one(ctx, s, scanCertificate, noCertificate(serial), query, int64(serial))
}

// Revoke marks a certificate as revoked from now on. Doing it again changes
// nothing.
func (s *Store) Revoke(ctx context.Context, by Actor, serial id.Serial) error {
	return s.alone(ctx, func(t *tx) error {
		const query = `SELECT ` + certificateColumns + ` FROM certificates WHERE serial = $1`
		var c Certificate
		found, err := t.row(func(r scanner) (err error) { c, err = scanCertificate(r); return err }, query, int64(serial))
		if err != nil {
			return err
		}
		if !found {
			return noCertificate(serial)
		}
		if c.Revoked != 0 {
			return nil
		}
		const update = `UPDATE certificates SET revoked = $1 WHERE serial = $2`
		if _, err := t.exec(update, t.now, int64(serial)); err != nil {
			return err
		}
		t.bump()
		return t.log(by.revokes(c))
	})
}

func (a Actor) revokes(c Certificate) audit.Event {
	e := a.did(audit.CertificateRevoked)
	e.Certificate = c.certificate(c.Serial)
	switch c.Profile {
	case ProfileLogin:
		e.Kind, e.Identity = audit.LoginEnded, id.Identity(c.Subject)
	case ProfileSession:
		e.Identity = id.Identity(c.Subject)
	case ProfileHost:
		e.Text = "of " + c.Subject // a node or a proxy
	}
	return e
}

// RevokedLogins returns the login certificates that were revoked and have not
// expired, by serial.
func (s *Store) RevokedLogins(ctx context.Context) ([]Certificate, error) {
	const query = `SELECT ` + certificateColumns + ` FROM certificates
		WHERE revoked > 0 AND valid_before > $1 AND profile = 'login' ORDER BY serial`
	return all(ctx, s, scanCertificate, query, s.now())
}
