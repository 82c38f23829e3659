package audit

import (
	"bytes"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestTilesHaveOnePath(t *testing.T) {
	for want, tile := range map[string]Tile{
		"tile/0/000":                     {Width: 256},
		"tile/3/x001/234":                {Level: 3, Index: 1234, Width: 256},
		"tile/0/x001/x234/067.p/5":       {Index: 1234067, Width: 5},
		"tile/entries/x001/x234/067":     {Index: 1234067, Width: 256, Entries: true},
		"tile/entries/000.p/255":         {Width: 255, Entries: true},
		"tile/7/000.p/1":                 {Level: 7, Width: 1},
		"tile/0/x018/x014/x398/x509/481": {Index: 18014398509481, Width: 256},
	} {
		if got := tile.Path(); got != want {
			t.Errorf("%+v stands at %q, want %q", tile, got, want)
		}
		if got, err := ParseTile(want); err != nil || got != tile {
			t.Errorf("%q is %+v, %v", want, got, err)
		}
	}
}

func TestAPathOfNoTileIsRefused(t *testing.T) {
	for _, path := range []string{
		"", "tile", "tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000/001", "tile/0/001/002",
		"tile/0/x001", "tile/0/x001/", "tile/0/1000", "tile/0/-01", "tile/0/+01", "tile/0/ 01", "tile/0/0x1", "tile/00/000",
		"tile/8/000", "tile/-1/000", "tile/63/000", "tile/data/000", "tile/entries/", "tile/Entries/000", "/tile/0/000", "tile//000",
		"tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/-1", "tile/0/000.p/1/2",
		"tile/0/000.p/1.p/1", "tile/0/../000", "tile/0/000\x00", "tile/0/x999/x999/x999/x999/x999/x999/999", "tile/7/x001/000",
		"tile/0/٠٠٠",
	} {
		if tile, err := ParseTile(path); err == nil {
			t.Errorf("%q is %+v", path, tile)
		}
	}
}

func FuzzParseTile(f *testing.F) {
	for _, path := range []string{"tile/0/000", "tile/3/x001/234.p/7", "tile/entries/x001/x234/067"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := ParseTile(path)
		if err != nil {
			return
		}
		if tile.Path() != path || tile.Width < 1 || tile.Width > 256 || tile.Index < 0 || tile.First() < 0 {
			t.Fatalf("%q is %+v", path, tile)
		}
		// x/mod agrees, in its own spelling.
		if !tile.Entries {
			theirs := tlog.Tile{H: 8, L: tile.Level, N: tile.Index, W: tile.Width}.Path()
			if "tile/8/"+path[len("tile/"):] != theirs {
				t.Fatalf("%q is %q to x/mod", path, theirs)
			}
		}
	})
}

func TestABundleIsReadAsItIsWritten(t *testing.T) {
	leaves := [][]byte{{}, []byte("a"), bytes.Repeat([]byte("b"), MaxLeaf)}
	var bundle []byte
	for _, l := range leaves {
		var err error
		if bundle, err = AppendEntry(bundle, l); err != nil {
			t.Fatal(err)
		}
	}
	tile := Tile{Width: 3, Entries: true}
	got, err := tile.Leaves(bundle)
	if err != nil || len(got) != 3 {
		t.Fatal(len(got), err)
	}
	for i := range got {
		if !bytes.Equal(got[i], leaves[i]) {
			t.Errorf("leaf %d", i)
		}
	}
	if _, err := AppendEntry(nil, make([]byte, MaxLeaf+1)); err == nil {
		t.Error("a leaf of 64 KiB is taken")
	}
	for name, data := range map[string][]byte{
		"empty": nil, "half a length": bundle[:1], "cut": bundle[:len(bundle)-1], "one more": append(bundle[:len(bundle):len(bundle)], 0, 0),
	} {
		_, err := tile.Leaves(data)
		if damage, _ := damageOf(t, err); damage != Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzLeaves(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0}, 2)
	f.Add([]byte{0xff, 0xff}, 1)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		tile := Tile{Width: width&255 + 1, Entries: true}
		leaves, err := tile.Leaves(data)
		leafHashes(data) // reads as far as it can
		if err != nil {
			return
		}
		var again []byte
		for _, l := range leaves {
			again, _ = AppendEntry(again, l)
		}
		if !bytes.Equal(again, data) {
			t.Fatalf("%x is read, and would be written %x", data, again)
		}
	})
}
