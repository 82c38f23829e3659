package audit

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a node of the tree: SHA-256 as RFC 6962, section 2.1, has it.
type Hash = tlog.Hash

// LeafHash is the hash of a leaf.
func LeafHash(leaf []byte) Hash { return tlog.RecordHash(leaf) }

// Frontier is all that is needed to append to a tree of a known size, and to
// name its root: the root of each full subtree, the largest first. A tree of
// size n has one for every bit that is set in n. The zero Frontier is that of
// the empty tree.
type Frontier []byte

// Push appends the hashes of leaves to the tree of the given size. f is not
// changed.
func (f Frontier) Push(size int64, leaves ...Hash) (Frontier, error) {
	if err := f.check(size); err != nil {
		return nil, err
	}
	const depth = 63 // of the largest tree
	grown := make(Frontier, len(f), depth*tlog.HashSize)
	copy(grown, f)
	for _, node := range leaves {
		// A leaf completes as many subtrees as size has ones at its end.
		for n := size; n&1 == 1; n >>= 1 {
			keep := len(grown) - tlog.HashSize
			node = tlog.NodeHash(Hash(grown[keep:]), node)
			grown = grown[:keep]
		}
		grown = append(grown, node[:]...)
		size++
	}
	return grown, nil
}

// Root is the root of the tree of the given size.
func (f Frontier) Root(size int64) (Hash, error) {
	if err := f.check(size); err != nil {
		return Hash{}, err
	}
	if size == 0 {
		return tlog.TreeHash(0, nil)
	}
	end := len(f) - tlog.HashSize
	root := Hash(f[end:])
	for ; end > 0; end -= tlog.HashSize {
		root = tlog.NodeHash(Hash(f[end-tlog.HashSize:end]), root)
	}
	return root, nil
}

func (f Frontier) check(size int64) error {
	if size < 0 || len(f) != bits.OnesCount64(uint64(size))*tlog.HashSize {
		return fmt.Errorf("the frontier of %d bytes is not that of a tree of size %d", len(f), size)
	}
	return nil
}
