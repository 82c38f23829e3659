package store

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestTheDatabaseIsReadableByItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.db")
	s := open(t, "sqlite://"+path)
	must(s.RecordLogin(t.Context(), login("you@example.com", "a")))(t)
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".migrate"} {
		info, err := os.Stat(name)
		ok(t, err)
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s has mode %o", name, mode)
		}
	}
}

func TestAPathMayHoldWhatAURLWouldQuote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c=d&e#f%20g.db")
	s := open(t, "sqlite://"+path)
	must(s.RecordLogin(t.Context(), login("you@example.com", "a")))(t)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasStoredIsThereAfterOpeningAgain(t *testing.T) {
	url := sqliteURL(t)
	first := open(t, url)
	serial := must(first.RecordLogin(t.Context(), login("you@example.com", "a")))(t)
	ok(t, first.Close())
	second := open(t, url)
	if got := must(second.Certificate(t.Context(), serial))(t); got.Subject != "you@example.com" {
		t.Fatalf("%+v", got)
	}
	if next := reserved(t, second, intent(ProfileHost, "a")); next != serial+1 {
		t.Fatalf("serial %d after %d", next, serial)
	}
}

func TestADirectoryOrAForeignFileIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "notes.txt")
	ok(t, os.WriteFile(foreign, []byte("this is no database, and long enough to have a header of one"), 0o600))
	for path, want := range map[string]fault.Reason{
		dir:                                    fault.ConfigInvalid,
		foreign:                                fault.StoreAway,
		filepath.Join(dir, "missing", "ca.db"): fault.ConfigInvalid,
	} {
		s, err := Open(t.Context(), Config{URL: "sqlite://" + path, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			s.Close()
		}
		refused(t, err, want)
	}
	if text, err := os.ReadFile(foreign); err != nil || string(text[:15]) != "this is no data" {
		t.Errorf("the foreign file is now %q (%v)", text, err)
	}
}
