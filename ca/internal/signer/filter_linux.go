package signer

import (
	"os"

	"golang.org/x/sys/unix"
)

// allowed are the system calls without which a Go process cannot answer
// requests on an open socket: reading and writing what is open, memory, threads,
// signals, time. Found in the runtime's sources and by strace; a call that is
// not here, or not with these arguments, kills the process.
var allowed = []uintptr{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_CLOSE,
	unix.SYS_PREAD64, unix.SYS_SCHED_GETAFFINITY, // how many CPUs there are, looked up again and again
	unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2,
	unix.SYS_MUNMAP, unix.SYS_MADVISE,
	unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_RESTART_SYSCALL,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_SIGALTSTACK,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN,
	unix.SYS_GETRANDOM,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// allowedListening are the calls more by which connections are accepted, on a
// socket that stands already, and their peers asked for.
var allowedListening = []uintptr{unix.SYS_ACCEPT4, unix.SYS_GETSOCKNAME, unix.SYS_GETSOCKOPT}

// Fields of struct seccomp_data (seccomp(2)). Both architectures are little
// endian, so the low half of an argument comes first.
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
)

// filter returns the seccomp program for this process, none for an architecture
// that arch does not know.
func filter(listening bool) []unix.SockFilter {
	if arch == 0 {
		return nil
	}
	p := []unix.SockFilter{
		// A call by another architecture's table has other numbers.
		load(offsetArch),
		jump(unix.BPF_JEQ, arch, 1, 0),
		ret(unix.SECCOMP_RET_KILL_PROCESS),
		load(offsetNr),
	}
	// A thread, but no process.
	p = append(p, onlyIf(unix.SYS_CLONE, 0, unix.BPF_JSET, unix.CLONE_THREAD, true)...)
	// Memory, but nothing that could be run as a program.
	p = append(p, onlyIf(unix.SYS_MMAP, 2, unix.BPF_JSET, unix.PROT_EXEC, false)...)
	p = append(p, onlyIf(unix.SYS_MPROTECT, 2, unix.BPF_JSET, unix.PROT_EXEC, false)...)
	// Signals to our own threads, by which the runtime preempts them.
	p = append(p, onlyIf(unix.SYS_TGKILL, 0, unix.BPF_JEQ, uint32(os.Getpid()), true)...)
	// Names for memory, which the runtime gives.
	p = append(p, onlyIf(unix.SYS_PRCTL, 0, unix.BPF_JEQ, unix.PR_SET_VMA, true)...)
	p = append(p, forCalls(unix.SECCOMP_RET_ALLOW, allowed...)...)
	if listening {
		p = append(p, forCalls(unix.SECCOMP_RET_ALLOW, allowedListening...)...)
	}
	if linkedLibc {
		// Its threads begin with more calls. It takes no for an answer to
		// clone3, whose flags are behind a pointer where a filter cannot look,
		// and when it wants to read how many CPUs there are.
		p = append(p, forCalls(unix.SECCOMP_RET_ALLOW, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ)...)
		p = append(p, forCalls(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS), unix.SYS_CLONE3, unix.SYS_OPENAT)...)
	}
	return append(p, ret(unix.SECCOMP_RET_KILL_PROCESS))
}

// forCalls gives one answer to several calls.
func forCalls(action uint32, calls ...uintptr) []unix.SockFilter {
	var p []unix.SockFilter
	for _, nr := range calls {
		p = append(p, jump(unix.BPF_JEQ, uint32(nr), 0, 1), ret(action))
	}
	return p
}

// onlyIf allows call nr if the comparison of the low half of its argument n
// with value comes out as want, and kills otherwise.
func onlyIf(nr uintptr, n uint32, compare uint16, value uint32, want bool) []unix.SockFilter {
	yes, no := uint32(unix.SECCOMP_RET_ALLOW), uint32(unix.SECCOMP_RET_KILL_PROCESS)
	if !want {
		yes, no = no, yes
	}
	return []unix.SockFilter{
		jump(unix.BPF_JEQ, uint32(nr), 0, 4),
		load(offsetArgs + 8*n),
		jump(compare, value, 0, 1),
		ret(yes),
		ret(no),
	}
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// jump skips yes instructions if the comparison holds, else no.
func jump(compare uint16, value uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | compare, Jt: yes, Jf: no, K: value}
}

func ret(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}
