//go:build unix

package recorder

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock that lives as long as the file it returns, and the
// process: a crash gives it back.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.New("another proxy has it open")
		}
		return nil, err
	}
	return f, nil
}
