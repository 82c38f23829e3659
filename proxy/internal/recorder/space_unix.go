//go:build linux || darwin || freebsd

package recorder

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// diskSpace is what an unprivileged process may still write to the file system of
// path, and its size, in bytes.
func diskSpace(path string) (free, size int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, fmt.Errorf("measure the file system of %q: %w", path, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), nil
}
