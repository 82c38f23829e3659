package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/storage"
	"github.com/sallyport-ssh/sallyport/proxy/internal/recorder"
	"github.com/sallyport-ssh/sallyport/proxy/internal/upload"
)

// Storage is where this proxy brings its recordings.
type Storage struct {
	// URL is file:///absolute/path, or s3://bucket/prefix with what follows a "?":
	// endpoint=https://..., region=..., credentials=/path of an AWS credentials file
	// (default: the AWS chain), profile=..., lock=compliance or governance. The same
	// as the CA's. "" brings them nowhere: they stay in the directory of recordings.
	URL string `yaml:"url"`
	// Flush is how old a frame may grow that is not on its way there.
	Flush config.Duration `yaml:"flush"`
	// Keep is how long a recording stays here after the storage has all of it.
	Keep config.Duration `yaml:"keep"`
	// Backlog is how much may wait here before new sessions are refused.
	Backlog config.Bytes `yaml:"backlog"`
}

func defaultStorage() Storage {
	return Storage{Flush: config.Duration(time.Minute), Backlog: upload.DefaultMost}
}

// Check opens nothing but the URL.
func (s *Storage) Check() error {
	if s.Flush.Std() < time.Second {
		return config.At("flush", "%s is too often: each time is a request for every session", s.Flush)
	}
	if s.Backlog < 1<<20 {
		return config.At("backlog", "with %s hardly a session could begin", s.Backlog)
	}
	if s.URL == "" || storage.HasSecret(s.URL) {
		return nil // checkSecrets refuses the latter
	}
	if _, err := storage.Open(s.URL, time.Now); err != nil {
		return config.At("url", "%v", fault.Of(err).Text)
	}
	return nil
}

// checkSecrets stands apart from Check because an error there shows the line.
func (c *Config) checkSecrets() error {
	if storage.HasSecret(c.Storage.URL) {
		return fault.New(fault.Invalid, fault.ConfigInvalid, "storage: a name or secret stands in the URL").
			Then("put it into an AWS credentials file and add ?credentials=/path")
	}
	return nil
}

// uploads brings recordings to their storage; nil is nowhere.
type uploads struct {
	*upload.Uploader
	store storage.Store
	log   *slog.Logger
}

// openUploads makes what c's recorder has to know: with a storage, what stands is
// told to the uploader, and what waits there keeps new sessions out. dir is asked
// for later.
func openUploads(c Config, recorded *recorder.Config, dir func() *recorder.Dir, log *slog.Logger) (*uploads, error) {
	if c.Storage.URL == "" {
		return nil, nil
	}
	store, err := storage.Open(c.Storage.URL, time.Now)
	if err != nil {
		return nil, err
	}
	u := upload.New(upload.Config{
		Store: store, Dir: c.Recordings, Linger: c.Storage.Flush.Std(), Keep: c.Storage.Keep.Std(), Most: int64(c.Storage.Backlog),
		Remove: func(x id.Session) error { return dir().Remove(x) }, Log: log,
	})
	recorded.Flush, recorded.Grown, recorded.Backlog = c.Storage.Flush.Std(), u.Grown, u.Backlog
	return &uploads{u, store, log}, nil
}

// run uploads until ctx ends.
func (u *uploads) run(ctx context.Context) {
	if u == nil {
		return
	}
	if err := checkStorage(ctx, u.store); err != nil && ctx.Err() == nil {
		u.log.Error("the storage of recordings does not work; they wait here", "storage", u.store, "err", err)
	}
	u.Run(ctx)
}

// drain gives what has just been sealed a moment to leave.
func (u *uploads) drain(limit time.Duration) {
	if u == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	u.Drain(ctx)
}

// storageLimit is how long a storage may take to show that it works.
const storageLimit = 20 * time.Second

func checkStorage(ctx context.Context, s storage.Store) error {
	ctx, cancel := context.WithTimeout(ctx, storageLimit)
	defer cancel()
	return s.Check(ctx)
}

// storageLine is what `check` says of the storage.
func storageLine(ctx context.Context, c Config) string {
	if c.Storage.URL == "" {
		return "# recordings stay in " + c.Recordings
	}
	s, err := storage.Open(c.Storage.URL, time.Now)
	if err == nil {
		err = checkStorage(ctx, s)
	}
	if err != nil {
		return fmt.Sprintf("# storage: %s", fault.Of(err).Text)
	}
	return fmt.Sprintf("# storage: %s works", s)
}
