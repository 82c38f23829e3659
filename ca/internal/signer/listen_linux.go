package signer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// maxConnections is how many connections the socket serves at once: a CA, one
// that replaces it, and room.
const maxConnections = 8

// listener is the door of a signer with an OS user of its own.
type listener struct {
	socket *net.UnixListener
	peer   uint32
}

// listen makes the socket at path, for the OS user peer alone. A socket that an
// earlier signer left is taken away; anything else at path stays, and is an error.
func listen(path string, peer uint32) (door, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "%s is there and is no socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove old socket: %w", err)
		}
	}
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for the CA: %w", err)
	}
	// Taking the socket away at the end would need a system call that the fence
	// forbids.
	socket.SetUnlinkOnClose(false)
	// Connecting takes the right to write. Who connects is decided by the
	// kernel's word on their user, not by the file's mode.
	if err := os.Chmod(path, 0o666); err != nil {
		socket.Close()
		return nil, fmt.Errorf("listen for the CA: %w", err)
	}
	return &listener{socket, peer}, nil
}

func (d *listener) Close() error         { return d.socket.Close() }
func (d *listener) fail(err error) error { return err }

// serve answers connections of the peer until ctx ends, or one of them commits
// a violation: that ends all.
func (d *listener) serve(ctx context.Context, e *engine) error {
	inner, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(inner, func() { d.socket.Close() })()

	var connections sync.WaitGroup
	defer connections.Wait()
	room := make(chan struct{}, maxConnections)
	for {
		conn, err := d.socket.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if inner.Err() != nil {
			return context.Cause(inner)
		}
		if err != nil {
			return fmt.Errorf("accept the CA: %w", err)
		}
		if err := checkPeer(conn, d.peer); err != nil {
			e.log.Warn("connection refused", "error", err)
			conn.Close()
			continue
		}
		select {
		case room <- struct{}{}:
		default:
			e.log.Warn("connection refused", "error", "too many connections", slog.Int("limit", maxConnections))
			conn.Close()
			continue
		}
		connections.Go(func() {
			defer func() { <-room }()
			if err := e.serve(inner, conn); err != nil {
				stop(err)
			}
		})
	}
}

// checkPeer asks the kernel who is at the other end (unix(7), SO_PEERCRED).
func checkPeer(conn *net.UnixConn, want uint32) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if cred.Uid != want {
		return fmt.Errorf("the peer is user %d (process %d) and not %d", cred.Uid, cred.Pid, want)
	}
	return nil
}

// inherited is the connection that Start left on file descriptor 3.
func inherited() (net.Conn, error) {
	const fd = 3
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, err
	}
	if kind != unix.SOCK_STREAM {
		return nil, errors.New("file descriptor 3 is no stream")
	}
	f := os.NewFile(fd, "ca")
	defer f.Close()
	return net.FileConn(f)
}
