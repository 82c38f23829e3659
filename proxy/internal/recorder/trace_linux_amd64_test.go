package recorder

import (
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A mishap strikes a real process in the kernel: one system call of it, of those
// that change files, goes wrong.
type mishap struct {
	name string
	// errno is what the call returns; 0: the process is killed instead.
	errno syscall.Errno
	// persisted says that the call is carried out all the same.
	persisted bool
}

var mishaps = []mishap{
	{"fails", syscall.EIO, false},
	{"fails but is carried out", syscall.EIO, true},
	{"finds the disk full", syscall.ENOSPC, false},
	{"is the last: the process is killed", 0, true},
}

// changes says whether a system call changes files. Records, blocks and headers
// are written by pwrite64; write is for the child's own words.
func changes(r *syscall.PtraceRegs) bool {
	switch r.Orig_rax {
	case syscall.SYS_PWRITE64, syscall.SYS_RENAME, syscall.SYS_RENAMEAT, syscall.SYS_UNLINK, syscall.SYS_UNLINKAT,
		syscall.SYS_FTRUNCATE, syscall.SYS_TRUNCATE, syscall.SYS_FSYNC, syscall.SYS_FALLOCATE, syscall.SYS_MKDIRAT:
		return true
	case syscall.SYS_OPENAT:
		return r.Rdx&syscall.O_CREAT != 0
	}
	return false
}

// trace runs a child of that role, and has its at-th such call meet with f. It
// returns what the child said, and whether there were so many calls.
func trace(t *testing.T, role, dir string, f mishap, at int) (said []string, struck bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^$", dir)
	cmd.Env = append(os.Environ(), childRole+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	runtime.LockOSThread() // one thread traces
	defer runtime.UnlockOSThread()
	err = cmd.Start()
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string)
	go func() { b, _ := io.ReadAll(in); heard <- string(b) }()
	struck, err = strike(cmd.Process.Pid, f, at)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(<-heard), struck
}

// strike follows the process pid, all its threads, until it has ended.
func strike(pid int, f mishap, at int) (struck bool, err error) {
	const options = syscall.PTRACE_O_TRACESYSGOOD | syscall.PTRACE_O_TRACECLONE | 0x100000 // PTRACE_O_EXITKILL
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return false, err
	}
	if err := syscall.PtraceSetOptions(pid, options); err != nil {
		return false, err
	}
	within := map[int]bool{} // threads in a system call
	hurt := 0                // the thread whose call goes wrong
	if err := syscall.PtraceSyscall(pid, 0); err != nil {
		return false, err
	}
	for count := 0; ; {
		tid, err := syscall.Wait4(-pid, &status, syscall.WALL, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return struck, err
		case status.Exited() || status.Signaled():
			if tid == pid {
				return struck, nil
			}
			continue
		}
		signal := 0
		switch s := status.StopSignal(); {
		case s == syscall.SIGTRAP|0x80:
			within[tid] = !within[tid]
			var r syscall.PtraceRegs
			if syscall.PtraceGetRegs(tid, &r) != nil {
				break // it was killed meanwhile
			}
			switch {
			case within[tid] && changes(&r):
				if count++; count != at {
					break
				}
				struck, hurt = true, tid
				if f.persisted {
					break
				}
				if f.errno == 0 {
					syscall.Kill(pid, syscall.SIGKILL)
				}
				r.Orig_rax = ^uint64(0) // no such call
				syscall.PtraceSetRegs(tid, &r)
			case !within[tid] && tid == hurt:
				hurt = 0
				if f.errno == 0 {
					syscall.Kill(pid, syscall.SIGKILL)
				}
				r.Rax = uint64(-int64(f.errno))
				syscall.PtraceSetRegs(tid, &r)
			}
		case s == syscall.SIGTRAP: // a thread was made
		case s == syscall.SIGSTOP: // it begins
		default:
			signal = int(s)
		}
		syscall.PtraceSyscall(tid, signal)
	}
}
