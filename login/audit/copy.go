package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/login/internal/outfile"
)

// copyDir is the directory of a copy; audit.VerifyCopy says how it is laid out.
// Its files are written whole, and its checkpoint last: until then the copy is
// the old one, whatever else is there already.
type copyDir string

// conflicts are checkpoints that contradict the copy's.
const conflicts = "conflict-"

// make makes the directory, and refuses one that is something else.
func (d copyDir) make() error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("make copy: %w", err)
	}
	files, err := os.ReadDir(string(d))
	if err != nil {
		return fmt.Errorf("open copy: %w", err)
	}
	for _, f := range files {
		switch name := f.Name(); {
		case name == audit.CopyCheckpoint, name == audit.CopyCheckpoints, name == "tile", name[0] == '.':
		case len(name) > len(conflicts) && name[:len(conflicts)] == conflicts:
		default:
			return fault.New(fault.Invalid, fault.BadRequest, "%s is no copy of a log: it holds %s", string(d), name).Then("name a new directory")
		}
	}
	return nil
}

func (d copyDir) path(name string) string { return filepath.Join(string(d), filepath.FromSlash(name)) }

// checkpoint is that of the copy; a new one has none, of no events.
func (d copyDir) checkpoint(trust *audit.Trust) (audit.Signed, error) {
	note, err := os.ReadFile(d.path(audit.CopyCheckpoint))
	if errors.Is(err, fs.ErrNotExist) {
		return audit.Signed{}, nil
	}
	if err != nil {
		return audit.Signed{}, fmt.Errorf("open copy: %w", err)
	}
	// Its quorum may have been another then.
	return trust.OpenUnwitnessed(note)
}

func (d copyDir) write(name string, data []byte) error {
	path := d.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write copy: %w", err)
	}
	return outfile.Write(path, nil, func(w io.Writer) error { _, err := w.Write(data); return err })
}

// conflict keeps a checkpoint that contradicts the copy's, and says so.
func (d copyDir) conflict(now audit.Signed, err error) error {
	var damage *audit.DamageError
	if !errors.As(err, &damage) || damage.Damage != audit.Forked && damage.Damage != audit.RolledBack {
		return damaged(err)
	}
	name := conflicts + strconv.FormatInt(now.Size, 10)
	if err := d.write(name, now.Note); err != nil {
		return err
	}
	return fault.New(fault.Invalid, fault.LogDamaged, "%s: %s", damage.Damage, damage.Text).
		Then("keep %s and the checkpoint beside it: both are signed, and together they are the proof", d.path(name))
}

