package rig

import (
	"bufio"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// firstUID is of the accounts that exist in an sshd's mount namespace alone,
// far from those of a machine.
const firstUID = 62000

// accounts makes the logins for one sshd and returns the command that runs
// program where they exist.
func accounts(t T, dir string, logins []string, program string) []string {
	t.Helper()
	unshare := Need(t, "unshare", "util-linux")
	if out, err := exec.Command(unshare, "--mount", "true").CombinedOutput(); err != nil {
		t.Logf("no mount namespaces here (%s); making accounts on the machine", strings.TrimSpace(string(out)))
		machineAccounts(t, dir, logins)
		return []string{program}
	}
	shell := loginShell()
	passwd, shadow, group := editor(t, "/etc/passwd"), editor(t, "/etc/shadow"), editor(t, "/etc/group")
	for i, login := range logins {
		uid, gid := firstUID+i, firstUID+i
		if u, err := user.Lookup(login); err == nil { // root: its own uid, but a home and a shadow line of the rig's
			uid, _ = strconv.Atoi(u.Uid)
			gid, _ = strconv.Atoi(u.Gid)
		} else {
			group.set(login, fmt.Sprintf("%s:x:%d:", login, gid))
		}
		home := makeHome(t, dir, login, uid, gid)
		passwd.set(login, fmt.Sprintf("%s:x:%d:%d::%s:%s", login, uid, gid, home, shell))
		shadow.set(login, login+":*:20000:0:99999:7:::") // '*': no password, yet not locked as '!' is
	}
	script := "set -e\n"
	for _, e := range []*accountFile{passwd, shadow, group} {
		copied := filepath.Join(dir, filepath.Base(e.path))
		if err := os.WriteFile(copied, []byte(e.String()), e.mode); err != nil {
			t.Fatalf("%v", err)
		}
		script += fmt.Sprintf("mount --bind %s %s\n", copied, e.path)
	}
	return []string{unshare, "--mount", "sh", "-c", script + `exec "$0" "$@"`, program}
}

// machineAccounts is for containers without namespaces. An account that exists
// is left as it is.
func machineAccounts(t T, dir string, logins []string) {
	for _, login := range logins {
		if _, err := user.Lookup(login); err == nil {
			continue
		}
		home := filepath.Join(dir, "home", login)
		cmd := exec.Command(Need(t, "useradd", "passwd"), "--create-home", "--home-dir", home, "--shell", loginShell(), "--password", "*", login)
		if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
			t.Fatalf("%v", err)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make account %s: %v: %s", login, err, out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command("userdel", login).CombinedOutput(); err != nil {
				t.Logf("remove account %s: %v: %s", login, err, out)
			}
		})
	}
}

func makeHome(t T, dir, login string, uid, gid int) string {
	home := filepath.Join(dir, "home", login)
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	if err := os.Chown(home, uid, gid); err != nil {
		t.Fatalf("%v", err)
	}
	return home
}

func loginShell() string {
	if isExecutable("/bin/bash") {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// accountFile is a copy of passwd(5), shadow(5) or group(5) with some lines
// replaced.
type accountFile struct {
	path  string
	mode  os.FileMode
	lines []string
}

func editor(t T, path string) *accountFile {
	f, err := os.Open(path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer f.Close()
	e := &accountFile{path: path, mode: 0o644}
	if path == "/etc/shadow" {
		e.mode = 0o600
	}
	for s := bufio.NewScanner(f); s.Scan(); {
		e.lines = append(e.lines, s.Text())
	}
	return e
}

func (e *accountFile) set(name, line string) {
	for i, have := range e.lines {
		if strings.HasPrefix(have, name+":") {
			e.lines[i] = line
			return
		}
	}
	e.lines = append(e.lines, line)
}

func (e *accountFile) String() string { return strings.Join(e.lines, "\n") + "\n" }

// endSessions kills what the sessions of this sshd left running. They are told
// by the mount namespace that nothing else shares, or else by their ancestors.
func (s *Sshd) endSessions() {
	// Held open, the namespace keeps its number: a free one is soon another
	// sshd's.
	if held, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", s.Process.Cmd.Process.Pid)); err == nil {
		defer held.Close()
	}
	own, mine := namespace(s.Process.Cmd.Process.Pid), namespace(os.Getpid())
	kin := descendants(s.Process.Cmd.Process.Pid)
	s.Process.Cmd.Process.Signal(syscall.SIGTERM)
	<-s.Process.Done()
	for _, pid := range processes() {
		if kin[pid] || own != "" && own != mine && namespace(pid) == own {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func namespace(pid int) string {
	name, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	return name
}

func processes() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// descendants of pid, from the parents in proc(5)'s stat files.
func descendants(pid int) map[int]bool {
	parent := map[int]int{}
	for _, p := range processes() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // the name may hold anything but ends so
		if f := strings.Fields(rest); len(f) > 1 {
			parent[p], _ = strconv.Atoi(f[1])
		}
	}
	kin := map[int]bool{}
	for p := range parent {
		for at := parent[p]; at > 1; at = parent[at] {
			if at == pid {
				kin[p] = true
				break
			}
		}
	}
	return kin
}

func ed25519Key(t T) (crypto.PrivateKey, ssh.Signer) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatalf("make key: %v", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatalf("make key: %v", err)
	}
	return private, signer
}
