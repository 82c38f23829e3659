package recorder

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// writeBoth writes a and then b at off in one system call, without copying them
// together. A write that is cut short left a prefix, which the format can tell.
func writeBoth(f *os.File, a, b []byte, off int64) error {
	for {
		iov := [2][]byte{a, b}
		n, err := unix.Pwritev(int(f.Fd()), iov[:], off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("pwritev", err)
		}
		if n < len(a)+len(b) {
			// The disk is full or a limit was reached; the next write would say so.
			return io.ErrShortWrite
		}
		return nil
	}
}
