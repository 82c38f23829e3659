package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// S3 keeps recordings as objects, one for each piece:
//
//	PREFIX/SESSION/OFFSET    the piece that begins at OFFSET, of 20 digits
//	PREFIX/SESSION/keep      until when it is kept, and whether it is held
//
// Pieces are written on the condition that nothing is there, with their SHA-256,
// which the service checks. In a bucket with versions the oldest version of a
// piece counts: what somebody writes over it, or a deletion that only hides it,
// is not seen by readers.
type S3 struct {
	place
	core  minio.Core
	login *credentials.Credentials
	now   func() time.Time

	mu     sync.Mutex
	bucket *bucket              // nil: not asked yet
	ends   map[id.Session]int64 // where the last piece that we put ends; spares a listing
}

// bucket is what the bucket can do.
type bucket struct{ versions, lock bool }

// Limits of one request. A piece of 4 MiB has to come through in it.
const (
	requestLimit = 2 * time.Minute
	answerLimit  = 30 * time.Second
	mostEnds     = 10_000
)

func newS3(p place, now func() time.Time) (*S3, error) {
	s := &S3{place: p, now: now, ends: map[id.Session]int64{}}
	s.login = p.login()
	client, err := minio.New(p.endpoint, &minio.Options{
		Creds: s.login, Secure: !p.plain, Region: p.region,
		Transport: transport(), TrailingHeaders: true, // allows a checksum of ours
		MaxRetries: 1, // who calls knows better for how long
	})
	if err != nil {
		return nil, invalid("the storage %s cannot be used", s).Because(err)
	}
	s.core = minio.Core{Client: client}
	return s, nil
}

func (s *S3) String() string {
	text := "s3://" + s.place.bucket
	if s.prefix != "" {
		text += "/" + s.prefix
	}
	return text + " at " + s.endpoint
}

// Put implements Store.
func (s *S3) Put(ctx context.Context, session id.Session, offset int64, piece []byte) error {
	if err := checkPiece(session, offset, piece); err != nil {
		return err
	}
	// 1. It follows what is there, or is there.
	end, known := s.end(session)
	if !known || end != offset {
		var err error
		if end, err = s.Size(ctx, session); err != nil {
			return err
		}
	}
	if end < offset {
		return gap(session, offset, end)
	}
	if end > offset {
		return s.compare(ctx, session, offset, piece)
	}
	// 2. Nothing else was there.
	err := s.put(ctx, s.key(session, offset), piece, func(o *minio.PutObjectOptions) { o.SetMatchETagExcept("*") })
	if code(err) == "PreconditionFailed" {
		// A request whose answer got lost, ours or that of a process before us.
		if err = s.compare(ctx, session, offset, piece); err != nil {
			s.forget(session)
			return err
		}
	}
	if err != nil {
		s.forget(session)
		return s.away(err)
	}
	s.remember(session, offset+int64(len(piece)))
	return nil
}

// put stores an object with its SHA-256.
func (s *S3) put(ctx context.Context, key string, content []byte, with func(*minio.PutObjectOptions)) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	sum := sha256.Sum256(content)
	o := minio.PutObjectOptions{
		ContentType:      "application/octet-stream",
		UserMetadata:     map[string]string{"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(sum[:])},
		DisableMultipart: true,
	}
	if with != nil {
		with(&o)
	}
	_, err := s.core.Client.PutObject(ctx, s.place.bucket, key, bytes.NewReader(content), int64(len(content)), o)
	return err
}

// compare holds piece against what is there at its place.
func (s *S3) compare(ctx context.Context, session id.Session, offset int64, piece []byte) error {
	r, err := s.Open(ctx, session)
	if err != nil {
		return err
	}
	defer r.Close()
	there := make([]byte, len(piece))
	if n, err := r.ReadAt(there, offset); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if !bytes.Equal(there[:n], piece[:n]) || n < len(piece) {
		return other(session, offset)
	}
	return nil
}

// Size implements Store.
func (s *S3) Size(ctx context.Context, session id.Session) (int64, error) {
	pieces, err := s.pieces(ctx, session)
	if err != nil || len(pieces) == 0 {
		return 0, err
	}
	return pieces[len(pieces)-1].end(), nil
}

// Open implements Store.
func (s *S3) Open(ctx context.Context, session id.Session) (Reader, error) {
	pieces, err := s.pieces(ctx, session)
	if err != nil {
		return nil, err
	}
	if len(pieces) == 0 {
		return nil, missing(session)
	}
	return newPieceReader(s, pieces), nil
}

// get reads n bytes of a piece from offset from within it.
func (s *S3) get(ctx context.Context, p piece, from int64, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	o := minio.GetObjectOptions{VersionID: p.version}
	if err := o.SetRange(from, from+int64(len(b))-1); err != nil {
		return s.away(err)
	}
	body, info, _, err := s.core.GetObject(ctx, s.place.bucket, p.key, o)
	if err != nil {
		return s.away(err)
	}
	defer body.Close()
	if info.Size != int64(len(b)) {
		return away("the storage %s answers a question for %d bytes with %d", s, len(b), info.Size)
	}
	if _, err := io.ReadFull(body, b); err != nil {
		return s.away(err)
	}
	return nil
}

// end is where the session's recording ends, as far as this process put it.
func (s *S3) end(session id.Session) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.ends[session]
	return end, ok
}

func (s *S3) remember(session id.Session, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ends) >= mostEnds {
		clear(s.ends) // costs each session one listing
	}
	s.ends[session] = end
}

func (s *S3) forget(session id.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ends, session)
}

// able asks the bucket once what it can do.
func (s *S3) able(ctx context.Context) (bucket, error) {
	s.mu.Lock()
	known := s.bucket
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	var b bucket
	v, err := s.core.GetBucketVersioning(ctx, s.place.bucket)
	if code(err) == "NotImplemented" {
		err = nil
	}
	if err != nil {
		return b, s.away(err)
	}
	// Suspended is a bucket that has old versions.
	b.versions = v.Status != ""
	lock, _, _, _, err := s.core.GetObjectLockConfig(ctx, s.place.bucket)
	switch code(err) {
	case "":
		b.lock = lock == "Enabled"
	case "ObjectLockConfigurationNotFoundError", "NotImplemented", "InvalidRequest":
		err = nil
	}
	if err != nil {
		return b, s.away(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bucket = &b
	return b, nil
}

// Check implements Store. Beside write, read and remove it sees that the service
// keeps its word on conditions: one that writes over pieces is of no use.
func (s *S3) Check(ctx context.Context) error {
	if _, err := s.able(ctx); err != nil {
		return err
	}
	key := s.under("check/" + rand.Text())
	content := []byte("sallyport\n")
	never := func(o *minio.PutObjectOptions) { o.SetMatchETagExcept("*") }
	if err := s.put(ctx, key, content, never); err != nil {
		return s.away(err)
	}
	again := s.put(ctx, key, []byte("changed\n"), never)
	if again == nil {
		return fault.New(fault.Unavailable, fault.RecordingAway, "the storage %s writes over what is there: it does not know If-None-Match", s).
			Then("use a service that has conditional writes")
	}
	if code(again) != "PreconditionFailed" {
		return s.away(again)
	}
	there := make([]byte, len(content))
	if err := s.get(ctx, piece{key: key}, 0, there); err != nil {
		return err
	}
	if !bytes.Equal(there, content) {
		return away("the storage %s gives back something else than was put", s)
	}
	// A proxy needs no right to delete.
	if err := s.remove(ctx, key, ""); err != nil && !kept(err) {
		return s.away(err)
	}
	return nil
}
