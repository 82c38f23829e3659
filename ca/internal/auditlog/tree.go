package auditlog

import (
	"context"
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

// page is how many events are read at once.
const page = 1000

// tree follows the events of the store, hash by hash, and keeps the tiles that
// become full.
type tree struct {
	store *store.Store

	mu      sync.Mutex
	edge    *audit.Edge  // nil until it was opened
	pending []store.Tile // full, and not known to be stored
}

func (t *tree) size() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.edge == nil {
		return 0
	}
	return t.edge.Size()
}

func (t *tree) opened() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.edge != nil
}

// open begins with the tree of a checkpoint, of which the tiles are stored; with
// none, at the first event. It does nothing to an open tree.
func (t *tree) open(ctx context.Context, c audit.Checkpoint) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.edge != nil {
		return nil
	}
	edge, err := audit.OpenEdge(c.Size, func(want audit.Tile) ([]byte, error) { return t.build(ctx, want) })
	if err != nil {
		return named(err)
	}
	if c.Size > 0 && edge.Root() != c.Root {
		return damaged("the first %d events are not those that were signed", c.Size)
	}
	t.edge = edge
	return nil
}

// advance takes the events up to size in, and stores the tiles that they fill.
// One goroutine does it at a time; others read meanwhile.
func (t *tree) advance(ctx context.Context, size int64) error {
	for {
		if err := t.flush(ctx); err != nil {
			return err
		}
		from := t.size()
		if from >= size {
			return nil
		}
		entries, err := t.store.EventsFrom(ctx, from, int(min(size-from, page)))
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return damaged("event %d is missing, of %d", from, size)
		}
		t.push(entries)
	}
}

// push appends the entries' leaves, and not the hashes that stand beside them in
// the store: it is the leaves that are shown.
func (t *tree) push(entries []audit.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range entries {
		t.edge.Push(audit.LeafHash(e.Leaf), func(full audit.Tile, hashes []byte) error {
			t.pending = append(t.pending, store.Tile{Level: full.Level, Index: full.Index, Hashes: hashes})
			return nil
		})
	}
}

// flush stores what is full. Until then a reader finds it in pending.
func (t *tree) flush(ctx context.Context) error {
	t.mu.Lock()
	full := t.pending
	t.mu.Unlock()
	if len(full) == 0 {
		return nil
	}
	if err := t.store.PutTiles(ctx, full...); err != nil {
		return err
	}
	t.mu.Lock()
	t.pending = nil
	t.mu.Unlock()
	return nil
}

// root is that of the tree as far as it is known.
func (t *tree) root() audit.Hash {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.edge.Root()
}

// rootAt is the root of the tree when it had size events, at most as many as now.
func (t *tree) rootAt(ctx context.Context, size int64) (audit.Hash, error) {
	if t.size() == size {
		return t.root(), nil
	}
	edge, err := audit.OpenEdge(size, t.reader(ctx))
	if err != nil {
		return audit.Hash{}, named(err)
	}
	return edge.Root(), nil
}

// reader is tile as audit asks for tiles.
func (t *tree) reader(ctx context.Context) audit.ReadTile {
	return func(want audit.Tile) ([]byte, error) { return t.tile(ctx, want) }
}

// tile returns a tile of hashes, or not_found where the log is not that long.
func (t *tree) tile(ctx context.Context, want audit.Tile) ([]byte, error) {
	have, err := t.held(want)
	if err != nil || have != nil {
		return have, err
	}
	hashes, found, err := t.store.FullTile(ctx, want.Level, want.Index)
	if err == nil && !found {
		// Somebody deleted it: it follows from what is below it. Who asks will
		// compare.
		full := want
		full.Width = audit.TileWidth
		hashes, err = t.build(ctx, full)
	}
	if err != nil {
		return nil, err
	}
	return hashes[:want.Width*len(audit.Hash{})], nil
}

// held says whether the tree has want: not at all (not_found), in memory (the
// hashes), or in a stored tile (nil).
func (t *tree) held(want audit.Tile) ([]byte, error) {
	none := fault.New(fault.Missing, fault.NotFound, "the audit log has no %s", want.Path())
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.edge == nil || want.Width < 1 || want.Width > audit.TileWidth || want.Level < 0 {
		return nil, none
	}
	full := t.edge.Size() >> (audit.TileHeight * (want.Level + 1))
	if want.Index < full {
		for _, p := range t.pending {
			if p.Level == want.Level && p.Index == want.Index {
				return p.Hashes[:want.Width*len(audit.Hash{})], nil
			}
		}
		return nil, nil
	}
	at, hashes := t.edge.Partial(want.Level)
	if want.Index != at.Index || want.Width > at.Width {
		return nil, none
	}
	return hashes[:want.Width*len(audit.Hash{})], nil
}

// build makes a tile anew: from the events, or from the full tiles below it.
func (t *tree) build(ctx context.Context, want audit.Tile) ([]byte, error) {
	var data []byte
	if want.Level == 0 {
		entries, err := t.entries(ctx, want.First(), want.Width)
		for _, e := range entries {
			h := audit.LeafHash(e.Leaf)
			data = append(data, h[:]...)
		}
		return data, err
	}
	for i := range want.Width {
		below := audit.Tile{Level: want.Level - 1, Index: want.Index*audit.TileWidth + int64(i), Width: audit.TileWidth}
		hashes, found, err := t.store.FullTile(ctx, below.Level, below.Index)
		if err == nil && !found {
			hashes, err = t.build(ctx, below)
		}
		if err != nil {
			return nil, err
		}
		h, err := below.Root(hashes)
		if err != nil {
			return nil, named(err)
		}
		data = append(data, h[:]...)
	}
	return data, nil
}

// entries reads exactly n events.
func (t *tree) entries(ctx context.Context, from int64, n int) ([]audit.Entry, error) {
	entries, err := t.store.EventsFrom(ctx, from, n)
	if err == nil && len(entries) < n {
		err = damaged("event %d is missing", from+int64(len(entries)))
	}
	return entries, err
}
