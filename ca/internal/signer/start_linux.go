package signer

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startProcess starts a signer with one end of a socket pair on file descriptor
// 3 and returns the other. The signer ends when that is closed, also by the
// kernel because this process was killed. wait closes nothing; it returns when
// the process has ended, and kills it after a while.
func startProcess(c Config) (conn net.Conn, wait func() error, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the signer's connection: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "signer"), os.NewFile(uintptr(pair[1]), "ca")
	defer ours.Close()
	defer theirs.Close()

	program := c.Program
	if len(program) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, nil, fmt.Errorf("find the signer's program: %w", err)
		}
		program = []string{self, "signer"}
	}
	args := append([]string(nil), program[1:]...)
	args = append(args, "--keys", c.Keys)
	if c.PassphraseFile != "" {
		args = append(args, "--passphrase-file", c.PassphraseFile)
	}
	if c.RequireFence {
		args = append(args, "--require-fence")
	}
	cmd := exec.Command(program[0], args...)
	cmd.ExtraFiles = []*os.File{theirs}
	// Nothing of the CA's environment is the signer's business but where
	// systemd put the passphrase.
	cmd.Env = []string{"CREDENTIALS_DIRECTORY=" + os.Getenv("CREDENTIALS_DIRECTORY")}
	cmd.Stderr = c.stderr()
	cmd.WaitDelay = time.Second
	// In a group of its own, Ctrl-C at a terminal reaches the CA alone, which
	// then still gets its last certificates.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start the signer: %w", err)
	}
	wait = func() error {
		kill := time.AfterFunc(endPatience, func() { cmd.Process.Kill() })
		defer kill.Stop()
		return cmd.Wait()
	}
	conn, err = net.FileConn(ours)
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, nil, fmt.Errorf("make the signer's connection: %w", err)
	}
	return conn, wait, nil
}

// dialSocket connects to a signer that runs as user c.SocketUser.
func dialSocket(ctx context.Context, c Config) (net.Conn, error) {
	want, err := uidOf(c.SocketUser)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return nil, fmt.Errorf("reach the signer: %w", err)
	}
	// Whoever could put a socket there could say which CA keys to trust.
	if err := checkPeer(conn.(*net.UnixConn), want); err != nil {
		conn.Close()
		return nil, fmt.Errorf("reach the signer: %w", err)
	}
	return conn, nil
}

func (c Config) stderr() io.Writer {
	if c.Stderr != nil {
		return c.Stderr
	}
	return os.Stderr
}
