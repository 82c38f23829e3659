package storage

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// piece is an object that holds a part of a recording.
type piece struct {
	key     string
	version string // "" in a bucket without versions
	offset  int64
	size    int64
}

func (p piece) end() int64 { return p.offset + p.size }

const offsetDigits = 20

// under is a key below the prefix.
func (s *S3) under(name string) string {
	if s.prefix == "" {
		return name
	}
	return s.prefix + "/" + name
}

func (s *S3) key(session id.Session, offset int64) string {
	return s.under(fmt.Sprintf("%s/%0*d", session, offsetDigits, offset))
}

// parseOffset reads the last part of a piece's key.
func parseOffset(name string) (int64, bool) {
	if len(name) != offsetDigits || strings.Trim(name, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(name, 10, 64)
	return n, err == nil
}

// objects calls f for every object below prefix, all versions of it, the newest
// first, and with folders only the names on the next level.
func (s *S3) objects(ctx context.Context, prefix string, folders bool, f func(minio.ObjectInfo) error) error {
	able, err := s.able(ctx)
	if err != nil {
		return err
	}
	// Breaking off the listing before its end needs a context of its own.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.core.ListObjectsIter(ctx, s.place.bucket, minio.ListObjectsOptions{
		Prefix: prefix, Recursive: !folders, WithVersions: able.versions,
	}) {
		if o.Err != nil {
			return s.away(o.Err)
		}
		if err := f(o); err != nil {
			return err
		}
	}
	// The library ends a listing without a word when its context does.
	if err := ctx.Err(); err != nil {
		return s.away(err)
	}
	return nil
}

// pieces lists a recording's pieces from its first byte on, without gaps. What
// lies elsewhere is no part of it.
func (s *S3) pieces(ctx context.Context, session id.Session) ([]piece, error) {
	if err := checkSession(session); err != nil {
		return nil, err
	}
	prefix := s.under(string(session)) + "/"
	at := map[int64]piece{}
	err := s.objects(ctx, prefix, false, func(o minio.ObjectInfo) error {
		name, ok := strings.CutPrefix(o.Key, prefix)
		offset, number := parseOffset(name)
		if ok && number && !o.IsDeleteMarker && o.Size > 0 {
			at[offset] = piece{o.Key, o.VersionID, offset, o.Size} // the oldest comes last
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var list []piece
	for p, ok := at[0]; ok; p, ok = at[p.end()] {
		list = append(list, p)
	}
	return list, nil
}

// List implements Store.
func (s *S3) List(ctx context.Context, f func(id.Session) error) error {
	prefix := s.under("")
	return s.objects(ctx, prefix, true, func(o minio.ObjectInfo) error {
		name, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, prefix), "/")
		session, err := id.ParseSession(name)
		if !ok || err != nil {
			return nil
		}
		return f(session)
	})
}
