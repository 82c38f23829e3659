package quickack

import (
	"io"
	"net"
	"testing"
	"time"
)

// A sender with Nagle's algorithm writes twice what the receiver answers once:
// the second write waits for the acknowledgement of the first.
func TestASenderWithoutNodelayDoesNotWait(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const rounds = 20
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		q := New(c)
		var b [2]byte
		for range rounds {
			if _, err := io.ReadFull(q, b[:]); err != nil {
				return
			}
			q.Write([]byte{1})
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.(*net.TCPConn).SetNoDelay(false)
	began := time.Now()
	var b [1]byte
	for range rounds {
		c.Write([]byte{1})
		c.Write([]byte{2})
		if _, err := io.ReadFull(c, b[:]); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > rounds*40*time.Millisecond/2 {
		t.Errorf("%d rounds took %v: acknowledgements were delayed", rounds, took)
	}
}

func TestOtherConnectionsPass(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if New(a) != a {
		t.Error("a pipe was wrapped")
	}
}
