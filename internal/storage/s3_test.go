package storage_test

import (
	"bytes"
	"context"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/storage"
)

// What somebody can do who has the bucket's keys, and is not seen by a reader.
func TestVersionsKeepWhatWasPutFirst(t *testing.T) {
	objects := rig.ObjectStore(t)
	objects.Bucket("locked", true)
	s := opened(t, objects.URL("locked"))
	client := objects.Client()
	key := func(x id.Session, offset string) string {
		return "recordings/" + string(x) + "/" + strings.Repeat("0", 20-len(offset)) + offset
	}
	for name, tamper := range map[string]func(x id.Session) error{
		"a piece is written over": func(x id.Session) error {
			_, err := client.PutObject(ctx(t), "locked", key(x, "3"), strings.NewReader("XXX"), 3, minio.PutObjectOptions{})
			return err
		},
		"a longer piece is written over it": func(x id.Session) error {
			_, err := client.PutObject(ctx(t), "locked", key(x, "0"), strings.NewReader("oneXXX"), 6, minio.PutObjectOptions{})
			return err
		},
		"a piece is hidden by a deletion": func(x id.Session) error {
			return client.RemoveObject(ctx(t), "locked", key(x, "3"), minio.RemoveObjectOptions{})
		},
		"something lies between the pieces": func(x id.Session) error {
			_, err := client.PutObject(ctx(t), "locked", key(x, "2"), strings.NewReader("XXX"), 3, minio.PutObjectOptions{})
			return err
		},
		"something lies behind the end": func(x id.Session) error {
			_, err := client.PutObject(ctx(t), "locked", key(x, "9"), strings.NewReader("XXX"), 3, minio.PutObjectOptions{})
			return err
		},
		"something has an odd name": func(x id.Session) error {
			for _, name := range []string{"6", "-0000000000000000006", "99999999999999999999", "0000000000000000000six"} {
				_, err := client.PutObject(ctx(t), "locked", "recordings/"+string(x)+"/"+name, strings.NewReader("XXX"), 3, minio.PutObjectOptions{})
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := id.NewSession()
			put(t, s, x, 0, []byte("one"))
			put(t, s, x, 3, []byte("two"))
			if err := tamper(x); err != nil {
				t.Fatal(err)
			}
			holds(t, s, x, []byte("onetwo"))
			holds(t, opened(t, objects.URL("locked")), x, []byte("onetwo"))
			if err := s.Delete(ctx(t), x); err != nil {
				t.Fatalf("delete: %v", err)
			}
			for o := range client.ListObjectsIter(ctx(t), "locked", minio.ListObjectsOptions{
				Prefix: "recordings/" + string(x), Recursive: true, WithVersions: true,
			}) {
				t.Errorf("%s is left, %v", o.Key, o.Err)
			}
		})
	}
}

func TestObjectLockHoldsAgainstEverybody(t *testing.T) {
	objects := rig.ObjectStore(t)
	objects.Bucket("locked", true)
	s := opened(t, objects.URL("locked"))
	client := objects.Client()
	for name, keep := range map[string]func(id.Session) error{
		"retention": func(x id.Session) error { return s.Retain(ctx(t), x, time.Now().Add(time.Hour)) },
		"hold":      func(x id.Session) error { return s.Hold(ctx(t), x, true) },
	} {
		t.Run(name, func(t *testing.T) {
			x := id.NewSession()
			put(t, s, x, 0, []byte("one"))
			put(t, s, x, 3, []byte("two"))
			if err := keep(x); err != nil {
				t.Fatal(err)
			}
			// Somebody with the keys, who takes our note away and tries every version.
			for range 2 {
				for o := range client.ListObjectsIter(ctx(t), "locked", minio.ListObjectsOptions{
					Prefix: "recordings/" + string(x), Recursive: true, WithVersions: true,
				}) {
					client.RemoveObject(ctx(t), "locked", o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID})
				}
			}
			holds(t, s, x, []byte("onetwo"))
			refused(t, fault.RecordingHeld, s.Delete(ctx(t), x))
			holds(t, s, x, []byte("onetwo"))
		})
	}
}

