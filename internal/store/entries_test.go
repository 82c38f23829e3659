package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// story writes a log of ten events, one each second from second 100 on.
func story(t *testing.T, s *Store) {
	t.Helper()
	for i, e := range []audit.Event{
		{Kind: audit.LoginGranted, Actor: "you@example.com", Identity: "you@example.com"},
		{Kind: audit.SessionDenied, Actor: "you@example.com", Identity: "you@example.com", Login: "root", Node: "web-1", Reason: "no_role"},
		{Kind: audit.SessionGranted, Actor: "you@example.com", Identity: "you@example.com", Login: "deploy", Node: "web-1", Session: "s-1"},
		{Kind: audit.NodeAdded, Actor: "ada@example.com", Node: "db-1"},
		{Kind: audit.LoginGranted, Actor: "ada@example.com", Identity: "ada@example.com"},
		{Kind: audit.SessionDenied, Actor: "ada@example.com", Identity: "ada@example.com", Login: "root", Node: "db-1", Reason: "no_policy"},
		{Kind: audit.SessionEnded, Actor: "proxy:p-1", Identity: "you@example.com", Login: "deploy", Node: "web-1", Session: "s-1", Reason: "closed"},
		{Kind: audit.LoginEnded, Actor: "ada@example.com", Identity: "you@example.com"},
		{Kind: audit.LoginRefused, Reason: "token_expired"},
		{Kind: audit.PolicyApplied, Actor: "ada@example.com"},
	} {
		s.clock = func() time.Time { return time.Unix(100+int64(i), 0) }
		ok(t, s.Append(t.Context(), e))
	}
}

func indexes(list []audit.Entry) (all []int64) {
	for _, e := range list {
		all = append(all, e.Index)
	}
	return all
}

