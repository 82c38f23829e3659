package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// baseLogin is the account of every machine.
const baseLogin = "deploy"

// debianBase returns the folder of a release's base system. It is made once;
// nothing may write to it.
func debianBase(t T, release string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("where to keep base systems: %v", err)
	}
	dir := filepath.Join(cache, "sallyport-rig")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	base := filepath.Join(dir, release)
	unlock := lockFile(t, base+".lock")
	defer unlock()
	if _, err := os.Stat(base); err == nil {
		return base
	}
	fresh := base + ".new"
	if err := os.RemoveAll(fresh); err != nil { // an earlier run was killed
		t.Fatalf("%v", err)
	}
	cmd := exec.Command(Need(t, "debootstrap", "debootstrap"), "--variant=minbase",
		"--include=openssh-server,openssh-client,openssh-sftp-server", release, fresh, debianMirror(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(fresh)
		t.Fatalf("make a base system of %s: %v\n%s", release, err, out)
	}
	// Every machine makes host keys of its own.
	finish := `set -e
rm -rf /var/cache/apt /var/lib/apt/lists /etc/ssh/ssh_host_*
useradd --create-home --shell /bin/bash --password '*' ` + baseLogin
	if out, err := exec.Command("chroot", fresh, "sh", "-c", finish).CombinedOutput(); err != nil {
		t.Fatalf("finish the base system of %s: %v\n%s", release, err, out)
	}
	if err := os.Rename(fresh, base); err != nil {
		t.Fatalf("%v", err)
	}
	return base
}

// debianMirror is where this machine's apt gets Debian from.
func debianMirror(t T) string {
	t.Helper()
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)").Output()
	if err != nil {
		t.Fatalf("ask apt for its mirror: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		if uri, ok := strings.CutPrefix(strings.TrimSpace(line), "Debian|Debian|"); ok {
			return uri
		}
	}
	t.Fatalf("apt on this machine has no mirror of Debian, or no lists yet: apt-get update")
	return ""
}

// linkNumber returns a number below 1<<15 that no other test on this machine
// holds, for the addresses of a point-to-point link.
func linkNumber(t T) int {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "sallyport-rig.links")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatalf("%v", err)
	}
	for n := range 1 << 15 {
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(n)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatalf("%v", err)
		}
		// The lock goes with the process, however that ends.
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			t.Cleanup(func() { f.Close() })
			return n
		}
		f.Close()
	}
	t.Fatalf("no link addresses are left")
	return 0
}

func lockFile(t T, path string) (unlock func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatalf("lock %s: %v", path, err)
	}
	return func() { f.Close() }
}
