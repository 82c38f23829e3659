package store

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/find"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

var searchPromises = []promise{
	{"a chunk is found by any of its words, and by all of them", searchByWords},
	{"a search is narrowed by who, where, as whom, when and kind", searchNarrowed},
	{"a search is not widened by what somebody prints", searchNotFooled},
	{"a prefix finds what begins with it", searchByPrefix},
	{"indexing again replaces what was there", indexAgain},
	{"a deleted recording loses its lines", indexGone},
	{"what is to be indexed comes oldest first, after the one before", backlogInOrder},
	{"what is locked or pending is counted, and not found", searchGaps},
	{"pages follow each other without gaps or doubles", searchPages},
}

// sealedSession makes a session whose recording is sealed.
func sealedSession(t testing.TB, s *Store, n int64, identity id.Identity, node id.NodeName) wire.Session {
	t.Helper()
	w := wire.Session{
		ID: id.Session(fmt.Sprintf("%04d-%05d", n/100000, n%100000)), Identity: identity, Login: "deploy", Node: node, Started: 1000 + n,
	}
	ok(t, s.alone(t.Context(), func(t *tx) error { return insertSealed(t, w, n) }))
	return w
}

func insertSealed(t *tx, w wire.Session, n int64) error {
	for _, st := range []struct {
		query string
		args  []any
	}{
		{`INSERT INTO certificates (serial, profile, subject, key_print, valid_after, valid_before, reserved)
			VALUES ($1, 'session', 'x', 'x', 0, 0, 0)`, []any{1_000_000 + n}},
		{`INSERT INTO sessions (id, identity, login, node, node_id, proxy, client, way, role, revision, login_serial, serial, started)
			VALUES ($1, $2, $3, $4, 'n', 'p', 'c', 'connect', 'r', 1, 1, $5, $6)`,
			[]any{string(w.ID), string(w.Identity), string(w.Login), string(w.Node), 1_000_000 + n, w.Started}},
		{`INSERT INTO recordings (session, digest, seal, sealed) VALUES ($1, $2, $2, 1)`, []any{string(w.ID), make([]byte, 32)}},
	} {
		if _, err := t.exec(st.query, st.args...); err != nil {
			return err
		}
	}
	return nil
}

func chunk(t testing.TB, k find.Kind, lines ...string) find.Chunk {
	t.Helper()
	c := find.Chunk{Kind: k}
	var list []find.Line
	for i, text := range lines {
		list = append(list, find.Line{At: int64(i), Text: text})
		c.Words = append(c.Words, find.Words(text)...)
	}
	slices.Sort(c.Words)
	c.Words = slices.Compact(c.Words)
	data, err := find.Pack(list)
	ok(t, err)
	c.Data = data
	return c
}

func index(t testing.TB, s *Store, w wire.Session, chunks ...find.Chunk) {
	t.Helper()
	ok(t, s.IndexSession(t.Context(), w, 1, SearchDone, chunks))
}

// found are the sessions that a search finds, newest first.
func found(t testing.TB, s *Store, f ChunkSearch) (list []string) {
	t.Helper()
	if f.Limit == 0 {
		f.Limit = 100
	}
	hits, err := s.SearchChunks(t.Context(), f)
	ok(t, err)
	for _, h := range hits {
		list = append(list, string(h.Session.ID))
	}
	return list
}

func finds(t *testing.T, s *Store, f ChunkSearch, want ...string) {
	t.Helper()
	if got := found(t, s, f); !slices.Equal(got, want) {
		t.Errorf("%+v finds %q, and not %q", f, got, want)
	}
}

func searchByWords(t *testing.T, s *Store) {
	a, b := sealedSession(t, s, 1, "a@example.com", "web-1"), sealedSession(t, s, 2, "b@example.com", "web-2")
	index(t, s, a, chunk(t, find.Typed, "drop table orders", "grüße 重启"))
	index(t, s, b, chunk(t, find.Typed, "select table"))
	finds(t, s, ChunkSearch{Words: []string{"table"}}, string(b.ID), string(a.ID))
	finds(t, s, ChunkSearch{Words: []string{"drop", "table"}}, string(a.ID))
	finds(t, s, ChunkSearch{Words: []string{"grüße"}}, string(a.ID))
	finds(t, s, ChunkSearch{Words: []string{"重"}}, string(a.ID))
	finds(t, s, ChunkSearch{Words: []string{"grusse"}})
	finds(t, s, ChunkSearch{Words: []string{"nothing"}})
	finds(t, s, ChunkSearch{Words: []string{"or"}}) // a word of FTS5's language, and no operator here
}

