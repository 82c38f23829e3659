package audit

import "golang.org/x/mod/sumdb/tlog"

// Proof shows that a leaf is in a tree, or that a tree begins with another: the
// hashes of RFC 6962, sections 2.1.1 and 2.1.2.
type Proof []Hash

// tiles is a tlog.TileReader over ReadTile. failed keeps ReadTile's own error
// apart from what x/mod finds wrong with the hashes.
type tiles struct {
	read   ReadTile
	failed error
}

func (*tiles) Height() int                     { return TileHeight }
func (*tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(want))
	for i, w := range want {
		tile := Tile{Level: w.L, Index: w.N, Width: w.W}
		data, err := t.read(tile)
		if err == nil && len(data) != tile.Width*tlog.HashSize {
			_, err = tile.hashes(data)
		}
		if err != nil {
			t.failed = err
			return nil, err
		}
		all[i] = data
	}
	return all, nil
}

// hashReader reads hashes of the tree below a checkpoint.
type hashReader struct {
	Checkpoint
	read ReadTile
}

func (h hashReader) ReadHashes(indexes []int64) ([]Hash, error) {
	t := &tiles{read: h.read}
	hashes, err := tlog.TileHashReader(tlog.Tree{N: h.Size, Hash: h.Root}, t).ReadHashes(indexes)
	if err != nil && t.failed == nil {
		return nil, damage(Changed, "the hashes in the tiles do not lead to the checkpoint of %d events", h.Size)
	}
	return hashes, err
}

// Hashes reads hashes of the tree below c from its tiles. Each is verified
// against c's root: whoever supplies the tiles need not be trusted.
func (c Checkpoint) Hashes(read ReadTile) tlog.HashReader { return hashReader{c, read} }

// ProveInclusion proves event index in c.
func (c Checkpoint) ProveInclusion(index int64, read ReadTile) (Proof, error) {
	if index < 0 || index >= c.Size {
		return nil, malformed("event %d is not among the %d of the checkpoint", index, c.Size)
	}
	p, err := tlog.ProveRecord(c.Size, index, c.Hashes(read))
	return Proof(p), err
}

// CheckInclusion verifies that leaf is event index of c.
func (c Checkpoint) CheckInclusion(index int64, leaf []byte, p Proof) error {
	if index < 0 || index >= c.Size {
		return malformed("event %d is not among the %d of the checkpoint", index, c.Size)
	}
	if tlog.CheckRecord(tlog.RecordProof(p), c.Size, c.Root, index, LeafHash(leaf)) != nil {
		return damageAt(Changed, index, "event %d is not the one in the log: its proof does not lead to the checkpoint of %d events", index, c.Size)
	}
	return nil
}

// ProveConsistency proves that the tree below c begins with the one of size old.
func (c Checkpoint) ProveConsistency(old int64, read ReadTile) (Proof, error) {
	if old < 0 || old > c.Size {
		return nil, malformed("a log of %d events does not begin with one of %d", c.Size, old)
	}
	if old == 0 || old == c.Size {
		return Proof{}, nil
	}
	p, err := tlog.ProveTree(c.Size, old, c.Hashes(read))
	return Proof(p), err
}

// CheckConsistency verifies that the tree below c begins with all of old.
func (c Checkpoint) CheckConsistency(old Checkpoint, p Proof) error {
	switch {
	case old.Origin != c.Origin:
		return damage(Forked, "the checkpoints are of two logs, %s and %s", old.Origin, c.Origin)
	case c.Size < old.Size:
		return damage(RolledBack, "the log has %d events, and had %d", c.Size, old.Size)
	case c.Size == old.Size:
		if c.Root != old.Root {
			return damage(Forked, "there are two different logs of %d events", c.Size)
		}
		return nil
	case old.Size == 0:
		return nil
	}
	if tlog.CheckTree(tlog.TreeProof(p), c.Size, c.Root, old.Size, old.Root) != nil {
		return damage(Forked, "the log of %d events does not begin with the one of %d events that was signed before", c.Size, old.Size)
	}
	return nil
}

// RootAt is the root that the tree below c had when it was of the given size.
func (c Checkpoint) RootAt(size int64, read ReadTile) (Hash, error) {
	if size < 0 || size > c.Size {
		return Hash{}, malformed("a log of %d events was never one of %d", c.Size, size)
	}
	h, err := tlog.TreeHash(size, c.Hashes(read))
	return h, err
}
