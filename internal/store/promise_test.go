package store

import (
	"database/sql"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestPromise5_AChangeInTheAuditLogDoesNotGoUnnoticed is promise 5 of DESIGN,
// section 7, for the log: somebody who owns the tables drops the triggers and
// writes what they like. What is in no tile yet, the CA's own check notices; all
// else, whoever reads the log against a checkpoint.
func TestPromise5_AChangeInTheAuditLogDoesNotGoUnnoticed(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		for name, tampering := range tamperings {
			t.Run(name, func(t *testing.T) {
				url := sqliteURL(t)
				tamper(t, open(t, url), "sqlite", strings.TrimPrefix(url, "sqlite://"), tampering)
			})
		}
	})
	t.Run("postgres", func(t *testing.T) {
		server := rig.Postgres(t)
		n := 0
		for name, tampering := range tamperings {
			t.Run(name, func(t *testing.T) {
				n++
				url := server.Empty(fmt.Sprintf("tampered%d", n))
				tamper(t, open(t, url), "pgx", url, tampering)
			})
		}
	})
}

// A log of two full tiles and some, of which the first 600 events were signed.
const (
	tamperedSize   = 700
	tamperedSigned = 600
)

// tampering is SQL of somebody who owns the tables. $LEAF and $HASH are a leaf
// that says something else than event 650, and its hash. unseen is set where the
// cheap check cannot notice, and only a reading of the whole log does.
type tampering struct {
	sql    string
	unseen bool
}

var tamperings = map[string]tampering{
	"an event that is in no tile is changed":            {sql: `UPDATE events SET leaf = '$LEAF' WHERE idx = 650`},
	"such an event with its hash":                       {sql: `UPDATE events SET leaf = '$LEAF', hash = $HASH WHERE idx = 650`},
	"a signed event that is in no tile":                 {sql: `UPDATE events SET leaf = '$LEAF', hash = $HASH WHERE idx = 550`},
	"an event in the middle is removed":                 {sql: `DELETE FROM events WHERE idx = 650`},
	"the end is cut off":                                {sql: `DELETE FROM events WHERE idx >= 690`},
	"the end and the counter, to what was signed":       {sql: `DELETE FROM events WHERE idx >= 600; UPDATE counters SET size = 600`},
	"the end and the counter, to before it":             {sql: `DELETE FROM events WHERE idx >= 512; UPDATE counters SET size = 512, frontier = (SELECT substr(frontier, 1, 32) FROM counters)`},
	"two events change places":                          {sql: `UPDATE events SET idx = 99999 WHERE idx = 650; UPDATE events SET idx = 650 WHERE idx = 651; UPDATE events SET idx = 651 WHERE idx = 99999`},
	"the frontier is another":                           {sql: `UPDATE counters SET frontier = CAST(substr(frontier, 33) || substr(frontier, 1, 32) AS BYTEA)`},
	"a tile is another":                                 {sql: `UPDATE tiles SET hashes = (SELECT hashes FROM tiles WHERE idx = 0) WHERE idx = 1`},
	"the checkpoint's root is another":                  {sql: `UPDATE checkpoints SET root = $HASH`},
	"an event that a tile covers, and only its text":    {`UPDATE events SET leaf = '$LEAF' WHERE idx = 50`, true},
	"an event that a tile covers, and its hash":         {`UPDATE events SET leaf = '$LEAF', hash = $HASH WHERE idx = 50`, true},
	"an event that a tile covers is removed":            {`DELETE FROM events WHERE idx = 50`, true},
	"an event that a tile covers, and the tile with it": {sql: `UPDATE events SET leaf = '$LEAF', hash = $HASH WHERE idx = 50; DELETE FROM tiles WHERE idx = 0`},
	"an event is put in, and all after it move up by one": {sql: `UPDATE events SET idx = idx + 10000 WHERE idx >= 650; UPDATE events SET idx = idx - 9999 WHERE idx > 9999;
		INSERT INTO events SELECT 650, at, kind, reason, actor, identity, login, node, session, $HASH, '$LEAF' FROM events WHERE idx = 649;
		UPDATE counters SET size = size + 1`},
}

