package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// A copy of the log is a directory, laid out as the log is served:
//
//	checkpoint           the signed note, with cosignatures
//	checkpoints/<size>   signed notes from which the copy was continued
//	tile/...             hash tiles and entry bundles (Tile.Path)
const (
	CopyCheckpoint  = "checkpoint"
	CopyCheckpoints = "checkpoints"
)

// Verified is what a copy of the log holds.
type Verified struct {
	Signed
	First, Last Entry        // zero in an empty log
	Earlier     []Checkpoint // those that it was found to begin with
}

// VerifyCopy proves a copy of the log: that trust's log has signed its
// checkpoint, that each event, bundle and tile is what was signed, and that it
// begins with each checkpoint that the copy has kept and each of earlier. It
// reads every byte once. What does not hold is a *DamageError; other errors are
// dir's.
func VerifyCopy(ctx context.Context, dir fs.FS, trust *Trust, earlier ...Signed) (Verified, error) {
	note, err := readCopy(dir, CopyCheckpoint, MaxNote)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{}
	if v.Signed, err = trust.Open(note); err != nil {
		return Verified{}, err
	}
	kept, err := keptCheckpoints(dir, trust)
	if err != nil {
		return Verified{}, err
	}
	for _, old := range append(kept, earlier...) {
		// What needs no tiles, before they are read.
		if old.Size >= v.Size || old.Origin != v.Origin {
			if err := v.CheckConsistency(old.Checkpoint, nil); err != nil {
				return Verified{}, err
			}
		}
		v.Earlier = append(v.Earlier, old.Checkpoint)
	}
	c := &copied{dir: dir, size: v.Size}
	edge, err := c.stream(ctx)
	if err != nil {
		return Verified{}, err
	}
	v.First, v.Last = c.first, c.last
	return v, c.compare(edge, v)
}

func keptCheckpoints(dir fs.FS, trust *Trust) ([]Signed, error) {
	files, err := fs.ReadDir(dir, CopyCheckpoints)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Signed
	for _, f := range files {
		name := CopyCheckpoints + "/" + f.Name()
		note, err := readCopy(dir, name, MaxNote)
		if err != nil {
			return nil, err
		}
		// Its quorum may have been another then.
		signed, err := trust.OpenUnwitnessed(note)
		if err != nil {
			return nil, err
		}
		if strconv.FormatInt(signed.Size, 10) != f.Name() {
			return nil, malformed("%s is a checkpoint of %d events", name, signed.Size)
		}
		all = append(all, signed)
	}
	return all, nil
}

// readCopy reads a file of a copy. One that is not there is damage.
func readCopy(dir fs.FS, name string, limit int64) ([]byte, error) {
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damage(Missing, "%s is missing", name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, malformed("%s is larger than %d bytes", name, limit)
	}
	return data, err
}

// copied is a copy while it is verified.
type copied struct {
	dir         fs.FS
	size        int64
	first, last Entry
}

// bundle is what was found in one entry bundle.
type bundle struct {
	hashes []Hash
	root   Hash
	leaves [][]byte // of the first and the last bundle
	err    error
}

