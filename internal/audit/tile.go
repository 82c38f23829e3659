package audit

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Tiles have 256 hashes (C2SP tlog-tiles: height 8), and entry bundles 256
// leaves.
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
)

// maxLevel is the highest level at which a tree of 2^63 leaves has tiles.
const maxLevel = 7

// Tile names a tile of hashes or an entry bundle. Index counts them from the
// left, within their level.
type Tile struct {
	Level   int   // 0 is the leaves' hashes; 0 for entry bundles, too
	Index   int64 // from 0
	Width   int   // hashes or leaves in it, 1 to 256; fewer than 256 only at the right edge
	Entries bool  // an entry bundle: the leaves themselves
}

// First is the index of the first event below t.
func (t Tile) First() int64 { return t.Index << (TileHeight * (t.Level + 1)) }

// Path is where t stands below a log's address (C2SP tlog-tiles): groups of three
// digits, all but the last after an x, and the width of a partial one.
func (t Tile) Path() string {
	level := "entries"
	if !t.Entries {
		level = strconv.Itoa(t.Level)
	}
	path := fmt.Sprintf("%03d", t.Index%1000)
	for n := t.Index / 1000; n > 0; n /= 1000 {
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	if t.Width != TileWidth {
		path += ".p/" + strconv.Itoa(t.Width)
	}
	return "tile/" + level + "/" + path
}

// ParseTile reads what Path writes, and nothing else: a tile has one address, or
// caches would hold several of it.
func ParseTile(path string) (Tile, error) {
	bad := malformed("%q is no path of a tile", path)
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok || len(path) > 64 {
		return Tile{}, bad
	}
	level, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return Tile{}, bad
	}
	t := Tile{Width: TileWidth, Entries: level == "entries"}
	var err error
	if !t.Entries {
		if t.Level, err = strconv.Atoi(level); err != nil || t.Level < 0 || t.Level > maxLevel {
			return Tile{}, bad
		}
	}
	if index, width, partial := strings.Cut(rest, ".p/"); partial {
		if t.Width, err = strconv.Atoi(width); err != nil || t.Width < 1 || t.Width >= TileWidth {
			return Tile{}, bad
		}
		rest = index
	}
	for group := range strings.SplitSeq(rest, "/") {
		n, err := strconv.Atoi(strings.TrimPrefix(group, "x"))
		if err != nil || n < 0 || t.Index > (1<<62)/1000 {
			return Tile{}, bad
		}
		t.Index = t.Index*1000 + int64(n)
	}
	// The canonical form refuses everything that Atoi lets through: signs, more
	// zeros, an x in the wrong place.
	if t.Path() != path || t.Index > (1<<62)>>(TileHeight*(t.Level+1)) {
		return Tile{}, bad
	}
	return t, nil
}

// ReadTile returns a tile's hashes, one after the other, or an error.
type ReadTile func(Tile) ([]byte, error)

// hashes splits a tile.
func (t Tile) hashes(data []byte) ([]Hash, error) {
	if len(data) != t.Width*tlog.HashSize {
		return nil, malformed("%s has %d bytes, and not those of %d hashes", t.Path(), len(data), t.Width)
	}
	all := make([]Hash, t.Width)
	for i := range all {
		all[i] = Hash(data[i*tlog.HashSize:])
	}
	return all, nil
}

func joinHashes(hashes []Hash) []byte {
	data := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		data = append(data, h[:]...)
	}
	return data
}

// AppendEntry adds a leaf to an entry bundle: its length in two bytes, big
// endian, and the leaf.
func AppendEntry(bundle, leaf []byte) ([]byte, error) {
	if len(leaf) > MaxLeaf {
		return nil, fmt.Errorf("a leaf of %d bytes is larger than one may be", len(leaf))
	}
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
	return append(bundle, leaf...), nil
}

// MaxBundle is how long an entry bundle may be, in bytes.
const MaxBundle = TileWidth * (2 + MaxLeaf)

// Leaves splits an entry bundle that must have t.Width leaves and nothing more.
// They share memory with data.
func (t Tile) Leaves(data []byte) ([][]byte, error) {
	leaves := make([][]byte, 0, t.Width)
	for len(leaves) < t.Width {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, damageAt(Malformed, t.First()+int64(len(leaves)), "%s breaks off after %d of %d events", t.Path(), len(leaves), t.Width)
		}
		n := 2 + int(binary.BigEndian.Uint16(data))
		leaves, data = append(leaves, data[2:n:n]), data[n:]
	}
	if len(data) > 0 {
		return nil, damageAt(Malformed, t.First()+int64(t.Width), "%s has more than %d events", t.Path(), t.Width)
	}
	return leaves, nil
}

// Root is the root over a tile's hashes.
func (t Tile) Root(data []byte) (Hash, error) {
	hashes, err := t.hashes(data)
	if err != nil {
		return Hash{}, err
	}
	return treeHash(hashes), nil
}
