package store

import (
	"context"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// CheckLog compares the log with its last checkpoint and with the frontier to
// which events are appended. What it finds is log_damaged: an event, tile or
// counter was changed or is gone, or the database was put back to an older
// state. Whoever gets that signs no further checkpoint.
//
// It is cheap, some hundred reads however long the log is: full tiles stand for
// the events below them, and only events that are in none are hashed again. All
// of them are read by `sallyport audit verify`.
func (s *Store) CheckLog(ctx context.Context) error {
	state, err := s.LogState(ctx)
	if err != nil {
		return err
	}
	tree := &storedTree{ctx: ctx, store: s, tiles: map[tileName][]audit.Hash{}}

	// 1. What was signed is still there.
	switch signed, err := s.LatestCheckpoint(ctx); {
	case fault.ReasonOf(err) == fault.NotFound:
	case err != nil:
		return err
	default:
		if signed.Size > state.Size {
			// Signed after state was read, or the counters were set back.
			if state, err = s.LogState(ctx); err != nil {
				return err
			}
		}
		if signed.Size > state.Size {
			return damaged("the audit log has %d events, and %d were signed", state.Size, signed.Size)
		}
		root, err := tree.root(signed.Size)
		if err != nil {
			return err
		}
		if root != signed.Root {
			return damaged("the first %d events of the audit log are not those that were signed", signed.Size)
		}
	}

	// 2. What comes next is appended to what is there.
	counted, err := state.Frontier.Root(state.Size)
	if err != nil {
		return damaged("the log's counters do not fit together").Because(err)
	}
	root, err := tree.root(state.Size)
	if err != nil {
		return err
	}
	if root != counted {
		return damaged("the %d events of the audit log are not those that its frontier stands for", state.Size)
	}
	return nil
}

// storedTree is the tree as tiles and events have it.
type storedTree struct {
	ctx   context.Context
	store *Store
	tiles map[tileName][]audit.Hash // that were read, for the two trees of a check
}

type tileName struct {
	level int
	index int64
}

// root is that of the first size events.
func (t *storedTree) root(size int64) (audit.Hash, error) {
	var frontier audit.Frontier
	first := int64(0)
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- {
		if size>>level&1 == 0 {
			continue
		}
		node, err := t.node(level, first>>level)
		if err != nil {
			return audit.Hash{}, err
		}
		frontier = append(frontier, node[:]...)
		first += 1 << level
	}
	return frontier.Root(size)
}

// node is the hash of a full subtree of 2^level events, the index-th from the
// left.
func (t *storedTree) node(level int, index int64) (audit.Hash, error) {
	within := level % audit.TileHeight
	hashes, err := t.row(level/audit.TileHeight, index<<within, 1<<within)
	if err != nil {
		return audit.Hash{}, err
	}
	return fold(hashes), nil
}

// row returns n hashes of one level of tiles, from the first-th on, all of one
// tile.
func (t *storedTree) row(level int, first, n int64) ([]audit.Hash, error) {
	name := tileName{level, first / audit.TileWidth}
	hashes, known := t.tiles[name]
	if !known {
		data, found, err := t.store.FullTile(t.ctx, level, name.index)
		if err != nil {
			return nil, err
		}
		if found {
			hashes = make([]audit.Hash, 0, audit.TileWidth)
			for ; len(data) >= tlog.HashSize; data = data[tlog.HashSize:] {
				hashes = append(hashes, audit.Hash(data[:tlog.HashSize]))
			}
		}
		t.tiles[name] = hashes
	}
	if hashes != nil {
		from := first % audit.TileWidth
		return hashes[from : from+n], nil
	}
	if level == 0 {
		return t.leaves(first, n)
	}
	hashes = make([]audit.Hash, n)
	for i := range hashes {
		below, err := t.row(level-1, (first+int64(i))*audit.TileWidth, audit.TileWidth)
		if err != nil {
			return nil, err
		}
		hashes[i] = fold(below)
	}
	return hashes, nil
}

// leaves hashes n events.
func (t *storedTree) leaves(first, n int64) ([]audit.Hash, error) {
	entries, err := t.store.EventsFrom(t.ctx, first, int(n))
	if err != nil {
		return nil, err
	}
	if int64(len(entries)) < n {
		return nil, damaged("event %d of the audit log is missing", first+int64(len(entries)))
	}
	hashes := make([]audit.Hash, n)
	for i, e := range entries {
		hashes[i] = audit.LeafHash(e.Leaf)
	}
	return hashes, nil
}

// fold is the root of a full tree. hashes, a power of two of them, stay as they
// are.
func fold(hashes []audit.Hash) audit.Hash {
	for len(hashes) > 1 {
		above := make([]audit.Hash, len(hashes)/2)
		for i := range above {
			above[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
		}
		hashes = above
	}
	return hashes[0]
}