func tamper(t *testing.T, s *Store, driver, where string, how tampering) {
	batch := make([]audit.Event, tamperedSigned)
	for i := range batch {
		batch[i] = denied("you@example.com")
		batch[i].Count = int64(i)
	}
	ok(t, s.Append(t.Context(), batch...))
	signed := must(s.PutCheckpoint(t.Context(), checkpoint(t, s, tamperedSigned)))(t)
	ok(t, s.Append(t.Context(), batch[:tamperedSize-tamperedSigned]...))
	for index := range int64(2) {
		tile := Tile{Index: index}
		for _, h := range must(s.LeafHashes(t.Context(), index*audit.TileWidth, (index+1)*audit.TileWidth))(t) {
			tile.Hashes = append(tile.Hashes, h[:]...)
		}
		ok(t, s.PutTiles(t.Context(), tile))
	}
	ok(t, s.CheckLog(t.Context()))
	ok(t, reread(t, s, signed))

	owner, err := sql.Open(driver, where)
	ok(t, err)
	defer owner.Close()
	leaf := `{"kind":"session_denied","at":1,"outcome":"refused"}`
	sum := audit.LeafHash([]byte(leaf))
	hash := fmt.Sprintf("x'%x'", sum[:])
	text := strings.ReplaceAll(how.sql, "BYTEA", "BLOB")
	if driver == "pgx" {
		hash, text = fmt.Sprintf(`'\x%x'`, sum[:]), how.sql
	}
	for trigger, table := range map[string]string{
		"events_update_refused": "events", "events_delete_refused": "events",
		"tiles_update_refused": "tiles", "tiles_delete_refused": "tiles",
		"checkpoints_update_refused": "checkpoints", "counters_update_refused": "counters", "counters_shrunk": "counters",
	} {
		drop := "DROP TRIGGER " + trigger
		if driver == "pgx" {
			drop += " ON " + table
		}
		_, err := owner.Exec(drop)
		ok(t, err)
	}
	_, err = owner.Exec(strings.NewReplacer("$LEAF", leaf, "$HASH", hash).Replace(text))
	ok(t, err)

	checked := s.CheckLog(t.Context())
	if how.unseen {
		ok(t, checked)
	} else {
		refused(t, checked, fault.LogDamaged)
	}
	if err := reread(t, s, signed); err == nil {
		t.Error("whoever reads the log against the checkpoint notices nothing")
	}
}

// reread is what an auditor does with a copy: every leaf is hashed, and what
// comes out has to be what was signed, and what the log says that it is.
func reread(t *testing.T, s *Store, signed Checkpoint) error {
	stored, err := s.CheckpointBySize(t.Context(), signed.Size)
	if err != nil || stored != signed {
		return fmt.Errorf("the checkpoint is %+v, %w", stored, err)
	}
	state := must(s.LogState(t.Context()))(t)
	var frontier audit.Frontier
	for size := int64(0); size < state.Size; {
		page, err := s.EventsFrom(t.Context(), size, entriesMost)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return fmt.Errorf("the log ends at %d", size)
		}
		for _, e := range page {
			if size == signed.Size {
				if root := must(frontier.Root(size))(t); root != signed.Root {
					return fmt.Errorf("root %s is not the signed one", base64.StdEncoding.EncodeToString(root[:]))
				}
			}
			if frontier, err = frontier.Push(size, audit.LeafHash(e.Leaf)); err != nil {
				return err
			}
			size++
		}
	}
	if state.Size < signed.Size || string(frontier) != string(state.Frontier) {
		return fmt.Errorf("the %d events are not those of the frontier", state.Size)
	}
	for index := range int64(2) {
		hashes, found, err := s.FullTile(t.Context(), 0, index)
		if err != nil || !found {
			return fmt.Errorf("tile %d is gone, %w", index, err)
		}
		for i, h := range must(s.LeafHashes(t.Context(), index*audit.TileWidth, (index+1)*audit.TileWidth))(t) {
			if string(h[:]) != string(hashes[i*32:][:32]) {
				return fmt.Errorf("tile %d has another hash of event %d", index, i)
			}
		}
	}
	return nil
}
