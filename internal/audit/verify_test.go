package audit

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
)

// file returns a copy of files in which path holds data; nil removes it.
func with(files fstest.MapFS, changes map[string][]byte) fstest.MapFS {
	changed := maps.Clone(files)
	for path, data := range changes {
		if data == nil {
			delete(changed, path)
		} else {
			changed[path] = &fstest.MapFile{Data: data}
		}
	}
	return changed
}

// rebundle changes the leaves of a bundle.
func rebundle(t *testing.T, data []byte, change func([][]byte) [][]byte) (out []byte) {
	t.Helper()
	var leaves [][]byte
	for len(data) > 0 {
		n := 2 + int(data[0])<<8 + int(data[1])
		leaves, data = append(leaves, data[2:n]), data[n:]
	}
	for _, l := range change(leaves) {
		out, _ = AppendEntry(out, l)
	}
	return out
}

func damageOf(t *testing.T, err error) (Damage, int64) {
	t.Helper()
	var d *DamageError
	if !errors.As(err, &d) {
		t.Fatalf("got %v, which is no damage", err)
	}
	return d.Damage, d.Index
}

func TestACopyVerifies(t *testing.T) {
	l := newTestLog(t)
	for _, n := range []int64{0, 1, 2, 255, 256, 257, 511, 512, 3000, 65_535, 65_536, 65_537, 66_000} {
		files, c := l.copy(n, "ann")
		v, err := VerifyCopy(t.Context(), files, l.trust)
		if err != nil || v.Checkpoint != c {
			t.Fatalf("%d events: %v", n, err)
		}
		if n == 0 {
			continue
		}
		if !bytes.Equal(v.First.Leaf, leaf("ann", 0)) || !bytes.Equal(v.Last.Leaf, leaf("ann", n-1)) || v.Last.Index != n-1 {
			t.Errorf("%d events: from %s to %d %s", n, v.First.Leaf, v.Last.Index, v.Last.Leaf)
		}
	}
}

// TestDamageIsNamed is promise 5 of DESIGN section 7 for the audit log: what is
// changed in it does not go unnoticed, and is called what it is.
func TestDamageIsNamed(t *testing.T) {
	l, other := newTestLog(t), newTestLog(t)
	const n = 70_000
	files, c := l.copy(n, "ann")
	theirs, fork := l.copy(n, "eve")
	const path, tail = "tile/entries/001", "tile/entries/273.p/112"
	for _, p := range []string{path, tail, "tile/0/001", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"} {
		if files[p] == nil {
			t.Fatalf("the copy has no %s", p)
		}
	}
	edit := func(path string, change func([][]byte) [][]byte) map[string][]byte {
		return map[string][]byte{path: rebundle(t, files[path].Data, change)}
	}
	flip := func(path string) map[string][]byte {
		data := bytes.Clone(files[path].Data)
		data[len(data)/2+9] ^= 1
		return map[string][]byte{path: data}
	}
	both := func(tile int64, author string) map[string][]byte {
		var bundle []byte
		var hashes []Hash
		for i := tile * 256; i < tile*256+256; i++ {
			one := leaf("ann", i)
			if i%256 == 7 {
				one = leaf(author, i)
			}
			bundle, _ = AppendEntry(bundle, one)
			hashes = append(hashes, LeafHash(one))
		}
		return map[string][]byte{
			Tile{Index: tile, Width: 256, Entries: true}.Path(): bundle,
			Tile{Index: tile, Width: 256}.Path():                joinHashes(hashes),
		}
	}
	at1000, _ := l.copy(1000, "ann")
	_, forked1000 := l.copy(1000, "eve")
	kept := func(c Checkpoint) map[string][]byte {
		return map[string][]byte{fmt.Sprintf("checkpoints/%d", c.Size): l.sign(c)}
	}
	for _, row := range []struct {
		name   string
		files  fstest.MapFS
		damage Damage
		index  int64
	}{
		{"an event is changed", with(files, edit(path, func(l [][]byte) [][]byte { l[3] = bytes.ToUpper(l[3]); return l })), Changed, 259},
		{"a byte of an event is flipped", with(files, flip(tail)), Changed, -2},
		{"an event is removed", with(files, edit(path, func(l [][]byte) [][]byte { return append(l[:3:3], l[4:]...) })), Removed, 259},
		{"the first event of a bundle is removed", with(files, edit(path, func(l [][]byte) [][]byte { return l[1:] })), Removed, 256},
		{"the last event of a bundle is removed", with(files, edit(path, func(l [][]byte) [][]byte { return l[:255] })), Removed, 511},
		{"an event is removed, and the next ones moved up", with(files, edit(path, func(ls [][]byte) [][]byte { return append(append(ls[:3:3], ls[4:]...), leaf("ann", 512)) })), Removed, 259},
		{"the newest events are removed", with(files, edit(tail, func(l [][]byte) [][]byte { return l[:100] })), Removed, 273*256 + 100},
		{"an event is put in", with(files, edit(path, func(ls [][]byte) [][]byte {
			return append(append(ls[:3:3], leaf("eve", 1)), ls[3:255]...)
		})), Inserted, 259},
		{"two events are exchanged", with(files, edit(path, func(l [][]byte) [][]byte { l[3], l[9] = l[9], l[3]; return l })), Reordered, 259},
		{"many events are exchanged", with(files, edit(path, func(l [][]byte) [][]byte { l[3], l[9], l[10] = l[10], l[3], l[9]; return l })), Reordered, 259},
		{"two bundles are exchanged", with(files, map[string][]byte{path: files["tile/entries/002"].Data}), Changed, 256},
		{"an event follows the last", with(files, edit(tail, func(ls [][]byte) [][]byte { return append(ls, leaf("eve", 1)) })), Malformed, n},
		{"a bundle is missing", with(files, map[string][]byte{path: nil}), Missing, -1},
		{"a bundle is empty", with(files, map[string][]byte{path: {}}), Removed, 256},
		{"a tile is missing", with(files, map[string][]byte{"tile/0/001": nil}), Missing, -1},
		{"a tile of tiles is missing", with(files, map[string][]byte{"tile/1/000": nil}), Missing, -1},
		{"the tile at the edge is missing", with(files, map[string][]byte{"tile/1/001.p/17": nil}), Missing, -1},
		{"a tile is changed", with(files, flip("tile/0/001")), Changed, -2},
		{"a tile of tiles is changed", with(files, flip("tile/1/000")), Changed, -2},
		{"the tile at the edge is changed", with(files, flip("tile/1/001.p/17")), Changed, -2},
		{"the topmost tile is changed", with(files, flip("tile/2/000.p/1")), Changed, 0},
		{"a tile is short", with(files, map[string][]byte{"tile/0/001": files["tile/0/001"].Data[:100]}), Malformed, -1},
		{"an event is changed, and its hash with it", with(files, both(1, "eve")), Changed, 256},
		{"everything is another log's, but the checkpoint", with(theirs, map[string][]byte{"checkpoint": files["checkpoint"].Data}), Changed, 0},

		{"the checkpoint is missing", with(files, map[string][]byte{"checkpoint": nil}), Missing, -1},
		{"the checkpoint is another's", with(files, map[string][]byte{"checkpoint": other.sign(c)}), WrongKey, -1},
		{"the checkpoint is changed", with(files, map[string][]byte{"checkpoint": bytes.Replace(l.sign(c), []byte("70000"), []byte("70001"), 1)}), Changed, -1},
		{"the checkpoint is one of another log", with(files, map[string][]byte{"checkpoint": l.sign(Checkpoint{"elsewhere.example.com/log", c.Size, c.Root})}), WrongKey, -1},
		{"the checkpoint is cut", with(files, map[string][]byte{"checkpoint": files["checkpoint"].Data[:50]}), Malformed, -1},
		{"the checkpoint is empty", with(files, map[string][]byte{"checkpoint": {}}), Malformed, -1},
		{"the checkpoint is large", with(files, map[string][]byte{"checkpoint": make([]byte, MaxNote+1)}), Malformed, -1},

		{"the log is shorter than it was", with(at1000, kept(c)), RolledBack, -1},
		{"the log forked from what it was", with(files, kept(forked1000)), Forked, -1},
		{"the log is another of the same length", with(files, kept(fork)), Forked, -1},
		{"a kept checkpoint is another's", with(files, map[string][]byte{"checkpoints/1000": other.sign(forked1000)}), WrongKey, -1},
		{"a kept checkpoint has another's name", with(files, map[string][]byte{"checkpoints/999": l.sign(forked1000)}), Malformed, -1},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := VerifyCopy(t.Context(), row.files, l.trust)
			damage, index := damageOf(t, err)
			if damage != row.damage || row.index != -2 && index != row.index {
				t.Errorf("it is called %q at %d: %v", damage, index, err)
			}
			if text := err.Error(); text == "" || strings.Contains(text, "%!") {
				t.Errorf("it says %q", text)
			}
		})
	}
}