func opened(t *testing.T, url string) storage.Store {
	t.Helper()
	s, err := storage.Open(url, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each fault is named, nothing is lost by it, and when it is over the same call
// works.
func TestFaultsOfTheService(t *testing.T) {
	objects := rig.ObjectStore(t)
	objects.Bucket("bucket", false)
	line := rig.NewLine(t, objects.Addr)
	calls := map[string]func(context.Context, storage.Store, id.Session) error{
		"put": func(c context.Context, s storage.Store, x id.Session) error {
			return s.Put(c, x, 3, bytes.Repeat([]byte("two"), 1<<20))
		},
		"size": func(c context.Context, s storage.Store, x id.Session) error {
			_, err := s.Size(c, x)
			return err
		},
		"open": func(c context.Context, s storage.Store, x id.Session) error {
			r, err := s.Open(c, x)
			if err == nil {
				r.Close()
			}
			return err
		},
		"retain": func(c context.Context, s storage.Store, x id.Session) error { return s.Retain(c, x, time.Now()) },
		"hold":   func(c context.Context, s storage.Store, x id.Session) error { return s.Hold(c, x, false) },
		"list": func(c context.Context, s storage.Store, x id.Session) error {
			return s.List(c, func(id.Session) error { return nil })
		},
		"check":  func(c context.Context, s storage.Store, x id.Session) error { return s.Check(c) },
		"delete": func(c context.Context, s storage.Store, x id.Session) error { return s.Delete(c, x) },
	}
	for name, f := range map[string]rig.Fault{
		"it refuses connections":        {Refuse: true},
		"it takes all and says nothing": {Hang: true},
		"it answers garbage":            {Garbage: "220 mail.example.com ESMTP\r\n"},
		"it answers empty pages":        {Garbage: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		"it answers web pages":          {Garbage: "HTTP/1.1 200 OK\r\nContent-Length: 19\r\nConnection: close\r\n\r\n<html>hello</html>\n"},
		"it is overloaded":              {Garbage: "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		"it answers half":               {Garbage: "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n<?xml version="},
		"it dies in the middle":         {Cut: 300},
	} {
		t.Run(name, func(t *testing.T) {
			for call, do := range calls {
				line.Set(rig.Fault{})
				x := id.NewSession()
				s := opened(t, objects.URLAt(line.Addr, "bucket"))
				put(t, s, x, 0, []byte("one"))
				line.Set(f)
				short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				err := do(short, s, x)
				cancel()
				if got := fault.ReasonOf(err); got != fault.RecordingAway && !(call == "put" && err == nil && f.Cut == 0) {
					t.Errorf("%s: got %q (%v)", call, got, err)
				}
				line.Set(rig.Fault{})
				b := make([]byte, 3)
				if _, err := open(t, s, x).ReadAt(b, 0); err != nil || string(b) != "one" {
					t.Errorf("%s: afterwards there is %q, %v", call, b, err)
				}
				if err := do(ctx(t), s, x); err != nil {
					t.Errorf("%s: afterwards: %v", call, err)
				}
			}
		})
	}
}

// A put whose answer is lost has happened; the same put again finds that out.
func TestAnUploadThatDiesInTheMiddleIsWholeOrNot(t *testing.T) {
	objects := rig.ObjectStore(t)
	objects.Bucket("bucket", false)
	line := rig.NewLine(t, objects.Addr)
	s := opened(t, objects.URLAt(line.Addr, "bucket"))
	all := noise(400_000)
	x := id.NewSession()
	at := 0
	for cut := int64(1000); at < len(all); cut += 23_000 {
		line.Set(rig.Fault{Cut: cut})
		n := min(100_000, len(all)-at)
		err := s.Put(ctx(t), x, int64(at), all[at:at+n])
		line.Set(rig.Fault{})
		size, sizeErr := opened(t, objects.URL("bucket")).Size(ctx(t), x)
		if sizeErr != nil || size != int64(at) && size != int64(at+n) || err == nil && size == int64(at) {
			t.Fatalf("cut at %d: put says %v, and %d bytes are there, %v", cut, err, size, sizeErr)
		}
		if err == nil {
			at += n
		}
	}
	holds(t, s, x, all)
}

func TestTheServiceComesBackWithWhatItHad(t *testing.T) {
	objects := rig.ObjectStore(t)
	objects.Bucket("bucket", false)
	s := opened(t, objects.URL("bucket"))
	x := id.NewSession()
	put(t, s, x, 0, []byte("one"))
	r := open(t, s, x)
	objects.Kill()
	refused(t, fault.RecordingAway, s.Put(ctx(t), x, 3, []byte("two")))
	_, err := r.ReadAt(make([]byte, 1), 0)
	refused(t, fault.RecordingAway, err)
	objects.Start()
	put(t, s, x, 3, []byte("two"))
	holds(t, s, x, []byte("onetwo"))
	if b, err := io.ReadAll(io.NewSectionReader(r, 0, 9)); err != nil || string(b) != "one" {
		t.Errorf("the old reader has %q, %v", b, err)
	}
}

func TestWhatIsWrongWithABucketIsNamed(t *testing.T) {
	objects := rig.ObjectStore(t)
	objects.Bucket("bucket", false)
	s := opened(t, objects.URL("bucket"))
	x := id.NewSession()
	put(t, s, x, 0, []byte("one"))
	stranger := objects.WriteCredentials("rig", "not-its-secret")
	for name, row := range map[string]struct{ url, says string }{
		"wrong credentials":     {strings.Replace(objects.URL("bucket"), url.QueryEscape(objects.Credentials), url.QueryEscape(stranger), 1), "refuses our credentials"},
		"no such credentials":   {strings.Replace(objects.URL("bucket"), "region", "profile=nobody&region", 1), "there are no credentials"},
		"a bucket that is none": {objects.URL("nowhere"), "no such bucket"},
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, row.url)
			_, err := s.Size(ctx(t), x)
			refused(t, fault.RecordingAway, err)
			if err == nil || !strings.Contains(fault.Of(err).Text, row.says) {
				t.Errorf("it says %v, want %q", err, row.says)
			}
			if strings.Contains(err.Error(), "not-its-secret") {
				t.Errorf("the secret is in %v", err)
			}
			refused(t, fault.RecordingAway, s.Check(ctx(t)))
		})
	}
	// Credentials that were replaced are taken up.
	mine, err := os.ReadFile(objects.Credentials)
	if err != nil {
		t.Fatal(err)
	}
	late := opened(t, strings.Replace(objects.URL("bucket"), url.QueryEscape(objects.Credentials), url.QueryEscape(stranger), 1))
	_, err = late.Size(ctx(t), x)
	refused(t, fault.RecordingAway, err)
	if err := os.WriteFile(stranger, mine, 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, late, x, []byte("one"))

	objects.RemoveBucket("bucket")
	refused(t, fault.RecordingAway, s.Put(ctx(t), x, 3, []byte("two")))
}
