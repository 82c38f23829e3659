package audit

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/figures"
)

type fetchCommand struct {
	Dir string `arg:"" help:"Where the copy is, or is to be."`
	URL string `help:"Fetch from this CA without a login; for logs whose events are for anyone." placeholder:"URL"`
	trustOptions
}

// Run makes the copy, or continues it. Everything is verified before it is kept:
// each bundle against the checkpoint, and the checkpoint against the one that
// was there.
func (f *fetchCommand) Run(c *call) error {
	keys, err := f.find(c)
	if err != nil {
		return err
	}
	s := &source{ctx: c.ctx}
	if s.open, err = f.client(c); err != nil {
		return err
	}
	if s.files, err = wire.NewClient(s.open.URL()); err != nil {
		return err
	}
	d := copyDir(f.Dir)
	if err := d.make(); err != nil {
		return err
	}
	old, err := d.checkpoint(keys.Trust)
	if err != nil {
		return damaged(err)
	}
	now, err := s.checkpoint(keys.Trust)
	if err != nil {
		return damaged(err)
	}
	if err := s.consistent(old.Checkpoint, now.Checkpoint); err != nil {
		return d.conflict(now, err)
	}
	if err := d.extend(s, old, now); err != nil {
		return damaged(err)
	}
	fmt.Fprintf(c.env.Stdout, "%s of %s in %s, %s of them new.\n",
		figures.Count(now.Size, "event"), now.Origin, f.Dir, figures.Number(now.Size-old.Size))
	fmt.Fprintf(c.env.Stdout, "Verify it anywhere:  sallyport audit verify %s --key %s\n", f.Dir, keys.keys[0])
	return nil
}

// client speaks with the person's proof, or for nobody.
func (f *fetchCommand) client(c *call) (*wire.Client, error) {
	if f.URL != "" {
		return wire.NewClient(f.URL)
	}
	return c.connect(c.ctx, c.env)
}

// damaged is an error for people.
func damaged(err error) error {
	var d *audit.DamageError
	if !errors.As(err, &d) {
		return err
	}
	return fault.New(fault.Invalid, fault.LogDamaged, "%s: %s", d.Damage, d.Text).Then("%s", next(d.Damage))
}

// source is the log as a CA shows it.
type source struct {
	ctx   context.Context
	open  *wire.Client // for events
	files *wire.Client // for what anybody may have, without a proof for each
}

func (s *source) read(client *wire.Client, path string, limit int64) ([]byte, error) {
	body, err := client.Stream(s.ctx, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, limit))
	if err != nil {
		return nil, broken(err)
	}
	return data, nil
}

func broken(err error) error {
	return fault.New(fault.Unavailable, fault.CAAway, "the log broke off while it was sent").
		Then("run the same command again: it goes on where it stopped").Because(err)
}

func (s *source) checkpoint(trust *audit.Trust) (audit.Signed, error) {
	note, err := s.read(s.files, wire.PathLog+"checkpoint", audit.MaxNote)
	if err != nil {
		return audit.Signed{}, err
	}
	return trust.Open(note)
}

func (s *source) tile(t audit.Tile) ([]byte, error) {
	return s.read(s.files, wire.PathLog+t.Path(), audit.TileWidth*tlog.HashSize)
}

func (s *source) consistent(old, now audit.Checkpoint) error {
	if old.Size == 0 {
		return nil
	}
	var proof audit.Proof
	if old.Size < now.Size {
		var err error
		if proof, err = now.ProveConsistency(old.Size, s.tile); err != nil {
			return err
		}
	}
	return now.CheckConsistency(old, proof)
}

// bundles returns a function that gives the bundles from index first on, up to
// the tree's size, one after the other. Auditors get them in one answer, anybody
// one by one.
func (s *source) bundles(first int64, size int64) (next func(audit.Tile) ([]byte, error), done func(), err error) {
	t := audit.Tile{Index: first, Width: audit.TileWidth, Entries: true}
	path := fmt.Sprintf("%s%s?events=%d", wire.PathAuditEntries, t.Path()[len("tile/"):], size-t.First())
	body, err := s.open.Stream(s.ctx, path)
	if err == nil {
		in := bufio.NewReaderSize(body, 1<<20)
		return func(t audit.Tile) ([]byte, error) { return readBundle(in, t.Width) }, func() { body.Close() }, nil
	}
	if r := fault.ReasonOf(err); r != fault.NotAuditor && r != fault.ProofInvalid {
		return nil, nil, err
	}
	one := func(t audit.Tile) ([]byte, error) { return s.read(s.files, wire.PathLog+t.Path(), audit.MaxBundle) }
	return one, func() {}, nil
}

// readBundle reads n entries.
func readBundle(r io.Reader, n int) ([]byte, error) {
	var bundle []byte
	var length [2]byte
	for range n {
		if _, err := io.ReadFull(r, length[:]); err != nil {
			return nil, broken(err)
		}
		at := len(bundle) + 2
		bundle = append(bundle, length[:]...)
		bundle = append(bundle, make([]byte, binary.BigEndian.Uint16(length[:]))...)
		if _, err := io.ReadFull(r, bundle[at:]); err != nil {
			return nil, broken(err)
		}
	}
	return bundle, nil
}

// root asks for the hash over a whole bundle's events. It comes verified, from
// tiles that are read once for 65,536 events each.
type roots struct {
	read  audit.ReadTile
	cache map[audit.Tile][]byte
}

// tile keeps the few tiles of the upper levels that all bundles have in common.
func (r *roots) tile(t audit.Tile) ([]byte, error) {
	if data, ok := r.cache[t]; ok {
		return data, nil
	}
	data, err := r.read(t)
	if err == nil {
		if len(r.cache) > 16 {
			clear(r.cache)
		}
		r.cache[t] = data
	}
	return data, err
}

// of returns the root of whole bundle index below c.
func (r *roots) of(c audit.Checkpoint, index int64) (audit.Hash, error) {
	hashes, err := c.Hashes(r.tile).ReadHashes([]int64{tlog.StoredHashIndex(audit.TileHeight, index)})
	if err != nil {
		return audit.Hash{}, err
	}
	return hashes[0], nil
}
