package rig

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// rootDirs is where directories of RootDir are made.
const rootDirs = "/var/lib/sallyport-rig"

// RootDir is an empty directory that only the test's user may write, with no
// parent that others may: StrictModes and AuthorizedPrincipalsCommand ask for
// that. Without root it is a temporary directory. It goes with the test, or with
// a later one if the test was killed.
func RootDir(t T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return t.TempDir()
	}
	if err := os.MkdirAll(rootDirs, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	sweep()
	dir := filepath.Join(rootDirs, strings.ToLower(rand.Text()[:10]))
	owner, err := os.OpenFile(dir+".owner", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := syscall.Flock(int(owner.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatalf("%v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Logf("remove %s: %v", dir, err)
		}
		os.Remove(owner.Name())
		owner.Close()
		os.Remove(rootDirs) // the last one goes; others are still in use
	})
	return dir
}

// sweep removes directories whose owner was killed, as a test is that runs out
// of time, with the programs that still run on them. The kernel gave the owner's
// lock back. (PR_SET_PDEATHSIG does not do for this: it follows the thread that
// started a program, and Go's threads come and go.)
func sweep() {
	owners, _ := filepath.Glob(filepath.Join(rootDirs, "*.owner"))
	for _, path := range owners {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		// Another test may have made the file and not locked it yet: its
		// directory is not there yet, either.
		dir := strings.TrimSuffix(path, ".owner")
		if _, err := os.Stat(dir); err == nil && syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			for _, pid := range processes() {
				if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(line), dir+"/") {
					syscall.Kill(pid, syscall.SIGKILL)
				}
			}
			exec.Command("ip", "netns", "del", networkName(dir)).Run() // few have one
			os.RemoveAll(dir)
			os.Remove(path)
		}
		f.Close()
	}
}

// networkName is of the network namespace that belongs to a directory.
func networkName(dir string) string { return "sallyport-" + filepath.Base(dir) }
