package store

import (
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Somebody with the CA's own rights on the database tries to change what
// happened. On SQLite that leaves out changing the schema: who can write the
// file can do that.
var evidencePromises = []promise{
	{"evidence cannot be changed or removed by a statement", func(t *testing.T, s *Store) {
		signed := must(s.RecordLogin(t.Context(), login("you@example.com", "a")))(t)
		ok(t, s.Complete(t.Context(), signed, []byte("signed")))
		ok(t, s.Revoke(t.Context(), ada, signed))
		reserved(t, s, intent(ProfileLogin, "you@example.com")) // 2, neither signed nor revoked
		openSession(t, s, newSession("live", 100))
		openSession(t, s, newSession("ended", 100))
		ok(t, s.EndSession(t.Context(), "ended", wire.EndRequest{End: "closed"}, nil, 150))
		must(s.ApplyPolicy(t.Context(), ada, revision("one"), 0))(t)
		ok(t, s.PutTiles(t.Context(), Tile{0, 0, make([]byte, 256*32)}))
		state := must(s.LogState(t.Context()))(t)
		must(s.PutCheckpoint(t.Context(), checkpoint(t, s, state.Size)))(t)
		ok(t, s.AddCosignatures(t.Context(), state.Size, "— a x"))

		attempts := []string{
			`DELETE FROM certificates WHERE serial = 1`,
			`DELETE FROM certificates`,
			`UPDATE certificates SET subject = 'else@example.com' WHERE serial = 1`,
			`UPDATE certificates SET serial = 99 WHERE serial = 2`,
			`UPDATE certificates SET profile = 'host' WHERE serial = 2`,
			`UPDATE certificates SET key_print = 'x' WHERE serial = 2`,
			`UPDATE certificates SET valid_after = 0 WHERE serial = 2`,
			`UPDATE certificates SET valid_before = 1 WHERE serial = 1`,
			`UPDATE certificates SET reserved = 1 WHERE serial = 2`,
			`UPDATE certificates SET certificate = NULL WHERE serial = 1`,
			`UPDATE certificates SET certificate = CAST('other' AS BYTEA) WHERE serial = 1`,
			`UPDATE certificates SET certificate = CAST('other' AS BYTEA), subject = 'x' WHERE serial = 2`,
			`UPDATE certificates SET revoked = 0 WHERE serial = 1`,
			`UPDATE certificates SET revoked = revoked + 1 WHERE serial = 1`,
			`INSERT INTO certificates (serial, profile, subject, key_print, valid_after, valid_before, reserved)
				VALUES (0, 'login', 'x', 'x', 0, 0, 0)`,
			`INSERT INTO certificates (serial, profile, subject, key_print, valid_after, valid_before, reserved)
				VALUES (1, 'login', 'x', 'x', 0, 0, 0)`,
			`DELETE FROM sessions WHERE id = 'live'`,
			`UPDATE sessions SET identity = 'x', ended = 1 WHERE id = 'live'`,
			`UPDATE sessions SET bytes = 1 WHERE id = 'live'`,
			`UPDATE sessions SET ended = 0 WHERE id = 'ended'`,
			`UPDATE sessions SET ended_as = 'x' WHERE id = 'ended'`,
			`UPDATE policies SET files = '{}'`,
			`DELETE FROM policies`,
			`UPDATE counters SET serial = serial - 1`,
			`UPDATE counters SET state = 0`,
			`DELETE FROM counters`,
			`INSERT INTO counters (one, serial, state) VALUES (2, 0, 0)`,
			`UPDATE counters SET size = size - 1`,
			`UPDATE counters SET size = 0, frontier = CAST('' AS BYTEA), at = 0`,
			`UPDATE counters SET at = at - 1`,
			`UPDATE counters SET frontier = CAST('' AS BYTEA)`,
			`UPDATE events SET leaf = '{}' WHERE idx = 0`,
			`UPDATE events SET hash = CAST('` + strings.Repeat("x", 32) + `' AS BYTEA) WHERE idx = 0`,
			`UPDATE events SET idx = idx + 1000`,
			`UPDATE events SET identity = 'x', actor = 'x' WHERE idx = 0`,
			`DELETE FROM events WHERE idx = 0`,
			`DELETE FROM events`,
			`INSERT INTO events (idx, at, kind, reason, actor, identity, login, node, session, hash, leaf)
				SELECT idx, at, kind, reason, actor, identity, login, node, session, hash, leaf FROM events WHERE idx = 0`,
			`UPDATE tiles SET hashes = hashes`,
			`UPDATE tiles SET idx = 1`,
			`DELETE FROM tiles`,
			`UPDATE checkpoints SET note = 'x'`,
			`UPDATE checkpoints SET root = CAST('` + strings.Repeat("x", 32) + `' AS BYTEA)`,
			`UPDATE checkpoints SET size = 1`,
			`UPDATE checkpoints SET at = 1`,
			`UPDATE checkpoints SET cosignatures = ''`,
			`UPDATE checkpoints SET cosignatures = 'x' || cosignatures`,
			`DELETE FROM checkpoints`,
			`UPDATE identities SET subject = 'x'`,
			`DELETE FROM identities`,
		}
		if s.read.db == sqliteDialect {
			attempts = append(attempts,
				`INSERT OR REPLACE INTO certificates (serial, profile, subject, key_print, valid_after, valid_before, reserved)
					VALUES (1, 'login', 'x', 'x', 0, 0, 0)`,
				`UPDATE OR REPLACE certificates SET serial = 1 WHERE serial = 2`,
				`INSERT OR REPLACE INTO counters (one, serial, state) VALUES (1, 0, 0)`,
				`INSERT OR REPLACE INTO events (idx, at, kind, reason, actor, identity, login, node, session, hash, leaf)
					SELECT 0, at, kind, reason, actor, identity, login, node, session, hash, leaf FROM events WHERE idx = 1`,
				`UPDATE OR REPLACE events SET idx = 0 WHERE idx = 1`,
				`INSERT OR REPLACE INTO tiles (level, idx, hashes) SELECT level, idx, hashes FROM tiles`,
				`INSERT OR REPLACE INTO checkpoints (size, root, at, note) SELECT size, root, 1, note FROM checkpoints`,
			)
		} else {
			attempts = append(attempts, `TRUNCATE certificates CASCADE`, `TRUNCATE sessions`, `TRUNCATE policies`,
				`TRUNCATE counters`, `TRUNCATE identities`, `TRUNCATE events`, `TRUNCATE tiles`, `TRUNCATE checkpoints`,
				`ALTER TABLE events DISABLE TRIGGER ALL`, `DROP TRIGGER events_update_refused ON events`,
				`ALTER TABLE events ALTER COLUMN leaf SET DATA TYPE TEXT USING ''`, `DROP TABLE checkpoints`,
				`ALTER TABLE certificates DISABLE TRIGGER ALL`, `DROP TRIGGER certificates_delete_refused ON certificates`,
				`DROP TABLE sessions`, `CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
				`SET session_replication_role = replica`)
		}
		before := dump(t, s)
		for _, query := range attempts {
			err := s.alone(t.Context(), func(t *tx) error {
				_, err := t.exec(query)
				return err
			})
			if err == nil {
				t.Errorf("%s: was done", query)
			}
		}
		if after := dump(t, s); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	}},
	{"connections that read cannot write", func(t *testing.T, s *Store) {
		if _, err := s.row(t.Context(), nil, `UPDATE counters SET state = state + 1`); err == nil {
			t.Fatal("a reader wrote")
		}
	}},
}

// dump is everything that counts as evidence, as text.
func dump(t testing.TB, s *Store) string {
	t.Helper()
	var all strings.Builder
	for _, query := range []string{
		`SELECT serial || ' ' || profile || ' ' || subject || ' ' || key_print || ' ' || valid_after || ' ' ||
			valid_before || ' ' || reserved || ' ' || coalesce(length(certificate), -1) || ' ' || revoked
			FROM certificates ORDER BY serial`,
		`SELECT id || ' ' || identity || ' ' || ended || ' ' || ended_as || ' ' || bytes FROM sessions ORDER BY id`,
		`SELECT revision || files FROM policies ORDER BY revision`,
		`SELECT serial || ' ' || state || ' ' || size || ' ' || at || ' ' || length(frontier) FROM counters`,
		`SELECT idx || ' ' || at || ' ' || kind || ' ' || actor || ' ' || identity || ' ' || length(hash) || leaf FROM events ORDER BY idx`,
		`SELECT level || ' ' || idx FROM tiles ORDER BY level, idx`,
		`SELECT size || ' ' || at || ' ' || note || cosignatures FROM checkpoints ORDER BY size`,
		`SELECT name || ' ' || issuer || ' ' || subject FROM identities ORDER BY name`,
	} {
		err := s.each(t.Context(), func(r scanner) error {
			var line string
			err := r.Scan(&line)
			all.WriteString(line + "\n")
			return err
		}, query)
		ok(t, err)
	}
	return all.String()
}