func searchNarrowed(t *testing.T, s *Store) {
	a, b := sealedSession(t, s, 1, "a@example.com", "web-1"), sealedSession(t, s, 2, "b@example.com", "web-2")
	for _, w := range []wire.Session{a, b} {
		index(t, s, w, chunk(t, find.Typed, "uptime"), chunk(t, find.Output, "uptime 3 days"))
	}
	word := []string{"uptime"}
	finds(t, s, ChunkSearch{Words: word, Identity: "a@example.com"}, string(a.ID), string(a.ID))
	finds(t, s, ChunkSearch{Words: word, Node: "web-2", Kind: find.Typed}, string(b.ID))
	finds(t, s, ChunkSearch{Words: word, Node: "web-2", Identity: "a@example.com"})
	finds(t, s, ChunkSearch{Words: word, Login: "root"})
	finds(t, s, ChunkSearch{Words: word, Kind: find.Output, Since: b.Started}, string(b.ID))
	finds(t, s, ChunkSearch{Words: word, Kind: find.Output, Until: b.Started}, string(a.ID))
}

func searchNotFooled(t *testing.T, s *Store) {
	a, b := sealedSession(t, s, 1, "a@example.com", "web-1"), sealedSession(t, s, 2, "b@example.com", "web-2")
	planted := strings.Join(filterWords("typed", "a@example.com", "web-1", "deploy"), " ")
	index(t, s, a, chunk(t, find.Typed, "uptime"))
	index(t, s, b, chunk(t, find.Output, "uptime of somebody else "+planted))
	word := []string{"uptime"}
	expected := string(a.ID)
	finds(t, s, ChunkSearch{Words: word, Identity: "a@example.com"}, expected)
	finds(t, s, ChunkSearch{Words: word, Node: "web-1"}, expected)
	finds(t, s, ChunkSearch{Words: word, Kind: find.Typed}, expected)
}

func searchByPrefix(t *testing.T, s *Store) {
	a := sealedSession(t, s, 1, "a@example.com", "web-1")
	index(t, s, a, chunk(t, find.Typed, "systemctl restart nginx"))
	finds(t, s, ChunkSearch{Prefixes: []string{"sys"}}, string(a.ID))
	finds(t, s, ChunkSearch{Words: []string{"nginx"}, Prefixes: []string{"re"}}, string(a.ID))
	finds(t, s, ChunkSearch{Words: []string{"sys"}})
	finds(t, s, ChunkSearch{Prefixes: []string{"ystem"}})
}

func indexAgain(t *testing.T, s *Store) {
	a := sealedSession(t, s, 1, "a@example.com", "web-1")
	index(t, s, a, chunk(t, find.Typed, "old words"), chunk(t, find.Output, "more old words"))
	index(t, s, a, chunk(t, find.Typed, "new words"))
	finds(t, s, ChunkSearch{Words: []string{"old"}})
	finds(t, s, ChunkSearch{Words: []string{"words"}}, string(a.ID))
	fresh, _, err := s.ToIndex(t.Context(), Backlog{Version: 1, Relocked: true, Limit: 10})
	ok(t, err)
	if len(fresh) != 0 {
		t.Errorf("%v is to be indexed again", fresh)
	}
	if fresh, _, err = s.ToIndex(t.Context(), Backlog{Version: 2, Relocked: true, Limit: 10}); err != nil || len(fresh) != 1 {
		t.Errorf("a later indexer finds %v (%v)", fresh, err)
	}
}

func indexGone(t *testing.T, s *Store) {
	a := sealedSession(t, s, 1, "a@example.com", "web-1")
	index(t, s, a, chunk(t, find.Typed, "uptime"))
	ok(t, s.alone(t.Context(), func(t *tx) error {
		_, err := t.exec(`UPDATE recordings SET deleted = 7 WHERE session = $1`, string(a.ID))
		return err
	}))
	fresh, gone, err := s.ToIndex(t.Context(), Backlog{Version: 1, Relocked: true, Limit: 10})
	ok(t, err)
	if len(fresh) != 0 || len(gone) != 1 || gone[0].ID != a.ID {
		t.Fatalf("to index is %v, to forget %v", fresh, gone)
	}
	ok(t, s.IndexSession(t.Context(), a, 1, SearchGone, nil))
	finds(t, s, ChunkSearch{Words: []string{"uptime"}})
	if _, gone, _ = s.ToIndex(t.Context(), Backlog{Version: 1, Relocked: true, Limit: 10}); len(gone) != 0 {
		t.Errorf("%v is to be forgotten again", gone)
	}
}