func (d copyDir) tile(t audit.Tile) ([]byte, error) {
	data, err := os.ReadFile(d.path(t.Path()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &audit.DamageError{Damage: audit.Missing, Index: -1, Text: d.path(t.Path()) + " is missing"}
	}
	return data, err
}

// extend brings the copy from old to now.
func (d copyDir) extend(s *source, old, now audit.Signed) error {
	// 1. What is here is what was signed then.
	edge, err := audit.OpenEdge(old.Size, d.tile)
	if err != nil {
		return err
	}
	if old.Size > 0 && edge.Root() != old.Root {
		return &audit.DamageError{Damage: audit.Changed, Index: -1, Text: "the copy's tiles are not those of its checkpoint: run audit verify"}
	}
	if now.Size == old.Size {
		return d.finish(old, now) // with more cosignatures, perhaps
	}
	// 2. Bundles, from the last one that was not full.
	whole := old.Size / audit.TileWidth
	if old.Size%audit.TileWidth != 0 {
		if edge, err = audit.OpenEdge(whole*audit.TileWidth, d.tile); err != nil {
			return err
		}
	}
	if err := d.take(s, edge, now.Checkpoint); err != nil {
		return err
	}
	// 3. The tree that they make is the one that is signed now.
	if edge.Root() != now.Root {
		return &audit.DamageError{Damage: audit.Changed, Index: now.Size / audit.TileWidth * audit.TileWidth,
			Text: fmt.Sprintf("the last events of the %d are not those that were signed", now.Size)}
	}
	for level := range edge.Levels() {
		if t, hashes := edge.Partial(level); t.Width > 0 {
			if err := d.write(t.Path(), hashes); err != nil {
				return err
			}
		}
	}
	return d.finish(old, now)
}

// take writes the bundles that edge has not, and the tiles that they fill.
func (d copyDir) take(s *source, edge *audit.Edge, now audit.Checkpoint) error {
	known := &roots{s.tile, map[audit.Tile][]byte{}}
	full := func(t audit.Tile, hashes []byte) error { return d.write(t.Path(), hashes) }
	var next func(audit.Tile) ([]byte, error)
	done := func() {}
	defer func() { done() }()
	for edge.Size() < now.Size {
		t := audit.Tile{Index: edge.Size() / audit.TileWidth, Entries: true}
		t.Width = int(min(audit.TileWidth, now.Size-t.First()))
		// 1. A call that was broken off may have written it.
		data, err := d.tile(t)
		if err != nil || next != nil || check(known, now, t, data) != nil {
			if next == nil {
				if next, done, err = s.bundles(t.Index, now.Size); err != nil {
					return err
				}
			}
			if data, err = next(t); err != nil {
				return err
			}
			if err := check(known, now, t, data); err != nil {
				return err
			}
			if err := d.write(t.Path(), data); err != nil {
				return err
			}
		}
		// 2. Its tile, and those above that it fills.
		leaves, err := t.Leaves(data)
		if err != nil {
			return err
		}
		for _, leaf := range leaves {
			if err := edge.Push(audit.LeafHash(leaf), full); err != nil {
				return err
			}
		}
	}
	return nil
}

// check verifies a whole bundle against the checkpoint. The last one, which is
// not whole, is verified with the whole tree.
func check(known *roots, now audit.Checkpoint, t audit.Tile, data []byte) error {
	leaves, err := t.Leaves(data)
	if err != nil || t.Width < audit.TileWidth {
		return err
	}
	want, err := known.of(now, t.Index)
	if err != nil {
		return err
	}
	var hashes []byte
	for _, leaf := range leaves {
		h := audit.LeafHash(leaf)
		hashes = append(hashes, h[:]...)
	}
	t.Entries = false
	if got, err := t.Root(hashes); err != nil || got != want {
		return &audit.DamageError{Damage: audit.Changed, Index: t.First(),
			Text: fmt.Sprintf("events %d to %d are not those that were signed", t.First(), t.First()+audit.TileWidth-1)}
	}
	return nil
}

// finish makes now the copy's checkpoint.
func (d copyDir) finish(old, now audit.Signed) error {
	if old.Size > 0 && old.Size < now.Size {
		if err := d.write(audit.CopyCheckpoints+"/"+strconv.FormatInt(old.Size, 10), old.Note); err != nil {
			return err
		}
	}
	if old.Size == now.Size && len(old.Witnesses) > len(now.Witnesses) {
		return nil
	}
	if err := d.write(audit.CopyCheckpoint, now.Note); err != nil {
		return err
	}
	if old.Size == now.Size {
		return nil
	}
	// What was not full then is part of something larger now.
	for level, n := 0, old.Size; n > 0; level, n = level+1, n/audit.TileWidth {
		t := audit.Tile{Level: level, Index: n / audit.TileWidth, Width: int(n % audit.TileWidth)}
		if grown := now.Size >> (audit.TileHeight * level); t.Width == 0 || t.Index == grown/audit.TileWidth && int64(t.Width) == grown%audit.TileWidth {
			continue
		}
		os.Remove(d.path(t.Path()))
		if level == 0 {
			t.Entries = true
			os.Remove(d.path(t.Path()))
		}
	}
	return nil
}
