//go:build !windows

package login

import (
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// passConn gives the connection itself to ssh, which then speaks to the proxy
// without us in between, and says whether it did. That is what ssh waits for with
// ProxyUseFdpass: one byte and the descriptor on its unix socket, which is our
// stdin and our stdout at once. A program that merely reads through a socket pair
// has two of them.
func passConn(in io.Reader, out io.Writer, conn *net.TCPConn) (bool, error) {
	stdin, stdout := asFile(in), asFile(out)
	if stdin == nil || stdout == nil || !sameSocket(int(stdin.Fd()), int(stdout.Fd())) {
		return false, nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false, fmt.Errorf("pass connection: %w", err)
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		// The flag belongs to the open file and goes along; ssh expects a
		// socket as connect(2) leaves it.
		if sent = unix.SetNonblock(int(fd), false); sent == nil {
			sent = unix.Sendmsg(int(stdout.Fd()), []byte{0}, unix.UnixRights(int(fd)), nil, 0)
		}
	})
	if err == nil {
		err = sent
	}
	if err != nil {
		return false, fmt.Errorf("pass connection: %w", err)
	}
	return true, nil
}

// sameSocket: both descriptors are one and the same unix socket.
func sameSocket(a, b int) bool {
	var x, y unix.Stat_t
	if unix.Fstat(a, &x) != nil || unix.Fstat(b, &y) != nil {
		return false
	}
	if x.Mode&unix.S_IFMT != unix.S_IFSOCK || x.Dev != y.Dev || x.Ino != y.Ino {
		return false
	}
	addr, err := unix.Getsockname(b)
	_, isUnix := addr.(*unix.SockaddrUnix)
	return err == nil && isUnix
}

// asFile is x as a file of this process; nil if it is something else.
func asFile(x any) *os.File {
	f, _ := x.(*os.File)
	return f
}
