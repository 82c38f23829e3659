package store

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

// LogState is how far the audit log has come.
type LogState struct {
	Size     int64          // events; the next one has this index
	Frontier audit.Frontier // of that size
	At       int64          // of the last event, Unix microseconds; 0 in an empty log
}

// LogState returns the state of the log at one moment.
func (s *Store) LogState(ctx context.Context) (LogState, error) {
	const query = `SELECT size, frontier, at FROM counters WHERE one = 1`
	var state LogState
	_, err := s.row(ctx, func(r scanner) error { return r.Scan(&state.Size, &state.Frontier, &state.At) }, query)
	return state, err
}

// LeafHashes returns the hashes of the events from index from up to, and without,
// index to. All of them exist, or the log is damaged.
func (s *Store) LeafHashes(ctx context.Context, from, to int64) ([]audit.Hash, error) {
	const query = `SELECT idx, hash FROM events WHERE idx >= $1 AND idx < $2 ORDER BY idx`
	hashes := make([]audit.Hash, 0, max(to-from, 0))
	err := s.each(ctx, func(r scanner) error {
		var index int64
		var hash []byte
		if err := r.Scan(&index, &hash); err != nil {
			return err
		}
		if index != from+int64(len(hashes)) || len(hash) != tlog.HashSize {
			return damaged("event %d of the audit log is missing", from+int64(len(hashes)))
		}
		hashes = append(hashes, audit.Hash(hash))
		return nil
	}, query, from, to)
	if err != nil {
		return nil, err
	}
	if n := int64(len(hashes)); n < to-from {
		return nil, damaged("event %d of the audit log is missing", from+n)
	}
	return hashes, nil
}

// Tile is a full tile of the tree.
type Tile struct {
	Level  int
	Index  int64
	Hashes []byte // audit.TileWidth of them, one after the other
}

// FullTile returns the hashes of a full tile. found is false where it has not
// been made yet; it can be, from LeafHashes or from the tiles below it.
func (s *Store) FullTile(ctx context.Context, level int, index int64) (hashes []byte, found bool, err error) {
	const query = `SELECT hashes FROM tiles WHERE level = $1 AND idx = $2`
	found, err = s.row(ctx, func(r scanner) error { return r.Scan(&hashes) }, query, level, index)
	return hashes, found, err
}

// PutTiles stores full tiles. One that is there already stays, and has to be the
// same: another CA made it, too.
func (s *Store) PutTiles(ctx context.Context, tiles ...Tile) error {
	return s.alone(ctx, func(t *tx) error {
		for _, tile := range tiles {
			if err := t.putTile(tile); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) putTile(tile Tile) error {
	if len(tile.Hashes) != audit.TileWidth*tlog.HashSize {
		return fmt.Errorf("store tile %d/%d: %d bytes are not those of a full one", tile.Level, tile.Index, len(tile.Hashes))
	}
	const insert = `INSERT INTO tiles (level, idx, hashes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	n, err := t.exec(insert, tile.Level, tile.Index, tile.Hashes)
	if err != nil || n > 0 {
		return err
	}
	const query = `SELECT hashes FROM tiles WHERE level = $1 AND idx = $2`
	var stored []byte
	if _, err := t.row(func(r scanner) error { return r.Scan(&stored) }, query, tile.Level, tile.Index); err != nil {
		return err
	}
	if !bytes.Equal(stored, tile.Hashes) {
		return damaged("tile %d/%d of the audit log is stored with other hashes", tile.Level, tile.Index)
	}
	return nil
}
