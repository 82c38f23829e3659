package install_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestAFullDiskChangesNothing fills the agent's file system to every level from
// nothing to enough, and installs.
func TestAFullDiskChangesNothing(t *testing.T) {
	dir := rig.RootDir(t)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256k,mode=0755", "test", dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	b := newBench(t, rig.SSHDConfig{}) // its mount namespace is made from now on
	b.dir = dir
	b.mustInstall(b.set(1))

	ballast := filepath.Join(b.dir, "ballast")
	failed := 0
	for free := 0; ; free += 8 << 10 {
		fill(t, ballast, free)
		err := b.installer().Install(t.Context(), b.set(2))
		b.valid()
		b.mustOpen("the account's own key", b.own)
		b.mustOpen("a session certificate", b.session(b.Login, thisNode, 5))
		if err == nil {
			break
		}
		failed++
		if drift, err := b.installer().Drift(t.Context()); err != nil || len(drift) > 0 {
			t.Fatalf("with %d bytes free: drift %q, %v", free, drift, err)
		}
	}
	if failed < 3 {
		t.Errorf("the disk was full %d times only", failed)
	}
	b.mustNotOpen("a certificate that is revoked now", b.session(b.Login, thisNode, 1002))
}

// fill leaves free bytes on the file system of path.
func fill(t *testing.T, path string, free int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := int64(0)
	for page := make([]byte, 4096); err == nil; {
		var n int
		n, err = f.Write(page)
		size += int64(n)
	}
	if err := f.Truncate(max(0, size-int64(free))); err != nil {
		t.Fatal(err)
	}
}
