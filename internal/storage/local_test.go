package storage_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/storage"
)

func TestADirectoryInWhichAProxyWrites(t *testing.T) {
	dir := t.TempDir()
	s := storage.NewLocal(dir, time.Now)
	x := id.NewSession()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(string(x)+".rec", "one")
	write(string(x)+".tail", "two")
	write(".lock", "")
	write("notes.rec", "")
	holds(t, s, x, []byte("one"))
	refused(t, fault.RecordingHeld, s.Delete(ctx(t), x))
	if got := list(t, s); len(got) != 1 || got[0] != x {
		t.Errorf("listed are %v", got)
	}
	os.Remove(filepath.Join(dir, string(x)+".tail"))
	if err := s.Delete(ctx(t), x); err != nil {
		t.Fatal(err)
	}
}

// A crash in the middle of an append leaves a beginning of the piece.
func TestAPieceThatACrashCutIsCompleted(t *testing.T) {
	dir := t.TempDir()
	s := storage.NewLocal(dir, time.Now)
	x := id.NewSession()
	put(t, s, x, 0, []byte("one"))
	path := filepath.Join(dir, string(x)+".rec")
	if err := os.WriteFile(path, []byte("onetw"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, fault.RecordingDamaged, s.Put(ctx(t), x, 3, []byte("six")))
	put(t, s, x, 3, []byte("two"))
	holds(t, s, x, []byte("onetwo"))
}

func TestANoteThatCannotBeReadKeepsTheRecording(t *testing.T) {
	dir := t.TempDir()
	s := storage.NewLocal(dir, time.Now)
	x := id.NewSession()
	put(t, s, x, 0, []byte("one"))
	if err := os.WriteFile(filepath.Join(dir, string(x)+".keep"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, fault.RecordingAway, s.Delete(ctx(t), x))
	holds(t, s, x, []byte("one"))
}

func TestADirectoryThatCannotBeUsedIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := storage.NewLocal(path, time.Now)
	refused(t, fault.RecordingAway, s.Check(ctx(t)))
	refused(t, fault.RecordingAway, s.Put(ctx(t), id.NewSession(), 0, []byte("one")))
}