func TestACopyIsComparedWithEarlierCheckpoints(t *testing.T) {
	l := newTestLog(t)
	files, _ := l.copy(1000, "ann")
	for _, n := range []int64{1, 255, 256, 700, 999, 1000} {
		_, old := l.copy(n, "ann")
		if v, err := VerifyCopy(t.Context(), files, l.trust, l.signed(old)); err != nil || len(v.Earlier) != 1 {
			t.Errorf("%d: %v", n, err)
		}
		_, fork := l.copy(n, "eve")
		_, err := VerifyCopy(t.Context(), files, l.trust, l.signed(fork))
		if damage, _ := damageOf(t, err); damage != Forked {
			t.Errorf("%d: %v", n, err)
		}
	}
	_, later := l.copy(1001, "ann")
	_, err := VerifyCopy(t.Context(), files, l.trust, l.signed(later))
	if damage, _ := damageOf(t, err); damage != RolledBack {
		t.Errorf("later: %v", err)
	}
}

// TestWhatWasSignedBeforeIsStillVouchedFor: a log whose end was rewritten.
func TestWhatWasSignedBeforeIsStillVouchedFor(t *testing.T) {
	l := newTestLog(t)
	files, _ := l.copy(600, "ann")
	_, other := l.copy(600, "eve")
	_, old := l.copy(500, "ann")
	_, err := VerifyCopy(t.Context(), with(files, map[string][]byte{"checkpoint": l.sign(other)}), l.trust, l.signed(old))
	if damage, index := damageOf(t, err); damage != Changed || index != 500 {
		t.Errorf("%s at %d: %v", damage, index, err)
	}
}

// TestEveryFlippedBitIsFound, in every file of a small copy.
func TestEveryFlippedBitIsFound(t *testing.T) {
	l := newTestLog(t)
	files, _ := l.copy(300, "ann")
	for path, file := range files {
		step := max(1, len(file.Data)/200)
		for i := 0; i < len(file.Data); i += step {
			data := bytes.Clone(file.Data)
			data[i] ^= 1 << (i % 8)
			if _, err := VerifyCopy(t.Context(), with(files, map[string][]byte{path: data}), l.trust); err == nil {
				t.Fatalf("bit %d of byte %d of %s", i%8, i, path)
			}
		}
	}
}
