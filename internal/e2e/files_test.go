package e2e

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestFilesAreInTheRecording: what OpenSSH carries by each way is told with its
// name and digest.
func TestFilesAreInTheRecording(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			for _, protocol := range []string{"-s", "-O"} {
				path, data := file(t, 700_000)
				name := filepath.Base(path)
				ann.Must("scp", append(append([]string{"-q", protocol, "-o", "BatchMode=yes"}, w.options...), path, w.host+":"+name)...)
				digestIs(t, carried(t, "write", name), data)
				ann.Must("scp", append(append([]string{"-q", protocol, "-o", "BatchMode=yes"}, w.options...), w.host+":"+name, path+".back")...)
				digestIs(t, carried(t, "read", name), data)
			}
		})
	}
}

func TestWhatSshfsWritesAndReadsIsInTheRecording(t *testing.T) {
	sshfs := rig.Need(t, "sshfs", "sshfs")
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("this kernel has no FUSE, which no package brings")
	}
	_, data := file(t, 900_000)
	dir := t.TempDir()
	p := rig.Start(t, ann.Command(sshfs, "-f", "-o", "ssh_command="+strings.ReplaceAll(ways()[0].remoteShell(), ",", `\,`), "web-1:", dir))
	rig.Eventually(t, 15*time.Second, "the mount is there", func() bool {
		return exec.Command("mountpoint", "-q", dir).Run() == nil
	})
	if err := os.WriteFile(filepath.Join(dir, "sshfs-up"), data, 0o600); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(web.Home(web.Login), "sshfs-down"), data, 0o644); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "sshfs-down")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back: %v", len(got), err)
	}
	exec.Command("fusermount3", "-u", dir).Run()
	p.Stop(5 * time.Second)
	digestIs(t, carried(t, "write", "sshfs-up"), data)
	digestIs(t, carried(t, "read", "sshfs-down"), data)
}

func digestIs(t *testing.T, op recording.FileOp, data []byte) {
	t.Helper()
	if sum := sha256.Sum256(data); !bytes.Equal(op.SHA256, sum[:]) || op.Read+op.Write != int64(len(data)) {
		t.Errorf("%+v", op)
	}
}

// carried waits until some recording tells of op on a file of that name.
func carried(t *testing.T, op, name string) (found recording.FileOp) {
	t.Helper()
	dir := filepath.Join(world.Dir, "data", "recordings")
	rig.Eventually(t, 20*time.Second, op+" of "+name+" is told", func() bool {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			session, _, _ := strings.Cut(e.Name(), ".")
			if tells(dir, session, op, name, &found) {
				return true
			}
		}
		return false
	})
	return found
}

// tells looks for an operation in one recording, whether it has ended or not.
func tells(dir, session, op, name string, found *recording.FileOp) bool {
	r, err := recording.OpenDir(dir, id.Session(session), nil)
	if err != nil {
		return false // it moves just now, or is none
	}
	defer r.Close()
	for {
		f, err := r.Next()
		if err != nil {
			return false // io.EOF, or it grows just now
		}
		var o recording.FileOp
		if f.Kind == recording.KindFile && f.Decode(&o) == nil && o.Op == op && strings.HasSuffix(string(o.Path), name) {
			*found = o
			return true
		}
	}
}
