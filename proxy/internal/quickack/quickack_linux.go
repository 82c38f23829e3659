package quickack

import (
	"net"

	"golang.org/x/sys/unix"
)

// acknowledge sends what is owed. If it fails, the login takes longer.
func acknowledge(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
}
