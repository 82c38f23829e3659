//go:build !windows

package home

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFileNow takes the lock on file or says that another process has it.
func lockFileNow(file *os.File) (bool, error) {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return err == nil, err
}
