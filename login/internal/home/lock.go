package home

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Lock is held by who changes the directory, so that forty ssh that start at
// once renew one certificate once. The kernel drops it when its holder dies.
type Lock struct{ file *os.File }

// lockPoll is how often a waiting Lock asks again, in which time the holder is
// talking to the CA or to the issuer.
const lockPoll = 20 * time.Millisecond

// lockNotice is how long a wait is not worth a word: another renewal takes less.
const lockNotice = time.Second

// TryLock returns nil and no error when somebody else holds the lock.
func (d Dir) TryLock() (*Lock, error) {
	if err := d.Make(); err != nil {
		return nil, err
	}
	path := d.Path(lockFile)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	ok, err := lockFileNow(file)
	if err != nil || !ok {
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("take lock: %w", err)
		}
		return nil, nil
	}
	// A logout removes the file while it holds the lock; who had opened it
	// before now holds a lock that nobody else sees.
	if same(file, path) {
		d.sweep()
		return &Lock{file}, nil
	}
	file.Close()
	return nil, nil
}

// Lock waits for the lock until ctx ends. waiting is called once when that takes
// longer than a renewal should.
func (d Dir) Lock(ctx context.Context, waiting func()) (*Lock, error) {
	poll, notice := time.NewTicker(lockPoll), time.NewTimer(lockNotice)
	defer poll.Stop()
	defer notice.Stop()
	for {
		l, err := d.TryLock()
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-notice.C:
			waiting()
		case <-poll.C:
		}
	}
}

// Unlock gives the lock back.
func (l *Lock) Unlock() { l.file.Close() }

func same(file *os.File, path string) bool {
	a, err := file.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}
