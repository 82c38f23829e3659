package recorder

import (
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// writeBoth writes a, which is not empty, and then b at off in one system call,
// without copying them together. A write that is cut short left a prefix, which
// the format can tell.
//
// unix.Pwritev would do, and allocates twice.
func writeBoth(f *os.File, a, b []byte, off int64) error {
	iov := [2]unix.Iovec{{Base: unsafe.SliceData(a)}, {Base: unsafe.SliceData(b)}}
	iov[0].SetLen(len(a))
	iov[1].SetLen(len(b))
	for {
		// The offset is passed in two halves; 64-bit kernels take the first alone
		// (pwritev(2), "C library/kernel differences").
		n, _, errno := unix.Syscall6(unix.SYS_PWRITEV, f.Fd(), uintptr(unsafe.Pointer(&iov[0])), 2, uintptr(off), uintptr(uint64(off)>>32), 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return os.NewSyscallError("pwritev", errno)
		case int(n) < len(a)+len(b):
			// The disk is full or a limit was reached; the next write would say so.
			return io.ErrShortWrite
		}
		return nil
	}
}
