package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/creack/pty"
)

// target is one way to the same node: direct, through the bare relay, through
// Sallyport. ssh is the command up to and including the destination.
type target struct {
	name string
	ssh  []string
	env  []string // nil for this process' own
}

func (t target) command(options []string, remote ...string) *exec.Cmd {
	args := append([]string{t.ssh[0]}, options...)
	args = append(append(args, t.ssh[1:]...), remote...)
	cmd := exec.Command(args[0], args[1:]...)
	if cmd.Env = t.env; cmd.Env == nil {
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK=")
	}
	return cmd
}

const mebi = 1 << 20

// download reads size bytes that the node sends as fast as it can, and returns
// MB/s of wall time after the first byte.
func (t target) download(cipher string, size int64) (float64, error) {
	return t.drain(size, t.command([]string{"-c", cipher}, fmt.Sprintf("head -c %d /dev/zero", size)))
}

// drain reads what cmd prints, size bytes at least, and returns MB/s of wall time
// after the first byte.
func (t target) drain(size int64, cmd *exec.Cmd) (float64, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	buf := make([]byte, 256<<10)
	first, err := io.ReadFull(out, buf[:1])
	start := time.Now()
	n, copyErr := io.CopyBuffer(struct{ io.Writer }{io.Discard}, out, buf)
	took := time.Since(start)
	if waitErr := cmd.Wait(); err != nil || copyErr != nil || waitErr != nil || n+int64(first) < size {
		return 0, fmt.Errorf("%s: %d of %d bytes came: %v %v %s", t.name, n+int64(first), size, copyErr, waitErr, stderr.String())
	}
	return float64(n) / 1e6 / took.Seconds(), nil
}

// upload sends size bytes to the node and returns MB/s from the node's ready
// word until it has counted them all.
func (t target) upload(cipher string, size int64) (float64, error) {
	cmd := t.command([]string{"-c", cipher}, "echo ready; wc -c")
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ready := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(out, ready); err != nil {
		return 0, fmt.Errorf("%s: upload did not start: %v %s", t.name, err, stderr.String())
	}
	start := time.Now()
	block := make([]byte, 256<<10)
	for left := size; left > 0; {
		n, err := in.Write(block[:min(left, int64(len(block)))])
		if err != nil {
			return 0, fmt.Errorf("%s: upload: %w", t.name, err)
		}
		left -= int64(n)
	}
	if err := in.Close(); err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(out)
	took := time.Since(start)
	if waitErr := cmd.Wait(); err != nil || waitErr != nil || string(bytes.TrimSpace(answer)) != fmt.Sprint(size) {
		return 0, fmt.Errorf("%s: upload of %d bytes arrived as %q: %v %s", t.name, size, answer, waitErr, stderr.String())
	}
	return float64(size) / 1e6 / took.Seconds(), nil
}

// terminal is an interactive session whose node echoes keystrokes.
type terminal struct {
	cmd *exec.Cmd
	tty *os.File
}

func (t target) terminal() (*terminal, error) {
	cmd := t.command([]string{"-tt", "-e", "none"}, "printf 'go\\n'; exec cat")
	tty, err := pty.Start(cmd)
	if err != nil {
		return nil, err
	}
	var seen []byte
	b := make([]byte, 1)
	for !bytes.Contains(seen, []byte("go\r\n")) {
		if _, err := tty.Read(b); err != nil {
			return nil, fmt.Errorf("%s: no terminal: %w: %s", t.name, err, seen)
		}
		seen = append(seen, b[0])
	}
	return &terminal{cmd, tty}, nil
}

// key types one character and returns how long its echo took.
func (t *terminal) key() (time.Duration, error) {
	b := []byte{'x'}
	start := time.Now()
	if _, err := t.tty.Write(b); err != nil {
		return 0, err
	}
	if _, err := t.tty.Read(b); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// enter ends the line, so that the node's terminal never fills its line buffer,
// and reads the line that cat sends back.
func (t *terminal) enter(typed int) error {
	if _, err := t.tty.Write([]byte{'\r'}); err != nil {
		return err
	}
	_, err := io.ReadFull(t.tty, make([]byte, 2+typed+2)) // CR LF echoed, the line, CR LF
	return err
}

func (t *terminal) close() {
	t.cmd.Process.Kill()
	t.cmd.Wait()
	t.tty.Close()
}

// connect runs `true` on the node over a new connection.
func (t target) connect() (time.Duration, error) {
	cmd := t.command(nil, "true")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", t.name, err, stderr.String())
	}
	return time.Since(start), nil
}
