package upload_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/storage"
	"github.com/sallyport-ssh/sallyport/proxy/internal/upload"
)

const childEnv = "SALLYPORT_TEST_UPLOAD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// child is a proxy's process: recordings grow from NAME.source to NAME.rec, are
// sealed, and go to the storage. It ends when all have left.
func child(dir string) {
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	url, err := os.ReadFile(filepath.Join(dir, "url"))
	check(err)
	store, err := storage.Open(string(url), time.Now)
	check(err)
	up := upload.New(upload.Config{
		Store: store, Dir: dir, Log: slog.New(slog.DiscardHandler),
		Remove: func(x id.Session) error { return os.Remove(filepath.Join(dir, string(x)+".rec")) },
	})
	go up.Run(context.Background())
	sources, err := filepath.Glob(filepath.Join(dir, "*.source"))
	check(err)
	for _, path := range sources {
		x := id.Session(filepath.Base(path[:len(path)-len(".source")]))
		whole, err := os.ReadFile(path)
		check(err)
		rec := filepath.Join(dir, string(x)+".rec")
		f, err := os.OpenFile(rec, os.O_RDWR|os.O_CREATE, 0o600)
		check(err)
		info, err := f.Stat()
		check(err)
		for at := int(info.Size()); at < len(whole); {
			n := min(1+rand.IntN(200_000), len(whole)-at)
			_, err := f.WriteAt(whole[at:at+n], int64(at))
			check(err)
			check(f.Sync())
			at += n
			up.Grown(x, int64(at), false)
		}
		check(os.Rename(path, filepath.Join(dir, string(x)+".sealed")))
		check(f.Close())
	}
	sealed, err := filepath.Glob(filepath.Join(dir, "*.sealed"))
	check(err)
	for _, path := range sealed {
		x := id.Session(filepath.Base(path[:len(path)-len(".sealed")]))
		if info, err := os.Stat(filepath.Join(dir, string(x)+".rec")); err == nil {
			up.Grown(x, info.Size(), true)
		}
	}
	for {
		left, err := filepath.Glob(filepath.Join(dir, "*.rec"))
		check(err)
		if len(left) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Whenever the process is killed, and however often: afterwards the storage has
// exactly what was sealed.
func TestAProcessThatIsKilledLosesNothing(t *testing.T) {
	objects := rig.ObjectStore(t)
	objects.Bucket("bucket", true)
	line := rig.NewLine(t, objects.Addr)
	dir := t.TempDir()
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("url", []byte(objects.URLAt(line.Addr, "bucket")))
	want := map[id.Session][]byte{}
	for _, n := range []int{1, 300_000, storage.MaxPiece, 3*storage.MaxPiece + 17} {
		x := id.NewSession()
		want[x] = noise(n)
		write(string(x)+".source", want[x])
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for deadline := time.Now().Add(time.Minute); ; {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to an end")
		}
		// The line dies, too, at any byte.
		line.Set(rig.Fault{Cut: int64(rand.IntN(8 << 20))})
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		after := time.Duration(20+rand.IntN(400)) * time.Millisecond
		if kills > 25 {
			after = 30 * time.Second
			line.Set(rig.Fault{})
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(after):
			cmd.Process.Kill()
			<-done
			kills++
			continue
		}
		break
	}
	t.Logf("killed %d times", kills)
	store, err := storage.Open(objects.URL("bucket"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for x, b := range want {
		if !bytes.Equal(stored(t, store, x), b) {
			t.Errorf("%s is not what was sealed", x)
		}
	}
}
