package ca

import (
	"crypto/rand"
	"os"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/keep"
	"github.com/sallyport-ssh/sallyport/internal/storage"
)

// openRecordings makes what knows where recordings are. The storage may be away;
// a configuration that can never work is an error.
func (ca *CA) openRecordings() error {
	where, err := storage.Open(ca.config.storageURL(), time.Now)
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	r := ca.config.Recording
	ca.recordings, err = keep.New(keep.Config{
		Store: ca.store, Storage: where, Live: ca.config.Recordings,
		Recipients: r.Recipients, Retain: r.Retain.Std(), KeyFile: r.KeyFile,
		Holder: host + "-" + strings.ToLower(rand.Text()[:8]), Now: time.Now, Log: ca.log.With("part", "recordings"),
	})
	return err
}
