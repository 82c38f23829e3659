package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/find"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/migrations"
)

// SearchState says what became of indexing a recording.
type SearchState string

const (
	SearchDone    SearchState = "done"
	SearchPartly  SearchState = "partly"  // there was more than the index takes of one session
	SearchLocked  SearchState = "locked"  // no key at hand opens it
	SearchDamaged SearchState = "damaged" // it is not what was sealed
	SearchGone    SearchState = "gone"    // it was deleted, and its lines with it
)

// IndexSession replaces what is indexed of a session.
func (s *Store) IndexSession(ctx context.Context, ws wire.Session, version int64, state SearchState, chunks []find.Chunk) error {
	return s.alone(ctx, func(t *tx) error {
		if err := t.dropChunks(ws.ID); err != nil {
			return err
		}
		const mark = `INSERT INTO search_sessions (session, version, at, state) VALUES ($1, $2, $3, $4)
			ON CONFLICT (session) DO UPDATE SET version = EXCLUDED.version, at = EXCLUDED.at, state = EXCLUDED.state`
		if _, err := t.exec(mark, ws.ID, version, t.now, string(state)); err != nil {
			return err
		}
		const last = `SELECT coalesce(max(id), 0) FROM search_chunks`
		var n int64
		if _, err := t.row(func(r scanner) error { return r.Scan(&n) }, last); err != nil {
			return err
		}
		for i, c := range chunks {
			t.insertChunk(n+int64(i)+1, ws, c)
		}
		return nil
	})
}

func (t *tx) insertChunk(number int64, ws wire.Session, c find.Chunk) {
	words := append(filterWords(string(c.Kind), ws.Identity, ws.Node, ws.Login), c.Words...)
	if t.db.schema == migrations.SQLite {
		const insert = `INSERT INTO search_chunks (id, session, started, kind, data) VALUES ($1, $2, $3, $4, $5)`
		const index = `INSERT INTO search_words (rowid, words) VALUES ($1, $2)`
		t.later(statement{shape: shape{literal: insert}, args: []any{number, string(ws.ID), ws.Started, string(c.Kind), c.Data}})
		t.later(statement{shape: shape{literal: index}, args: []any{number, strings.Join(words, " ")}})
		return
	}
	// Words are letters and digits, so that nothing in the array has to be quoted.
	const insert = `INSERT INTO search_chunks (id, session, started, kind, data, words)
		VALUES ($1, $2, $3, $4, $5, array_to_tsvector(CAST($6 AS TEXT[])))`
	t.later(statement{shape: shape{literal: insert}, args: []any{
		number, string(ws.ID), ws.Started, string(c.Kind), c.Data, "{" + strings.Join(words, ",") + "}",
	}})
}

func (t *tx) dropChunks(session id.Session) error {
	if t.db.schema == migrations.SQLite {
		const words = `DELETE FROM search_words WHERE rowid IN (SELECT id FROM search_chunks WHERE session = $1)`
		if _, err := t.exec(words, session); err != nil {
			return err
		}
	}
	const chunks = `DELETE FROM search_chunks WHERE session = $1`
	_, err := t.exec(chunks, session)
	return err
}

// filterWords are words that no text has, for what a search narrows by: the
// index then takes the intersection, however common the text's own words are.
func filterWords(kind string, identity id.Identity, node id.NodeName, login id.Login) (words []string) {
	for _, f := range []struct{ what, value string }{
		{"xqk", kind}, {"xqi", string(identity)}, {"xqn", string(node)}, {"xql", string(login)},
	} {
		if f.value != "" {
			sum := sha256.Sum256([]byte(f.value))
			words = append(words, f.what+hex.EncodeToString(sum[:8]))
		}
	}
	return words
}

const indexable = ` FROM sessions JOIN recordings ON recordings.session = sessions.id
	LEFT JOIN search_sessions ON search_sessions.session = sessions.id
	WHERE recordings.digest IS NOT NULL`

// Backlog asks what is to be indexed.
type Backlog struct {
	Version  int64        // of the indexer
	Relocked bool         // what was locked, too: there may be a key for it now
	After    wire.Session // sessions that are later than this one alone; zero: from the first
	Limit    int
}

// ToIndex returns sealed sessions that the version has not indexed yet, the oldest
// first, and those that were deleted and still have lines.
func (s *Store) ToIndex(ctx context.Context, b Backlog) (fresh, gone []wire.Session, err error) {
	const columns = `SELECT sessions.id, identity, login, node, client, sessions.started, role`
	scan := func(r scanner) (w wire.Session, err error) {
		err = r.Scan(&w.ID, &w.Identity, &w.Login, &w.Node, &w.Client, &w.Started, &w.Role)
		return w, err
	}
	locked := "-"
	if b.Relocked {
		locked = string(SearchLocked)
	}
	const new = columns + indexable + ` AND recordings.deleted = 0
		AND (search_sessions.session IS NULL OR search_sessions.version < $1 OR search_sessions.state = $2)
		AND (sessions.started, sessions.id) > ($3, $4) ORDER BY sessions.started, sessions.id LIMIT $5`
	if fresh, err = all(ctx, s, scan, new, b.Version, locked, b.After.Started, string(b.After.ID), b.Limit); err != nil {
		return nil, nil, err
	}
	const old = columns + indexable + ` AND recordings.deleted > 0
		AND search_sessions.session IS NOT NULL AND search_sessions.state <> 'gone' LIMIT $1`
	gone, err = all(ctx, s, scan, old, b.Limit)
	return fresh, gone, err
}

