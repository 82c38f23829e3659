package audit

import (
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// hashes are x/mod's own tree, hash by hash.
type hashes []Hash

func (h hashes) ReadHashes(indexes []int64) ([]Hash, error) {
	out := make([]Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h[x]
	}
	return out, nil
}

func (h *hashes) push(n int64, leaf []byte) {
	more, err := tlog.StoredHashes(n, leaf, *h)
	if err != nil {
		panic(err)
	}
	*h = append(*h, more...)
}

// TestTheEdgeIsTheTree of x/mod and of the store, at every size.
func TestTheEdgeIsTheTree(t *testing.T) {
	var theirs hashes
	edge, frontier := &Edge{}, Frontier(nil)
	full := map[Tile][]byte{}
	for n := range int64(1500) {
		one := leaf("ann", n)
		theirs.push(n, one)
		if err := edge.Push(LeafHash(one), func(t Tile, hashes []byte) error { full[t] = hashes; return nil }); err != nil {
			t.Fatal(err)
		}
		var err error
		if frontier, err = frontier.Push(n, LeafHash(one)); err != nil {
			t.Fatal(err)
		}
		want, err := tlog.TreeHash(n+1, theirs)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := frontier.Root(n + 1)
		if err != nil || edge.Root() != want || kept != want || edge.Size() != n+1 {
			t.Fatalf("at %d: %v", n+1, err)
		}
		again, err := OpenEdge(n+1, func(t Tile) ([]byte, error) {
			if at, hashes := edge.Partial(t.Level); at == t {
				return hashes, nil
			}
			return nil, errors.New("no such tile")
		})
		if err != nil || again.Root() != want {
			t.Fatalf("opened at %d: %v", n+1, err)
		}
	}
	if len(full) != 5 {
		t.Errorf("%d tiles", len(full))
	}
	for tile, data := range full {
		if want, err := tlog.ReadTileData(tlog.Tile{H: 8, L: tile.Level, N: tile.Index, W: tile.Width}, theirs); err != nil || string(want) != string(data) {
			t.Errorf("%s: %v", tile.Path(), err)
		}
	}
}

func TestProofsFromTiles(t *testing.T) {
	l := newTestLog(t)
	for _, n := range []int64{1, 2, 255, 256, 257, 1000, 66_000} {
		files, c := l.copy(n, "ann")
		read := reader(files)
		for i := int64(0); i < n; i += max(1, n/13) {
			p, err := c.ProveInclusion(i, read)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.CheckInclusion(i, leaf("ann", i), p); err != nil {
				t.Errorf("%d of %d: %v", i, n, err)
			}
			if err := c.CheckInclusion(i, leaf("eve", i), p); err == nil {
				t.Errorf("%d of %d: another event has the same proof", i, n)
			}
			if err := c.CheckInclusion((i+1)%n, leaf("ann", i), p); err == nil && n > 1 {
				t.Errorf("%d of %d: at another place", i, n)
			}
			if i == 0 {
				continue
			}
			root, err := c.RootAt(i, read)
			if err != nil {
				t.Fatal(err)
			}
			old := Checkpoint{testOrigin, i, root}
			p, err = c.ProveConsistency(i, read)
			if err == nil {
				err = c.CheckConsistency(old, p)
			}
			if err != nil {
				t.Errorf("%d to %d: %v", i, n, err)
			}
			old.Root[0]++
			if err := c.CheckConsistency(old, p); err == nil {
				t.Errorf("%d to %d: another past", i, n)
			}
		}
		for _, i := range []int64{-1, n, n + 1} {
			if _, err := c.ProveInclusion(i, read); err == nil {
				t.Errorf("event %d of %d is proven", i, n)
			}
			if err := c.CheckInclusion(i, leaf("ann", i), nil); err == nil {
				t.Errorf("event %d of %d is in", i, n)
			}
		}
	}
}

// TestProofsNeedNotTrustTheirTiles: whoever serves them may lie.
func TestProofsNeedNotTrustTheirTiles(t *testing.T) {
	l := newTestLog(t)
	files, c := l.copy(1000, "ann")
	theirs, _ := l.copy(1000, "eve")
	_, err := c.ProveInclusion(5, reader(theirs))
	if damage, _ := damageOf(t, err); damage != Changed {
		t.Errorf("got %v", err)
	}
	short := func(t Tile) ([]byte, error) { data, _ := reader(files)(t); return data[:32], nil }
	_, err = c.ProveInclusion(5, short)
	if damage, _ := damageOf(t, err); damage != Malformed {
		t.Errorf("short tiles: %v", err)
	}
	away := errors.New("away")
	if _, err := c.ProveConsistency(5, func(Tile) ([]byte, error) { return nil, away }); err != away {
		t.Errorf("tiles that are away: %v", err)
	}
}

func TestConsistencyIsNamed(t *testing.T) {
	l := newTestLog(t)
	files, c := l.copy(1000, "ann")
	_, old := l.copy(600, "ann")
	_, fork := l.copy(600, "eve")
	foreign := old
	foreign.Origin = "elsewhere.example.com/log"
	p, err := c.ProveConsistency(600, reader(files))
	if err != nil {
		t.Fatal(err)
	}
	same := c
	same.Root[0]++
	for name, row := range map[string]struct {
		now, old Checkpoint
		damage   Damage // "" is consistent
	}{
		"grown":             {c, old, ""},
		"the same":          {c, c, ""},
		"from nothing":      {c, Checkpoint{Origin: testOrigin}, ""},
		"another past":      {c, fork, Forked},
		"smaller":           {old, c, RolledBack},
		"of the same size":  {c, same, Forked},
		"of another origin": {c, foreign, Forked},
	} {
		err := row.now.CheckConsistency(row.old, p)
		if row.damage == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if damage, _ := damageOf(t, err); damage != row.damage {
			t.Errorf("%s: %v", name, err)
		}
	}
}
