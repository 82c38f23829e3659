// Package quickack makes a TCP connection acknowledge at once what it receives
// while SSH begins.
//
// OpenSSH sends without TCP_NODELAY until a session runs, client and server
// alike: a small packet waits for the acknowledgement of the one before (RFC
// 896), which the receiver's kernel holds back for 40 ms (RFC 1122, section
// 4.2.3.2), several times per login. Here the receiver is us, on both legs.
//
// Later it would be wrong: an acknowledgement that rides on the echo of a
// keystroke is one packet less.
package quickack

import "net"

// reads that are acknowledged at once: key exchange, authentication and the
// first requests take about 20.
const reads = 64

// Conn acknowledges its first reads at once.
type Conn struct {
	*net.TCPConn
	left int // of reads; the one goroutine that reads has it
}

// New wraps c. What is no TCP connection is returned as it is.
func New(c net.Conn) net.Conn {
	if tcp, ok := c.(*net.TCPConn); ok {
		return &Conn{tcp, reads}
	}
	return c
}

// Read reads, and then has the kernel acknowledge what it read. The option does
// not last: the kernel goes back to delaying by itself (tcp(7)).
func (q *Conn) Read(b []byte) (int, error) {
	n, err := q.TCPConn.Read(b)
	if q.left > 0 && err == nil {
		q.left--
		acknowledge(q.TCPConn)
	}
	return n, err
}
