package audit

import "slices"

// compareBundle says what happened to a bundle whose leaves do not have the
// hashes in its tile. found is what is said where that cannot be told.
func (c *copied) compareBundle(t Tile, data []byte, want []Hash, found error) error {
	have := leafHashes(data)
	first := t.First()
	at := 0
	for at < len(have) && at < len(want) && have[at] == want[at] {
		at++
	}
	index := first + int64(at)
	switch {
	case at == len(want): // what was logged is there, and something behind it
		return found
	case len(have) == len(want) && c.vouched(t, have):
		return damageAt(Changed, index, "%s was changed: the events below it are those that were signed", Tile{Index: t.Index, Width: t.Width}.Path())
	case len(have) == len(want) && sameSet(have, want):
		j := slices.Index(want, have[at])
		if have[j] == want[at] {
			return damageAt(Reordered, index, "events %d and %d stand at each other's places", index, first+int64(j))
		}
		return damageAt(Reordered, index, "events %d to %d are in another order than they were logged in", index, first+int64(lastDifference(have, want)))
	case at < len(want) && len(have) >= len(want)-1 && agree(have[at:], want[at+1:]):
		return damageAt(Removed, index, "event %d was removed", index)
	case at < len(have) && agree(have[at+1:], want[at:]):
		return damageAt(Inserted, index, "an event was put in at %d that was not logged there", index)
	case len(have) < len(want) && at == len(have):
		return damageAt(Removed, index, "%s ends before event %d: it and what follows was removed", t.Path(), index)
	case len(have) == len(want):
		return damageAt(Changed, index, "event %d is not the one that was logged", index)
	}
	return found
}

// vouched says whether the tile above has the root of hashes. It asks the copy
// alone, and only to tell what was changed.
func (c *copied) vouched(t Tile, hashes []Hash) bool {
	if t.Width < TileWidth {
		return false
	}
	above := Tile{Level: 1, Index: t.Index / TileWidth}
	above.Width = int(min(TileWidth, c.size/TileWidth-above.Index*TileWidth))
	in, err := c.tile(above)
	return err == nil && in[t.Index%TileWidth] == treeHash(hashes)
}

// leafHashes are those of a bundle as far as it can be read.
func leafHashes(data []byte) (hashes []Hash) {
	for len(data) > 0 {
		t := Tile{Width: 1, Entries: true}
		n := 2
		if len(data) >= 2 {
			n += int(data[0])<<8 | int(data[1])
		}
		leaves, err := t.Leaves(data[:min(n, len(data))])
		if err != nil {
			return hashes
		}
		hashes, data = append(hashes, LeafHash(leaves[0])), data[n:]
	}
	return hashes
}

// agree: one may be longer, because what follows was moved from or to the next
// bundle. At least one has to agree, or nothing was left to tell by.
func agree(a, b []Hash) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n]) && (n > 0 || len(a) == len(b))
}

func sameSet(a, b []Hash) bool {
	count := map[Hash]int{}
	for i := range a {
		count[a[i]]++
		count[b[i]]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func lastDifference(a, b []Hash) int {
	for i := len(a) - 1; i > 0; i-- {
		if a[i] != b[i] {
			return i
		}
	}
	return 0
}
