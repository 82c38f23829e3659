//go:build linux

package recorder

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// tmpfs mounts a real file system of so many bytes, which can be full.
func tmpfs(t *testing.T, size string) (dir string, resize func(string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a tmpfs; TestADiskThatIsFullAtAnyFrame needs no root")
	}
	dir = filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func(flags uintptr, size string) {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size="+size); err != nil {
			t.Fatalf("mount a tmpfs: %v", err)
		}
	}
	mount(0, size)
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir, func(size string) { t.Helper(); mount(syscall.MS_REMOUNT, size) }
}

// fill takes all that is left of dir's file system but for rest bytes.
func fill(t *testing.T, dir string, rest int64) (empty func()) {
	t.Helper()
	free, _, err := diskSpace(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "somebody-elses")
	if err := allocate(path, free-rest); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewSessionsAreRefusedBeforeRunningOnesSuffer(t *testing.T) {
	dir, _ := tmpfs(t, "32m")
	d, _, err := OpenDir(Config{Path: dir, Seal: p1.seal, Reserve: 8 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	enter := func(want fault.Reason) {
		t.Helper()
		release, err := d.Reserve()
		if fault.ReasonOf(err) != want {
			t.Fatalf("Reserve() = %v, want %q", err, want)
		}
		if err == nil {
			release()
			release() // twice is once
		}
	}
	ballast := func(want int64) {
		t.Helper()
		if info, err := os.Stat(filepath.Join(dir, ballastName)); err != nil || info.Size() != want {
			t.Fatalf("the ballast is %v, %v; want %d bytes", info, err, want)
		}
	}
	enter("")
	ballast(4 << 20)
	r := open(t, d)
	n := uint64(0)
	add := func() error { n++; return r.Append(recording.KindOutput, 1, noise(n)) }
	if err := add(); err != nil {
		t.Fatal(err)
	}

	t.Run("sessions that are being opened count", func(t *testing.T) {
		free, _, _ := diskSpace(dir)
		fits := (free+4<<20-8<<20)/sessionNeeds - 1 // r is live
		var releases []func()
		for range fits {
			release, err := d.Reserve()
			if err != nil {
				t.Fatalf("after %d of %d: %v", len(releases), fits, err)
			}
			releases = append(releases, release)
		}
		enter(fault.RecordingsFull)
		for _, release := range releases {
			release()
		}
		enter("")
	})
	t.Run("the reserve is kept for those that run", func(t *testing.T) {
		empty := fill(t, dir, 7<<20)
		_, err := d.Reserve()
		if f := fault.Of(err); f.Reason != fault.RecordingsFull || f.Kind != fault.Unavailable || f.Next == "" ||
			!strings.Contains(f.Text, "7MiB are free, and 8MiB are kept for the sessions that run") {
			t.Errorf("%+v", f)
		}
		if err := add(); err != nil {
			t.Errorf("the session that runs: %v", err)
		}
		empty()
		enter("")
	})
	t.Run("on a full disk the ballast goes to those that run", func(t *testing.T) {
		empty := fill(t, dir, 8<<10)
		for range 200 { // 600 kB
			if err := add(); err != nil {
				t.Fatalf("frame %d: %v", n, err)
			}
		}
		ballast(0)
		enter(fault.RecordingsFull)
		empty()
		enter("")
		ballast(4 << 20)
	})
	finished(t, r)
	if got := frames(t, dir); uint64(len(got)) != n+2 {
		t.Errorf("%d frames were accepted, %d are recorded", n, len(got)-2)
	}
}

func TestWhatWaitsForUploadRefusesNewSessions(t *testing.T) {
	var behind error
	d, _, err := OpenDir(Config{Path: t.TempDir(), Seal: p1.seal, Reserve: 1, Backlog: func() error { return behind }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Reserve(); err != nil {
		t.Error(err)
	}
	behind = fault.New(fault.Unavailable, fault.RecordingsFull, "too much waits")
	if _, err := d.Reserve(); fault.ReasonOf(err) != fault.RecordingsFull {
		t.Errorf("Reserve() = %v", err)
	}
	if _, err := new(Dir).Reserve(); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Errorf("the zero Dir: %v", err)
	}
}

func TestASmallFileSystemKeepsASmallReserve(t *testing.T) {
	dir, _ := tmpfs(t, "40m")
	d := openDir(t, dir)
	if d.room.reserve != 2<<20 || d.room.want != 1<<20 {
		t.Errorf("reserve %d, ballast %d", d.room.reserve, d.room.want)
	}
}