func searchGaps(t *testing.T, s *Store) {
	a, b := sealedSession(t, s, 1, "a@example.com", "web-1"), sealedSession(t, s, 2, "b@example.com", "web-2")
	sealedSession(t, s, 3, "b@example.com", "web-2")
	index(t, s, a, chunk(t, find.Typed, "uptime"))
	ok(t, s.IndexSession(t.Context(), b, 1, SearchLocked, nil))
	for _, tt := range []struct {
		f               ChunkSearch
		locked, pending int64
	}{
		{ChunkSearch{}, 1, 1},
		{ChunkSearch{Node: "web-1"}, 0, 0},
		{ChunkSearch{Identity: "b@example.com", Since: 1003}, 0, 1},
	} {
		locked, pending, err := s.SearchGaps(t.Context(), tt.f)
		ok(t, err)
		if locked != tt.locked || pending != tt.pending {
			t.Errorf("%+v: %d locked, %d pending", tt.f, locked, pending)
		}
	}
	for relocked, want := range map[bool]int{false: 1, true: 2} {
		fresh, _, err := s.ToIndex(t.Context(), Backlog{Version: 1, Relocked: relocked, Limit: 10})
		ok(t, err)
		if len(fresh) != want {
			t.Errorf("with relocked %v there are %d to index", relocked, len(fresh))
		}
	}
}

func backlogInOrder(t *testing.T, s *Store) {
	var after wire.Session
	a, b := sealedSession(t, s, 1, "a@example.com", "web-1"), sealedSession(t, s, 2, "a@example.com", "web-1")
	for _, want := range []id.Session{a.ID, b.ID} {
		fresh, _, err := s.ToIndex(t.Context(), Backlog{Version: 1, After: after, Limit: 1})
		ok(t, err)
		if len(fresh) != 1 || fresh[0].ID != want {
			t.Fatalf("next is %v, and not %s", fresh, want)
		}
		after = fresh[0]
	}
	if fresh, _, err := s.ToIndex(t.Context(), Backlog{Version: 1, After: after, Limit: 1}); err != nil || len(fresh) != 0 {
		t.Errorf("there is %v (%v)", fresh, err)
	}
}

func searchPages(t *testing.T, s *Store) {
	var want []string
	for n := range int64(7) {
		w := sealedSession(t, s, n+1, "a@example.com", "web-1")
		index(t, s, w, chunk(t, find.Typed, "uptime"))
		want = append(want, string(w.ID))
	}
	slices.Reverse(want)
	var got []string
	for before := int64(0); ; {
		hits, err := s.SearchChunks(t.Context(), ChunkSearch{Words: []string{"uptime"}, Before: before, Limit: 3})
		ok(t, err)
		if len(hits) == 0 {
			break
		}
		for _, h := range hits {
			got, before = append(got, string(h.Session.ID)), h.Number
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages are %q", got)
	}
}

// BenchmarkSearch asks of 100,000 sessions with four chunks each: a word that is
// nowhere, one that is in a single session, and one that is in each of them.
func BenchmarkSearch(b *testing.B) {
	const sessions, perCommit = 100_000, 500
	for name, url := range map[string]func() string{
		"sqlite":   func() string { return "sqlite://" + filepath.Join(b.TempDir(), "ca.db") },
		"postgres": func() string { return rig.Postgres(b).URL },
	} {
		b.Run(name, func(b *testing.B) {
			s := open(b, url())
			text := strings.Fields("systemctl status nginx journalctl grep error tail follow kernel memory disk usage root login ssh failed accepted from port")
			for n := int64(0); n < sessions; n += perCommit {
				ok(b, s.alone(b.Context(), func(t *tx) error {
					for i := n; i < n+perCommit; i++ {
						w := wire.Session{
							ID: id.Session(fmt.Sprintf("%04d-%05d", i/100000, i%100000)), Identity: id.Identity(fmt.Sprintf("p%d@example.com", i%997)),
							Login: "deploy", Node: id.NodeName(fmt.Sprintf("web-%d", i%2003)), Started: i,
						}
						if err := insertSealed(t, w, i); err != nil {
							return err
						}
						for c := range int64(4) {
							words := []string{"common", fmt.Sprintf("unique%d", i), text[(i+c)%int64(len(text))], text[(i*7+c)%int64(len(text))]}
							slices.Sort(words)
							t.insertChunk(i*4+c+1, w, find.Chunk{Kind: find.Output, Words: slices.Compact(words), Data: []byte{1}})
						}
					}
					return nil
				}))
			}
			b.Run("what it cannot see", func(b *testing.B) {
				for b.Loop() {
					_, _, err := s.SearchGaps(b.Context(), ChunkSearch{})
					ok(b, err)
				}
			})
			for what, f := range map[string]ChunkSearch{
				"nowhere":           {Words: []string{"unheard"}, Limit: 50},
				"in one session":    {Words: []string{"unique4711"}, Limit: 50},
				"in every session":  {Words: []string{"common", "from"}, Limit: 50},
				"of one identity":   {Words: []string{"common"}, Identity: "p13@example.com", Node: "web-13", Limit: 50},
				"of the first hour": {Words: []string{"common"}, Until: 3600, Limit: 50},
				"by a prefix":       {Prefixes: []string{"un"}, Limit: 50},
			} {
				b.Run(what, func(b *testing.B) {
					for b.Loop() {
						_, err := s.SearchChunks(b.Context(), f)
						ok(b, err)
					}
				})
			}
		})
	}
}
