package storage

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// keepName is the object that holds the promise.
const keepName = "keep"

// Retain implements Store.
func (s *S3) Retain(ctx context.Context, session id.Session, until time.Time) error {
	return s.change(ctx, session, func(p promise) promise { return p.retain(until) }, func(p piece) error {
		// HEAD, as services differ in how they answer a question for the retention.
		info, err := s.core.StatObject(ctx, s.place.bucket, p.key, minio.StatObjectOptions{VersionID: p.version})
		if err != nil {
			return err
		}
		now, err := time.Parse(time.RFC3339, info.Headers.Get("X-Amz-Object-Lock-Retain-Until-Date"))
		if err == nil && !now.Before(until.Truncate(time.Second)) {
			return nil
		}
		until := until.UTC()
		return s.core.PutObjectRetention(ctx, s.place.bucket, p.key, minio.PutObjectRetentionOptions{
			Mode: &s.mode, RetainUntilDate: &until, VersionID: p.version,
		})
	})
}

// Hold implements Store.
func (s *S3) Hold(ctx context.Context, session id.Session, held bool) error {
	status := minio.LegalHoldDisabled
	if held {
		status = minio.LegalHoldEnabled
	}
	return s.change(ctx, session, func(p promise) promise { p.Held = held; return p }, func(p piece) error {
		return s.core.PutObjectLegalHold(ctx, s.place.bucket, p.key, minio.PutObjectLegalHoldOptions{
			Status: &status, VersionID: p.version,
		})
	})
}

// change stores what is promised, and with object lock has the service promise it
// for each piece. A promise is noted before it is locked, and taken back after.
func (s *S3) change(ctx context.Context, session id.Session, f func(promise) promise, lock func(piece) error) error {
	pieces, err := s.pieces(ctx, session)
	if err != nil {
		return err
	}
	if len(pieces) == 0 {
		return missing(session)
	}
	able, err := s.able(ctx)
	if err != nil {
		return err
	}
	was, err := s.promise(ctx, session)
	if err != nil {
		return err
	}
	is := f(was)
	note := func() error {
		if is == was {
			return nil
		}
		if err := s.put(ctx, s.under(string(session)+"/"+keepName), is.bytes(), nil); err != nil {
			return s.away(err)
		}
		return nil
	}
	all := func() error {
		for _, p := range pieces {
			if !able.lock {
				break
			}
			if err := lock(p); err != nil {
				return s.away(err)
			}
		}
		return nil
	}
	if was.Held && !is.Held {
		return errors.Join(all(), note())
	}
	if err := note(); err != nil {
		return err
	}
	return all()
}

// promise reads what is promised; nothing where there is none.
func (s *S3) promise(ctx context.Context, session id.Session) (promise, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	body, _, _, err := s.core.GetObject(ctx, s.place.bucket, s.under(string(session)+"/"+keepName), minio.GetObjectOptions{})
	if code(err) == "NoSuchKey" {
		return promise{}, nil
	}
	if err != nil {
		return promise{}, s.away(err)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, 1<<10))
	if err != nil {
		return promise{}, s.away(err)
	}
	p, err := parsePromise(b)
	if err != nil {
		return p, s.away(err)
	}
	return p, nil
}

// Delete implements Store. It goes from the end to the beginning: where it is
// stopped, what is left is still a beginning of the recording.
func (s *S3) Delete(ctx context.Context, session id.Session) error {
	if err := checkSession(session); err != nil {
		return err
	}
	promised, err := s.promise(ctx, session)
	if err != nil {
		return err
	}
	if err := promised.check(session, s.now()); err != nil {
		return err
	}
	s.forget(session)
	prefix := s.under(string(session)) + "/"
	var list []minio.ObjectInfo
	err = s.objects(ctx, prefix, false, func(o minio.ObjectInfo) error {
		list = append(list, o)
		return nil
	})
	if err != nil {
		return err
	}
	// Pieces by their offset, the highest first; then the promise, which sorts
	// after digits.
	slices.SortStableFunc(list, func(a, b minio.ObjectInfo) int {
		ka, kb := strings.TrimPrefix(a.Key, prefix), strings.TrimPrefix(b.Key, prefix)
		if (ka == keepName) != (kb == keepName) {
			if ka == keepName {
				return 1
			}
			return -1
		}
		return strings.Compare(kb, ka)
	})
	for _, o := range list {
		if err := s.remove(ctx, o.Key, o.VersionID); err != nil {
			if kept(err) {
				return held(session, "is not deleted by the storage %s: it is locked there, or we have no right to", s).Because(err)
			}
			return s.away(err)
		}
	}
	return nil
}

func (s *S3) remove(ctx context.Context, key, version string) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	return s.core.Client.RemoveObject(ctx, s.place.bucket, key, minio.RemoveObjectOptions{VersionID: version})
}
