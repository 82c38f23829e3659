package rig

import (
	"io"
	"net"
	"sync"
	"time"
)

// Line is a TCP connection's way to a server, which can fail: a relay on
// loopback. The zero Fault passes everything on.
type Line struct {
	Addr string // where the line begins

	target   string
	listener net.Listener
	work     sync.WaitGroup

	mu    sync.Mutex
	fault Fault
	conns map[net.Conn]struct{}
	sent  int64 // bytes towards the server since the last Set
}

// Fault is what is wrong with a line.
type Fault struct {
	Refuse  bool          // close every connection as it comes
	Hang    bool          // take what is said, pass on nothing
	Garbage string        // answer this, whatever is asked
	Delay   time.Duration // before each piece that goes to the server
	Cut     int64         // after so many bytes towards the server; 0 never
}

// NewLine begins a line to target, host:port.
func NewLine(t T, target string) *Line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for a line: %v", err)
	}
	line := &Line{Addr: l.Addr().String(), target: target, listener: l, conns: map[net.Conn]struct{}{}}
	line.work.Go(line.accept)
	t.Cleanup(func() {
		l.Close()
		line.Set(Fault{Refuse: true})
		line.work.Wait()
	})
	return line
}

// Set changes what is wrong, and ends the connections that there are.
func (l *Line) Set(f Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.sent = f, 0
	for c := range l.conns {
		c.Close()
	}
	clear(l.conns)
}

func (l *Line) accept() {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.work.Go(func() { l.serve(c) })
	}
}

func (l *Line) serve(down net.Conn) {
	l.mu.Lock()
	f := l.fault
	l.conns[down] = struct{}{}
	l.mu.Unlock()
	defer down.Close()
	switch {
	case f.Refuse:
		return
	case f.Hang:
		io.Copy(io.Discard, down)
		return
	case f.Garbage != "":
		down.Read(make([]byte, 1))
		io.WriteString(down, f.Garbage)
		return
	}
	up, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer up.Close()
	var back sync.WaitGroup
	back.Go(func() { io.Copy(down, up); down.Close() })
	l.forward(up, down, f)
	up.Close()
	back.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, down)
}

// forward passes on what the client says.
func (l *Line) forward(up, down net.Conn, f Fault) {
	buf := make([]byte, 16<<10)
	for {
		n, err := down.Read(buf)
		if f.Delay > 0 {
			time.Sleep(f.Delay)
		}
		l.mu.Lock()
		cut := f.Cut > 0 && l.sent+int64(n) >= f.Cut
		if cut {
			n = int(max(0, f.Cut-l.sent))
		}
		l.sent += int64(n)
		l.mu.Unlock()
		if _, werr := up.Write(buf[:n]); werr != nil || err != nil || cut {
			return
		}
	}
}