// stream verifies bundles and tiles against each other, from the left to the
// right, and returns the tree that they make.
func (c *copied) stream(ctx context.Context) (*Edge, error) {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()

	count := (c.size + TileWidth - 1) / TileWidth
	type job struct {
		index int64
		done  chan bundle
	}
	jobs := make(chan job)
	inOrder := make(chan job, 4*runtime.GOMAXPROCS(0)) // so far ahead, and no more memory
	workers.Go(func() {
		defer close(jobs)
		defer close(inOrder)
		for i := range count {
			j := job{i, make(chan bundle, 1)}
			select {
			case inOrder <- j:
			case <-ctx.Done():
				return
			}
			select {
			case jobs <- j:
			case <-ctx.Done():
				return
			}
		}
	})
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for j := range jobs {
				j.done <- c.bundle(j.index)
			}
		})
	}

	edge := &Edge{}
	for range count {
		var b bundle
		select {
		case j := <-inOrder:
			select {
			case b = <-j.done:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if b.err != nil {
			return nil, b.err
		}
		c.note(edge.Size(), b)
		if err := c.push(edge, b); err != nil {
			return nil, err
		}
	}
	return edge, c.partials(edge)
}

func (c *copied) note(first int64, b bundle) {
	if len(b.leaves) == 0 {
		return
	}
	if first == 0 {
		c.first = Entry{0, bytes.Clone(b.leaves[0])}
	}
	last := len(b.leaves) - 1
	c.last = Entry{first + int64(last), bytes.Clone(b.leaves[last])}
}

func (c *copied) push(edge *Edge, b bundle) error {
	if len(b.hashes) == TileWidth {
		return edge.pushTile(b.root, c.same)
	}
	for _, h := range b.hashes {
		if err := edge.Push(h, c.same); err != nil {
			return err
		}
	}
	return nil
}

// bundle verifies an entry bundle against its tile.
func (c *copied) bundle(index int64) (b bundle) {
	t := Tile{Index: index, Width: int(min(TileWidth, c.size-index*TileWidth)), Entries: true}
	data, err := readCopy(c.dir, t.Path(), MaxBundle)
	if err != nil {
		return bundle{err: err}
	}
	tile := t
	tile.Entries = false
	want, err := c.tile(tile)
	if err != nil {
		return bundle{err: err}
	}
	leaves, err := t.Leaves(data)
	if err == nil {
		b.hashes = make([]Hash, len(leaves))
		for i, leaf := range leaves {
			b.hashes[i] = LeafHash(leaf)
			if b.hashes[i] != want[i] {
				err = damage(Changed, "")
			}
		}
	}
	if err != nil {
		return bundle{err: c.compareBundle(t, data, want, err)}
	}
	b.root = treeHash(b.hashes)
	if index == 0 || (index+1)*TileWidth >= c.size {
		b.leaves = leaves
	}
	return b
}

func (c *copied) tile(t Tile) ([]Hash, error) {
	data, err := readCopy(c.dir, t.Path(), TileWidth*tlog.HashSize)
	if err != nil {
		return nil, err
	}
	return t.hashes(data)
}

// same compares a tile that follows from the events with the one in the copy.
// Those of level 0 were compared already.
func (c *copied) same(t Tile, hashes []byte) error {
	if t.Level == 0 || t.Width == 0 {
		return nil
	}
	have, err := c.tile(t)
	if err != nil {
		return err
	}
	want, err := t.hashes(hashes)
	if err != nil {
		return err
	}
	for i := range want {
		if have[i] == want[i] {
			continue
		}
		below := Tile{Level: t.Level - 1, Index: t.Index*TileWidth + int64(i)}
		first := below.First()
		last := below.First() + 1<<(TileHeight*t.Level) - 1
		return damageAt(Changed, first, "events %d to %d are not those that %s was made of: one of them was changed, and its hash with it", first, last, t.Path())
	}
	return nil
}

// partials compares the tiles at the right edge.
func (c *copied) partials(edge *Edge) error {
	for level := 1; level < edge.Levels(); level++ {
		t, hashes := edge.Partial(level)
		if err := c.same(t, hashes); err != nil {
			return err
		}
	}
	return nil
}

// compare says whether the tree is the one that was signed, now and before.
func (c *copied) compare(edge *Edge, v Verified) error {
	whole := int64(0) // events that an earlier checkpoint vouches for
	var forked error
	for _, old := range v.Earlier {
		then, err := OpenEdge(old.Size, func(t Tile) ([]byte, error) { return c.prefix(t) })
		if err != nil {
			return err
		}
		if then.Root() == old.Root {
			whole = max(whole, old.Size)
		} else if forked == nil {
			forked = damage(Forked, "the log of %d events does not begin with the one of %d events that was signed before", v.Size, old.Size)
		}
	}
	if edge.Root() == v.Root {
		return forked
	}
	where := "all of it may be another's"
	if whole > 0 {
		where = fmt.Sprintf("the first %d are those that were signed before", whole)
	}
	return damageAt(Changed, whole, "the %d events are not those that were signed, though they fit together: %s", v.Size, where)
}

// prefix reads a partial tile of an earlier size: from that file, or from what
// it grew to.
func (c *copied) prefix(t Tile) ([]byte, error) {
	grown := t
	grown.Width = int(min(TileWidth, c.size>>(TileHeight*t.Level)-t.Index*TileWidth))
	hashes, err := c.tile(grown)
	if err != nil {
		return nil, err
	}
	return joinHashes(hashes[:t.Width]), nil
}