// ChunkSearch asks for chunks that have all words.
type ChunkSearch struct {
	Words, Prefixes []string // at least one in all
	Kind            find.Kind
	Identity        id.Identity
	Node            id.NodeName
	Login           id.Login
	Since, Until    int64 // of the session's start, Unix seconds; 0: no limit
	Before          int64 // chunks with a smaller number alone; 0: no limit
	Limit           int
}

// ChunkHit is a chunk in which an answer may be.
type ChunkHit struct {
	Number  int64
	Kind    find.Kind
	Data    []byte
	Session wire.Session // id, identity, login, node, started
}

// SearchChunks returns chunks, the newest first.
func (s *Store) SearchChunks(ctx context.Context, f ChunkSearch) ([]ChunkHit, error) {
	if s.read == nil {
		return nil, s.Ping(ctx)
	}
	q := selection{}
	words := append(filterWords(string(f.Kind), f.Identity, f.Node, f.Login), f.Words...)
	q.text = `SELECT c.id, c.kind, c.data, s.id, s.identity, s.login, s.node, s.started FROM search_chunks c
		JOIN sessions s ON s.id = c.session WHERE `
	number := `c.id`
	if s.read.db.schema == migrations.SQLite {
		q.text = `SELECT c.id, c.kind, c.data, s.id, s.identity, s.login, s.node, s.started FROM search_words w
			CROSS JOIN search_chunks c ON c.id = w.rowid CROSS JOIN sessions s ON s.id = c.session
			WHERE search_words MATCH ` + q.param(match(words, f.Prefixes, ` AND `, `"`, `"*`))
		number = `w.rowid`
	} else {
		q.text += `c.words @@ CAST(` + q.param(match(words, f.Prefixes, ` & `, `'`, `':*`)) + ` AS TSQUERY)`
	}
	// The words above are there to be fast. Somebody may print another identity's
	// word in a session, so that it is the row that decides whose lines are shown.
	for _, c := range []struct{ column, value string }{
		{"c.kind", string(f.Kind)}, {"s.identity", string(f.Identity)}, {"s.node", string(f.Node)}, {"s.login", string(f.Login)},
	} {
		if c.value != "" {
			q.text += ` AND ` + c.column + ` = ` + q.param(c.value)
		}
	}
	if f.Since != 0 {
		q.text += ` AND c.started >= ` + q.param(f.Since)
	}
	if f.Until != 0 {
		q.text += ` AND c.started < ` + q.param(f.Until)
	}
	if f.Before != 0 {
		q.text += ` AND ` + number + ` < ` + q.param(f.Before)
	}
	q.text += ` ORDER BY ` + number + ` DESC LIMIT ` + strconv.Itoa(f.Limit)
	return all(ctx, s, func(r scanner) (h ChunkHit, err error) {
		w := &h.Session
		err = r.Scan(&h.Number, &h.Kind, &h.Data, &w.ID, &w.Identity, &w.Login, &w.Node, &w.Started)
		return h, err
	}, q.text, q.args...)
}

// match is a query of the database's own language. Words are letters and digits,
// so that nothing in them can end the quotes.
func match(words, prefixes []string, and, quote, star string) string {
	var b strings.Builder
	add := func(word, end string) {
		if b.Len() > 0 {
			b.WriteString(and)
		}
		b.WriteString(quote + word + end)
	}
	for _, w := range words {
		add(w, quote)
	}
	for _, p := range prefixes {
		add(p, star)
	}
	return b.String()
}

// SearchGaps counts the sessions of f that a search cannot see: those that are
// locked, and those that are sealed and not indexed yet.
func (s *Store) SearchGaps(ctx context.Context, f ChunkSearch) (locked, pending int64, err error) {
	q := selection{text: `SELECT count(*) FILTER (WHERE search_sessions.state = 'locked'),
		count(*) FILTER (WHERE search_sessions.session IS NULL)` + indexable +
		` AND recordings.deleted = 0 AND (search_sessions.session IS NULL OR search_sessions.state = 'locked')`}
	for _, c := range []struct{ column, value string }{
		{"identity", string(f.Identity)}, {"node", string(f.Node)}, {"login", string(f.Login)},
	} {
		if c.value != "" {
			q.text += ` AND sessions.` + c.column + ` = ` + q.param(c.value)
		}
	}
	if f.Since != 0 {
		q.text += ` AND sessions.started >= ` + q.param(f.Since)
	}
	if f.Until != 0 {
		q.text += ` AND sessions.started < ` + q.param(f.Until)
	}
	_, err = s.row(ctx, func(r scanner) error { return r.Scan(&locked, &pending) }, q.text, q.args...)
	return locked, pending, err
}
