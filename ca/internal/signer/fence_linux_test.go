package signer

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// attempts are what somebody would try who runs code in a signer. None of them
// comes back.
var attempts = map[string]func(){
	"open a file":         func() { os.Open("/etc/passwd") },
	"write a file":        func() { os.WriteFile("/tmp/sallyport-signer-escaped", nil, 0o600) },
	"make a TCP socket":   func() { unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0) },
	"make a unix socket":  func() { unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0) },
	"dial":                func() { net.Dial("tcp", "127.0.0.1:1") },
	"connect":             func() { unix.Connect(0, &unix.SockaddrUnix{Name: "/run/x"}) },
	"listen":              func() { unix.Listen(0, 1) },
	"pass a descriptor":   func() { unix.Sendmsg(0, []byte{0}, unix.UnixRights(1), nil, 0) },
	"run a program":       func() { (&exec.Cmd{Path: "/bin/true", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}).Run() },
	"exec":                func() { syscall.Exec("/bin/true", []string{"true"}, nil) },
	"fork":                func() { unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0) },
	"read another memory": func() { unix.PtraceAttach(os.Getppid()) },
	"signal the CA":       func() { unix.Kill(os.Getppid(), 0) },
	"signal another":      func() { unix.Tgkill(os.Getppid(), os.Getppid(), 0) },
	"map code":            func() { unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE) },
	"make memory code": func() {
		page, _ := unix.Mmap(-1, 0, 4096, unix.PROT_READ, unix.MAP_ANON|unix.MAP_PRIVATE)
		unix.Mprotect(page, unix.PROT_READ|unix.PROT_EXEC)
	},
	"allow debuggers": func() { unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) },
	"raise a limit":   func() { unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}) },
	"change the user": func() { unix.Setuid(1) },
	"make an io_uring": func() {
		var params [120]byte
		unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	},
}

// work is what a signer does. It comes back.
func work() {
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			runtime.LockOSThread() // a thread of its own
			junk := make([]byte, 1<<20)
			rand.Read(junk)
			time.Sleep(time.Millisecond) // the runtime's own system calls
		})
	}
	all.Wait()
	runtime.GC()
	fmt.Fprintln(os.Stderr, time.Now().Local())
}

// fenced is the child process: it puts up the signer's own fence and tries.
func fenced(args []string) int {
	_ = time.Now().Local().String()
	if err := hide(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := fence(args[0] == "listening"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	try := attempts[args[1]]
	if args[1] == "work" {
		try = work
	}
	// On another thread than the one that put up the fence.
	done := make(chan struct{})
	go func() { runtime.LockOSThread(); try(); close(done) }()
	<-done
	return 0
}

func runFenced(t *testing.T, listening, attempt string) (string, *os.ProcessState) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "fenced", listening, attempt)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState
}

// TestNothingGetsOutOfTheFence: a child puts up the fence and tries; the kernel
// kills it. The child dies for no other reason, for it lives when it only works.
func TestNothingGetsOutOfTheFence(t *testing.T) {
	for attempt := range attempts {
		if linkedLibc && strings.HasSuffix(attempt, " a file") {
			continue // refused and not killed, see libc_linux.go; `make test` links none
		}
		for _, listening := range []string{"listening", "handed"} {
			out, state := runFenced(t, listening, attempt)
			status := state.Sys().(syscall.WaitStatus)
			if !status.Signaled() || status.Signal() != syscall.SIGSYS {
				t.Errorf("%s, %s: the process ended with %v, and not by the fence: %s", attempt, listening, state, out)
			}
			if status.CoreDump() {
				t.Errorf("%s: a core was dumped", attempt)
			}
		}
	}
	for _, listening := range []string{"listening", "handed"} {
		if out, state := runFenced(t, listening, "work"); !state.Success() {
			t.Errorf("honest work is killed: %v: %s", state, out)
		}
	}
}

// TestTheSignerItselfIsFencedIn looks at the real process through /proc.
func TestTheSignerItselfIsFencedIn(t *testing.T) {
	c := keyFolder(t)
	log := &rig.Log{}
	c.Stderr = log
	client := start(t, c)
	pid := lastPid(t, log)
	for _, line := range []string{"NoNewPrivs:\t1", "Seccomp:\t2"} {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, task.Name()))
			if err != nil {
				continue // the thread has ended
			}
			if !strings.Contains(string(status), line+"\n") {
				t.Errorf("thread %s has not %q:\n%s", task.Name(), line, status)
			}
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil || !bytes.Contains(limits, []byte("Max core file size        0                    0")) {
		t.Errorf("core dumps are not off: %v\n%s", err, limits)
	}
	// Secrets are in neither argv nor environment (DESIGN, section 7, promise 7).
	for _, file := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(testPassphrase)) {
			t.Errorf("the passphrase is in %s", file)
		}
		if file == "environ" && bytes.Contains(text, []byte("HOME=")) {
			t.Errorf("the signer has the CA's environment: %q", text)
		}
	}
	// It lives on through what the runtime does once a second.
	deadline := time.Now().Add(3 * time.Second)
	key := newKey25519(t)
	rig.Eventually(t, 10*time.Second, "three seconds of signing", func() bool {
		if _, err := client.Sign(t.Context(), loginRequest(key)); err != nil {
			t.Fatal(err)
		}
		return time.Now().After(deadline)
	})
	if again := lastPid(t, log); again != pid {
		t.Error("the signer was started again meanwhile")
	}
	if strings.Contains(log.String(), testPassphrase) {
		t.Error("the passphrase is in the log")
	}
}