var entryPromises = []promise{
	{"a page of the log narrows by each of its fields", func(t *testing.T, s *Store) {
		story(t, s)
		for _, c := range []struct {
			filter wire.AuditFilter
			want   []int64
		}{
			{wire.AuditFilter{}, []int64{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
			{wire.AuditFilter{Oldest: true, Limit: 3}, []int64{0, 1, 2}},
			{wire.AuditFilter{Limit: 2}, []int64{9, 8}},
			{wire.AuditFilter{From: 7}, []int64{9, 8, 7}},
			{wire.AuditFilter{From: 7, Oldest: true}, []int64{7, 8, 9}},
			{wire.AuditFilter{From: 10, Oldest: true}, nil},
			{wire.AuditFilter{Before: 2}, []int64{1, 0}},
			{wire.AuditFilter{From: 3, Before: 5, Oldest: true}, []int64{3, 4}},
			{wire.AuditFilter{Identity: "you@example.com"}, []int64{7, 6, 2, 1, 0}},
			{wire.AuditFilter{Identity: "ada@example.com"}, []int64{9, 7, 5, 4, 3}},
			{wire.AuditFilter{Identity: "ada@example.com", Oldest: true, Limit: 2}, []int64{3, 4}},
			{wire.AuditFilter{Identity: "ada@example.com", Kind: []string{"login_ended", "policy_applied", "session_ended"}}, []int64{9, 7}},
			{wire.AuditFilter{Kind: []string{"login_granted"}}, []int64{4, 0}},
			{wire.AuditFilter{Kind: []string{"login_granted", "policy_applied", "login_granted", "none"}, Limit: 2}, []int64{9, 4}},
			{wire.AuditFilter{Kind: []string{"session_denied", "login_granted"}, Oldest: true, Limit: 3}, []int64{0, 1, 4}},
			{wire.AuditFilter{Login: "root"}, []int64{5, 1}},
			{wire.AuditFilter{Node: "web-1"}, []int64{6, 2, 1}},
			{wire.AuditFilter{Node: "web-1", Kind: []string{"session_ended"}}, []int64{6}},
			{wire.AuditFilter{Session: "s-1"}, []int64{6, 2}},
			{wire.AuditFilter{Reason: "no_role"}, []int64{1}},
			{wire.AuditFilter{Since: 107}, []int64{9, 8, 7}},
			{wire.AuditFilter{Until: 102}, []int64{1, 0}},
			{wire.AuditFilter{Since: 102, Until: 104, Oldest: true}, []int64{2, 3}},
			{wire.AuditFilter{Since: 200}, nil},
			{wire.AuditFilter{Until: 100}, nil},
			{wire.AuditFilter{Since: 101, Until: 106, Identity: "you@example.com", Login: "root", Node: "web-1", Reason: "no_role", Kind: []string{"session_denied"}}, []int64{1}},
			{wire.AuditFilter{Identity: "' OR 1=1 --"}, nil},
		} {
			list, size, err := s.Events(t.Context(), c.filter)
			ok(t, err)
			if diff := cmp.Diff(c.want, indexes(list)); diff != "" || size != 10 {
				t.Errorf("%+v, of %d: %s", c.filter, size, diff)
			}
		}
		_, _, err := s.Events(t.Context(), wire.AuditFilter{Kind: slices.Repeat([]string{"x"}, kindsMost+1)})
		refused(t, err, fault.BadRequest)
	}},
	{"a time is found in a log of every size", func(t *testing.T, s *Store) {
		for size := range int64(20) {
			for seconds := range size + 3 {
				got := must(s.firstAt(t.Context(), 100+seconds, size))(t)
				if want := min(seconds, size); got != want {
					t.Fatalf("second %d of a log of %d: event %d, want %d", seconds, size, got, want)
				}
			}
			s.clock = func() time.Time { return time.Unix(100+size, 0) }
			ok(t, s.Append(t.Context(), denied("you@example.com")))
		}
	}},
	{"an exporter gets every event in order, and nothing where there is nothing new", func(t *testing.T, s *Store) {
		story(t, s)
		if got := indexes(must(s.EventsFrom(t.Context(), 8, 100))(t)); !slices.Equal(got, []int64{8, 9}) {
			t.Errorf("%v", got)
		}
		if got := must(s.EventsFrom(t.Context(), 10, 100))(t); len(got) != 0 {
			t.Errorf("%v", got)
		}
		e := must(s.Entry(t.Context(), 3))(t)
		if event := must(e.Event())(t); e.Index != 3 || event.Node != "db-1" {
			t.Errorf("%d %s", e.Index, e.Leaf)
		}
		_, err := s.Entry(t.Context(), 10)
		refused(t, err, fault.NotFound)
		_, err = s.Entry(t.Context(), -1)
		refused(t, err, fault.NotFound)
	}},
	{"who waits for an event is told of it, also by another CA", func(t *testing.T, s *Store) {
		other := &Store{read: s.read, clock: s.clock} // hears nothing from s's writer
		sizes := make([]int64, 2)
		var wg sync.WaitGroup
		for i, waits := range []*Store{s, other} {
			wg.Go(func() {
				size, err := waits.WaitEvents(t.Context(), 0)
				expect(t, err, "")
				sizes[i] = size
			})
		}
		ok(t, s.Append(t.Context(), denied("you@example.com")))
		wg.Wait()
		if !slices.Equal(sizes, []int64{1, 1}) {
			t.Fatalf("sizes %v", sizes)
		}
		if size := must(s.WaitEvents(t.Context(), 0))(t); size != 1 {
			t.Fatalf("size %d", size)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if size := must(s.WaitEvents(ctx, 1))(t); size != 1 {
			t.Fatalf("size %d after nothing happened", size)
		}
	}},
}

var treePromises = []promise{
	{"full tiles are stored once, and another CA's have to be the same", func(t *testing.T, s *Store) {
		tile := Tile{0, 3, slices.Repeat([]byte{7}, 256*32)}
		_, found, err := s.FullTile(t.Context(), 0, 3)
		ok(t, err)
		if found {
			t.Fatal("a tile was found before it was made")
		}
		ok(t, s.PutTiles(t.Context(), tile))
		ok(t, s.PutTiles(t.Context(), tile, Tile{1, 0, tile.Hashes}))
		hashes, found, err := s.FullTile(t.Context(), 0, 3)
		ok(t, err)
		if diff := cmp.Diff(tile.Hashes, hashes); diff != "" || !found {
			t.Fatal(diff)
		}
		refused(t, s.PutTiles(t.Context(), Tile{1, 1, tile.Hashes}, Tile{0, 3, slices.Repeat([]byte{8}, 256*32)}), fault.LogDamaged)
		if _, found, _ := s.FullTile(t.Context(), 1, 1); found {
			t.Error("a tile of a refused set was stored")
		}
		refused(t, s.PutTiles(t.Context(), Tile{0, 4, tile.Hashes[:255*32]}), fault.InternalError)
	}},
	{"a checkpoint is of what the log is, and one of each size", func(t *testing.T, s *Store) {
		_, err := s.LatestCheckpoint(t.Context())
		refused(t, err, fault.NotFound)
		story(t, s)
		c := checkpoint(t, s, 10)
		if got := must(s.PutCheckpoint(t.Context(), c))(t); got != c {
			t.Fatalf("%+v", got)
		}
		again := c
		again.Note, again.At = "signed by another CA", 8
		if got := must(s.PutCheckpoint(t.Context(), again))(t); got != c {
			t.Fatalf("%+v", got)
		}
		other := c
		other.Root[0]++
		_, err = s.PutCheckpoint(t.Context(), other)
		refused(t, err, fault.LogDamaged)
		ok(t, s.Append(t.Context(), denied("you@example.com")))
		_, err = s.PutCheckpoint(t.Context(), other)
		refused(t, err, fault.LogDamaged)
		_, err = s.PutCheckpoint(t.Context(), Checkpoint{Size: 12})
		refused(t, err, fault.LogDamaged)
		_, err = s.PutCheckpoint(t.Context(), Checkpoint{Size: 11})
		refused(t, err, fault.LogDamaged)
		d := must(s.PutCheckpoint(t.Context(), checkpoint(t, s, 11)))(t)
		if got := must(s.LatestCheckpoint(t.Context()))(t); got != d {
			t.Fatalf("%+v", got)
		}
		if got := must(s.CheckpointBySize(t.Context(), 10))(t); got != c {
			t.Fatalf("%+v", got)
		}
		if got := must(s.CheckpointFrom(t.Context(), 3))(t); got != c {
			t.Fatalf("%+v", got)
		}
		_, err = s.CheckpointBySize(t.Context(), 9)
		refused(t, err, fault.NotFound)
		_, err = s.CheckpointFrom(t.Context(), 12)
		refused(t, err, fault.NotFound)
	}},
	{"cosignatures come one by one, each once", func(t *testing.T, s *Store) {
		story(t, s)
		must(s.PutCheckpoint(t.Context(), checkpoint(t, s, 10)))(t)
		ok(t, s.AddCosignatures(t.Context(), 10, "— a x\n"))
		ok(t, s.AddCosignatures(t.Context(), 10, "— b y", "— a x"))
		if got := must(s.LatestCheckpoint(t.Context()))(t).Cosignatures; got != "— a x\n— b y\n" {
			t.Fatalf("%q", got)
		}
		refused(t, s.AddCosignatures(t.Context(), 10, "— a x\n— c z"), fault.BadRequest)
		refused(t, s.AddCosignatures(t.Context(), 9, "— a x"), fault.NotFound)
	}},
	{"the hashes of a range are those of its leaves, or the log is damaged", func(t *testing.T, s *Store) {
		story(t, s)
		for from := range int64(10) {
			hashes := must(s.LeafHashes(t.Context(), from, 10))(t)
			for i, h := range hashes {
				if e := must(s.Entry(t.Context(), from+int64(i)))(t); audit.LeafHash(e.Leaf) != h {
					t.Fatalf("event %d", e.Index)
				}
			}
		}
		_, err := s.LeafHashes(t.Context(), 8, 11)
		refused(t, err, fault.LogDamaged)
	}},
	{"the tree is the same from events, from tiles, and from both", func(t *testing.T, s *Store) {
		const size = 3*audit.TileWidth + 77
		batch := make([]audit.Event, size)
		for i := range batch {
			batch[i] = denied("you@example.com")
		}
		ok(t, s.Append(t.Context(), batch...))
		must(s.PutCheckpoint(t.Context(), checkpoint(t, s, size)))(t)
		ok(t, s.CheckLog(t.Context()))
		for _, index := range []int64{1, 0, 2} {
			tile := Tile{Level: 0, Index: index}
			for _, h := range must(s.LeafHashes(t.Context(), index*audit.TileWidth, (index+1)*audit.TileWidth))(t) {
				tile.Hashes = append(tile.Hashes, h[:]...)
			}
			ok(t, s.PutTiles(t.Context(), tile))
			ok(t, s.CheckLog(t.Context()))
		}
		proven(t, s)
	}},
}

// checkpoint is one of the log as it is now, which has that size.
func checkpoint(t testing.TB, s *Store, size int64) Checkpoint {
	t.Helper()
	state := must(s.LogState(t.Context()))(t)
	if state.Size != size {
		t.Fatalf("size %d, want %d", state.Size, size)
	}
	root := must(state.Frontier.Root(size))(t)
	return Checkpoint{Size: size, Root: root, At: 7, Note: fmt.Sprintf("log\n%d\n%s\n\n— log sig\n", size, root)}
}
