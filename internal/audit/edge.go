package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Edge is the tree while it grows, in tiles: at each level what is not yet a full
// one. It is what a Frontier is to the store, for whoever also keeps tiles. The
// zero Edge is the empty tree.
type Edge struct {
	size   int64
	levels [][]Hash // each shorter than TileWidth
}

// Full is told of every tile that has become full, the lowest level first.
type Full func(t Tile, hashes []byte) error

// Size is how many leaves it has.
func (e *Edge) Size() int64 { return e.size }

// Push appends a leaf's hash. After an error of full, which may be nil, e is of
// no use any more.
func (e *Edge) Push(leaf Hash, full Full) error {
	e.size++
	return e.push(0, leaf, full)
}

// pushTile appends the root of a whole tile of leaves, where the leaves so far
// fill whole tiles.
func (e *Edge) pushTile(root Hash, full Full) error {
	if e.size%TileWidth != 0 {
		return fmt.Errorf("a tile cannot follow %d leaves", e.size)
	}
	e.size += TileWidth
	if len(e.levels) == 0 {
		e.levels = append(e.levels, nil)
	}
	return e.push(1, root, full)
}

func (e *Edge) push(level int, h Hash, full Full) error {
	for ; ; level++ {
		if level == len(e.levels) {
			e.levels = append(e.levels, make([]Hash, 0, TileWidth))
		}
		e.levels[level] = append(e.levels[level], h)
		hashes := e.levels[level]
		if len(hashes) < TileWidth {
			return nil
		}
		if full != nil {
			t := Tile{Level: level, Index: e.size>>(TileHeight*(level+1)) - 1, Width: TileWidth}
			if err := full(t, joinHashes(hashes)); err != nil {
				return err
			}
		}
		h = treeHash(hashes)
		e.levels[level] = hashes[:0]
	}
}

// Partial returns the tile at the right edge of a level; Width 0 is none.
func (e *Edge) Partial(level int) (t Tile, hashes []byte) {
	if level >= len(e.levels) || level < 0 {
		return Tile{}, nil
	}
	t = Tile{Level: level, Index: e.size >> (TileHeight * (level + 1)), Width: len(e.levels[level])}
	return t, joinHashes(e.levels[level])
}

// Levels is how many levels Partial knows.
func (e *Edge) Levels() int { return len(e.levels) }

// Root is the root of the tree.
func (e *Edge) Root() Hash {
	var rest []Hash // of what is below: at most one hash
	for _, hashes := range e.levels {
		all := append(append(make([]Hash, 0, TileWidth), hashes...), rest...)
		if len(all) > 0 {
			rest = append(rest[:0], treeHash(all))
		}
	}
	if len(rest) == 0 {
		root, _ := tlog.TreeHash(0, nil)
		return root
	}
	return rest[0]
}

// Clone returns an Edge of its own.
func (e *Edge) Clone() *Edge {
	c := &Edge{size: e.size, levels: make([][]Hash, len(e.levels))}
	for i, hashes := range e.levels {
		c.levels[i] = append(make([]Hash, 0, TileWidth), hashes...)
	}
	return c
}

// treeHash is the root over hashes, which are those of subtrees of one size but
// for the last, which may be of a smaller one: RFC 6962, section 2.1, splits at
// the same places.
func treeHash(hashes []Hash) Hash {
	n := len(hashes)
	if n == 1 {
		return hashes[0]
	}
	if n&(n-1) == 0 { // the usual case, without recursion
		var level [TileWidth]Hash
		copy(level[:], hashes)
		for ; n > 1; n /= 2 {
			for i := range n / 2 {
				level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
			}
		}
		return level[0]
	}
	k := 1
	for 2*k < n {
		k *= 2
	}
	return tlog.NodeHash(treeHash(hashes[:k]), treeHash(hashes[k:]))
}

// OpenEdge reads the edge of a tree of the given size from its tiles: all full
// ones, and the partial ones of this size. Nothing is verified but sizes: compare
// Root with a checkpoint's.
func OpenEdge(size int64, read ReadTile) (*Edge, error) {
	e := &Edge{size: size}
	for level, n := 0, size; n > 0; level, n = level+1, n/TileWidth {
		e.levels = append(e.levels, make([]Hash, 0, TileWidth))
		width := int(n % TileWidth)
		if width == 0 {
			continue
		}
		t := Tile{Level: level, Index: n / TileWidth, Width: width}
		data, err := read(t)
		if err != nil {
			return nil, err
		}
		hashes, err := t.hashes(data)
		if err != nil {
			return nil, err
		}
		e.levels[level] = append(e.levels[level], hashes...)
	}
	return e, nil
}
