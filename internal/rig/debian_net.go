package rig

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Bring makes what listens at addr on this side ("127.0.0.1:port") answer at the
// same address inside the machine, so that a CA on loopback is one there, too.
func (m *Machine) Bring(addr string) {
	m.t.Helper()
	var l net.Listener
	err := m.inside(func() (err error) { l, err = net.Listen("tcp", addr); return err })
	if err != nil {
		m.t.Fatalf("%s: listen on %s: %v", m.Release, addr, err)
	}
	m.relay(l, func() (net.Conn, error) { return net.Dial("tcp", addr) })
}

// Publish returns an address on this side that leads to addr inside, where
// connections come from the machine's own loopback.
func (m *Machine) Publish(addr string) string {
	m.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatalf("listen for %s: %v", m.Release, err)
	}
	m.relay(l, func() (conn net.Conn, err error) {
		return conn, m.inside(func() error { conn, err = net.Dial("tcp", addr); return err })
	})
	return l.Addr().String()
}

// inside calls f on a thread in the machine's network namespace. Sockets that f
// makes stay there; the thread comes back.
func (m *Machine) inside(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer here.Close()
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.pid))
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), syscall.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	defer func() {
		if err := unix.Setns(int(here.Fd()), syscall.CLONE_NEWNET); err != nil {
			panic(fmt.Sprintf("a thread is lost in another network: %v", err))
		}
	}()
	return f()
}

// relay connects what l accepts with what dial gives, until the test ends.
func (m *Machine) relay(l net.Listener, dial func() (net.Conn, error)) {
	m.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer near.Close()
				far, err := dial()
				if err != nil {
					return
				}
				defer far.Close()
				var both sync.WaitGroup
				for _, way := range [2][2]net.Conn{{near, far}, {far, near}} {
					both.Go(func() {
						io.Copy(way[0], way[1])
						way[0].(*net.TCPConn).CloseWrite()
					})
				}
				both.Wait()
			}()
		}
	}()
}
