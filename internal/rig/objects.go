package rig

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Objects is a running S3 service: versitygw over a directory, with versions and
// object lock.
type Objects struct {
	Addr        string // host:port, plain HTTP on loopback
	Credentials string // AWS credentials file of its owner

	t   T
	dir string
	run *Process
}

// The owner of the service. It is made anew for each test, on loopback.
const (
	objectsKey    = "rig"
	objectsSecret = "rig-secret-of-a-throw-away-service"
)

var objectsBinary struct {
	sync.Once
	path string
	err  error
}

// ObjectStore starts an S3 service. Building it takes a minute the first time;
// SALLYPORT_RIG_S3 names one that stands already.
func ObjectStore(t T) *Objects {
	t.Helper()
	objectsBinary.Do(func() {
		if objectsBinary.path = os.Getenv("SALLYPORT_RIG_S3"); objectsBinary.path != "" {
			return
		}
		dir, err := os.MkdirTemp("", "sallyport-s3-")
		if err != nil {
			objectsBinary.err = err
			return
		}
		objectsBinary.path = filepath.Join(dir, "versitygw")
		objectsBinary.err = GoBuild(filepath.Join(Root(), "internal/rig/objects"),
			"github.com/versity/versitygw/cmd/versitygw", objectsBinary.path)
	})
	if objectsBinary.err != nil {
		t.Fatalf("build the S3 service: %v", objectsBinary.err)
	}
	o := &Objects{Addr: FreeAddr(t), t: t, dir: t.TempDir()}
	o.Credentials = o.WriteCredentials(objectsKey, objectsSecret)
	for _, name := range []string{"objects", "versions"} {
		if err := os.Mkdir(filepath.Join(o.dir, name), 0o700); err != nil {
			t.Fatalf("make directory: %v", err)
		}
	}
	o.Start()
	return o
}

// WriteCredentials makes a credentials file.
func (o *Objects) WriteCredentials(key, secret string) string {
	o.t.Helper()
	path := filepath.Join(o.t.TempDir(), "credentials")
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", key, secret)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		o.t.Fatalf("write credentials: %v", err)
	}
	return path
}

// Start brings the service up again after Kill or Stop, with what it had.
func (o *Objects) Start() {
	o.t.Helper()
	cmd := exec.Command(objectsBinary.path, "--port", o.Addr, "--quiet", "posix",
		"--versioning-dir", filepath.Join(o.dir, "versions"), filepath.Join(o.dir, "objects"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+objectsKey, "ROOT_SECRET_KEY="+objectsSecret)
	o.run = Start(o.t, cmd)
	client := o.client()
	Eventually(o.t, 20*time.Second, "the S3 service answers", func() bool {
		select {
		case <-o.run.Done():
			o.t.Fatalf("the S3 service ended: %s", o.run.Log)
		default:
		}
		_, err := client.ListBuckets(context.Background())
		return err == nil
	})
}

// Kill ends the service without a word.
func (o *Objects) Kill() { o.run.Kill() }

func (o *Objects) client() *minio.Client {
	o.t.Helper()
	c, err := minio.New(o.Addr, &minio.Options{
		Creds: credentials.NewStaticV4(objectsKey, objectsSecret, ""), Region: "us-east-1", MaxRetries: 1,
	})
	if err != nil {
		o.t.Fatalf("make S3 client: %v", err)
	}
	return c
}

// Client speaks to the service as its owner, for what the product does not do.
func (o *Objects) Client() *minio.Client { return o.client() }

// Bucket makes a bucket, with object lock (and so with versions) or without.
func (o *Objects) Bucket(name string, lock bool) {
	o.t.Helper()
	err := o.client().MakeBucket(context.Background(), name, minio.MakeBucketOptions{ObjectLocking: lock})
	if err != nil {
		o.t.Fatalf("make bucket: %v", err)
	}
}

// RemoveBucket takes an empty or full bucket away.
func (o *Objects) RemoveBucket(name string) {
	o.t.Helper()
	for _, part := range []string{"objects", "versions"} {
		if err := os.RemoveAll(filepath.Join(o.dir, part, name)); err != nil {
			o.t.Fatalf("remove bucket: %v", err)
		}
	}
}

// URL is how the product's configuration names a bucket.
func (o *Objects) URL(bucket string) string { return o.URLAt(o.Addr, bucket) }

// URLAt is URL through something that stands before the service.
func (o *Objects) URLAt(addr, bucket string) string {
	q := url.Values{"endpoint": {"http://" + addr}, "region": {"us-east-1"}, "credentials": {o.Credentials}}
	return "s3://" + bucket + "/recordings?" + q.Encode()
}
