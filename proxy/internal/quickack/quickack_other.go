//go:build !linux

package quickack

import "net"

func acknowledge(*net.TCPConn) {}
