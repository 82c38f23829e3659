package login

import (
	"io"
	"net"
)

// passConn: there is no ProxyUseFdpass on Windows.
func passConn(io.Reader, io.Writer, *net.TCPConn) (bool, error) { return false, nil }
