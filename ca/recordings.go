package ca

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/indexer"
	"github.com/sallyport-ssh/sallyport/ca/internal/keep"
	"github.com/sallyport-ssh/sallyport/internal/storage"
)

// tryStorage asks a storage that is a service whether it works. A directory is
// left alone: who runs `check` may not be who runs the CA.
func (c *Config) tryStorage() error {
	s, err := storage.Open(c.storageURL(), time.Now)
	if _, local := s.(*storage.Local); local || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return s.Check(ctx)
}

// openRecordings makes what knows where recordings are. The storage may be away;
// a configuration that can never work is an error.
func (ca *CA) openRecordings() error {
	where, err := storage.Open(ca.config.storageURL(), time.Now)
	if err != nil {
		return err
	}
	r := ca.config.Recording
	ca.recordings, err = keep.New(keep.Config{
		Store: ca.store, Storage: where, Live: ca.config.Recordings,
		Recipients: r.Recipients, Retain: r.Retain.Std(), KeyFile: r.KeyFile,
		Holder: ca.process, Now: time.Now, Log: ca.log.With("part", "recordings"),
	})
	return err
}

// indexer makes what makes recordings searchable.
func (ca *CA) indexer() *indexer.Indexer {
	return indexer.New(indexer.Config{
		Store: ca.store, Open: ca.recordings.Open, Holder: ca.process, Log: ca.log.With("part", "search"),
	})
}

// processName names this process among the CAs on one database. It is new with
// every start: a CA that was started again does not take itself for the one that
// died, whose last write may still be under way.
func processName() string {
	host, _ := os.Hostname()
	return host + "-" + strings.ToLower(rand.Text()[:8])
}
