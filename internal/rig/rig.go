// Package rig brings up the real parts that tests, benchmarks and the demo need:
// OpenSSH, PostgreSQL, an OIDC provider, Debian nodes, the sallyport binary
// itself. It installs what the machine lacks (apt, by package name) when it runs
// as root, and otherwise fails with the name of the package; it never skips.
//
// Everything binds to loopback or to a network namespace that the rig made, and
// ends with the test that asked for it. The product never imports this package
// (repo_test.go sees to it).
package rig

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// T is the part of testing.TB that the rig uses; the demo brings its own.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// Need returns the path of program, installing Debian's package pkg when it is
// missing and the rig runs as root.
func Need(t T, program, pkg string) string {
	t.Helper()
	if path := find(program); path != "" {
		return path
	}
	if os.Geteuid() != 0 {
		t.Fatalf("%s is not installed: apt-get install %s", program, pkg)
	}
	Install(t, pkg)
	path := find(program)
	if path == "" {
		t.Fatalf("package %s did not bring %s", pkg, program)
	}
	return path
}

// find looks in PATH and where Debian keeps servers.
func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path := filepath.Join(dir, program); isExecutable(path) {
			return path
		}
	}
	return ""
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// Install runs apt-get for pkg under a lock that all test processes share: they would
// trip over dpkg's own lock otherwise.
func Install(t T, pkg string) {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "sallyport-rig.apt.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatalf("open apt lock: %v", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatalf("lock apt: %v", err)
	}
	apt := func(args ...string) error {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	args := []string{"install", "-y", "-q", "--no-install-recommends", pkg}
	if err := apt(args...); err != nil {
		t.Logf("package lists may be old: %v", err)
		if err := apt("update", "-q"); err != nil {
			t.Fatalf("%v", err)
		}
		if err := apt(args...); err != nil {
			t.Fatalf("%v", err)
		}
	}
}

var binary struct {
	sync.Once
	path string
	err  error
}

// Binary returns the path of the sallyport binary, built once for this process.
// SALLYPORT_BIN names one that stands already.
func Binary(t T) string {
	t.Helper()
	binary.Do(func() {
		if binary.path = os.Getenv("SALLYPORT_BIN"); binary.path != "" {
			return
		}
		dir, err := os.MkdirTemp("", "sallyport-bin-")
		if err != nil {
			binary.err = err
			return
		}
		binary.path = filepath.Join(dir, "sallyport")
		binary.err = GoBuild(Root(), ".", binary.path)
	})
	if binary.err != nil {
		t.Fatalf("build sallyport: %v", binary.err)
	}
	return binary.path
}

// GoBuild builds package pkg of the module in dir into out, static.
func GoBuild(dir, pkg, out string) error {
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// Root is the module's top folder, from where this file was compiled.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// FreeAddr returns a loopback address with a port that was free a moment ago. It
// is below the ports that the kernel gives to clients (ip_local_port_range), so
// that no connection takes it before its server does.
func FreeAddr(t T) string {
	t.Helper()
	var last error
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000)))
		if err != nil {
			last = err
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatalf("find a free port: %v", last)
	return ""
}

// Eventually polls ok until it holds, and fails after limit.
func Eventually(t T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; {
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Process is a program that runs beside a test.
type Process struct {
	Cmd  *exec.Cmd
	Log  *Log
	done chan struct{}
}

// Start runs cmd and ends it with the test: SIGTERM, then SIGKILL after 5 s.
// Its output is kept, and shown when the test fails.
func Start(t T, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, Log: &Log{}, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.Log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.Log
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() { cmd.Wait(); close(p.done) }()
	t.Cleanup(func() { p.Stop(5 * time.Second) })
	return p
}

// Stop asks the process to end, and kills it after limit.
func (p *Process) Stop(limit time.Duration) {
	p.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(limit):
		p.Kill()
	}
}

// Kill ends the process without a word, as a crash does, and waits for it.
func (p *Process) Kill() {
	p.Cmd.Process.Kill()
	<-p.done
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Log is a buffer that a process writes and a test reads.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
