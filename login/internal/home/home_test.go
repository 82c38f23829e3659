package home

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// newDir is a directory in a home of the test's, made.
func newDir(t *testing.T) Dir {
	t.Helper()
	root := t.TempDir()
	d, err := Find(env(map[string]string{"HOME": root}))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Make(); err != nil {
		t.Fatal(err)
	}
	return d
}

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestFindRefusesAHomeThatIsNoPlace(t *testing.T) {
	for _, home := range []string{"", "relative", "./home"} {
		if _, err := Find(env(map[string]string{"HOME": home})); fault.ReasonOf(err) != fault.ConfigInvalid {
			t.Errorf("%q: %v", home, err)
		}
	}
	if err := (Dir{}).Make(); err == nil {
		t.Error("the zero Dir was made somewhere")
	}
}

func TestMakeKeepsOthersOut(t *testing.T) {
	d := newDir(t)
	dir := filepath.Dir(d.Path(Key))
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := d.Make(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := d.Write(Key, []byte("a key")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.Path(Key)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestTheIncludeIsSpelledOutWhereSSHMeansAnotherHome(t *testing.T) {
	d := newDir(t) // a temporary directory is nobody's home
	if got := d.Include(); got != d.Path(Config) {
		t.Errorf("got %s", got)
	}
	d.ssh = true
	if got := d.Include(); got != "~/.ssh/sallyport/config" {
		t.Errorf("got %s", got)
	}
	if got := d.Show("/etc/passwd"); got != "/etc/passwd" {
		t.Errorf("got %s", got)
	}
}

// TestAReaderSeesTheOldFileOrTheNewOne reads while another writes.
func TestAReaderSeesTheOldFileOrTheNewOne(t *testing.T) {
	d := newDir(t)
	long, short := strings.Repeat("a", 100_000), strings.Repeat("b", 10)
	if err := d.Write(Config, []byte(long)); err != nil {
		t.Fatal(err)
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range 50 {
			if err := d.Write(Config, []byte([]string{short, long}[i%2])); err != nil {
				t.Error(err)
			}
		}
	})
	defer writer.Wait()
	for range 200 {
		if got, err := d.Read(Config); err != nil || string(got) != long && string(got) != short {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
}

func TestClearLeavesNothingOfOurs(t *testing.T) {
	d := newDir(t)
	lock, err := d.TryLock()
	if err != nil || lock == nil {
		t.Fatal(lock, err)
	}
	for _, f := range []File{Key, PublicKey, Certificate, KnownHosts, Config, refreshFile} {
		if err := d.Write(f, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	crashed := d.Path("." + Key + temporary + "123")
	if err := os.WriteFile(crashed, []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Clear(); err != nil {
		t.Fatal(err)
	}
	lock.Unlock()
	if _, err := os.Stat(filepath.Dir(crashed)); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
	if err := d.Clear(); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestClearLeavesWhatThePersonPutThere(t *testing.T) {
	d := newDir(t)
	if err := d.Write("notes", []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if err := d.Clear(); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Read("notes"); err != nil || string(got) != "mine" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTheNextHolderOfTheLockRemovesHalfWrittenFiles(t *testing.T) {
	d := newDir(t)
	crashed := d.Path("." + Key + temporary + "123")
	if err := os.WriteFile(crashed, []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := d.TryLock()
	if err != nil || lock == nil {
		t.Fatal(lock, err)
	}
	defer lock.Unlock()
	if _, err := os.Stat(crashed); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestOneHoldsTheLock(t *testing.T) {
	d := newDir(t)
	first, err := d.TryLock()
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	if second, err := d.TryLock(); err != nil || second != nil {
		t.Fatal("two hold it", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if l, err := d.Lock(ctx, func() { t.Error("a short wait was announced") }); l != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v, %v", l, err)
	}
	first.Unlock()
	second, err := d.Lock(t.Context(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	second.Unlock()
}

func TestALockOnAFileThatIsGoneIsNone(t *testing.T) {
	d := newDir(t)
	first, err := d.TryLock()
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	// A logout clears while somebody waits.
	if err := d.Remove(lockFile); err != nil {
		t.Fatal(err)
	}
	second, err := d.TryLock()
	if err != nil || second == nil {
		t.Fatal("the new file cannot be locked", err)
	}
	if third, err := d.TryLock(); err != nil || third != nil {
		t.Error("two hold the new file", err)
	}
	second.Unlock()
	first.Unlock()
}

func TestStateComesBackAsItWasSaved(t *testing.T) {
	d := newDir(t)
	if _, err := d.LoadState(); !errors.Is(err, ErrNotLoggedIn) {
		t.Errorf("without one: %v", err)
	}
	want := State{
		URL: "https://access.example.com", Identity: "you@example.com", Groups: []string{"eng"}, Key: d.Path(Key),
		Discovery: wire.Discovery{OIDC: wire.OIDC{Issuer: "https://login.example.com"}, Names: []string{"web-*"}},
		Refresh:   KeeperFile, RefreshUntil: 5, Tried: 4,
	}
	if err := d.SaveState(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.LoadState()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, damaged := range []string{"", "{", "{}", "null", `{"url":7}`} {
		if err := d.Write(stateFile, []byte(damaged)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.LoadState(); err == nil || errors.Is(err, ErrNotLoggedIn) {
			t.Errorf("%q: %v", damaged, err)
		}
	}
}

func TestWithoutAKeyringTheRefreshTokenIsAFile(t *testing.T) {
	d, url := newDir(t), "https://access.example.com"
	keeper, err := d.SaveRefresh(t.Context(), url, "a secret")
	if err != nil || keeper != KeeperFile {
		t.Fatal(keeper, err)
	}
	if info, err := os.Stat(d.Path(refreshFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if token, err := d.LoadRefresh(t.Context(), url, keeper); token != "a secret" || err != nil {
		t.Errorf("%q, %v", token, err)
	}
	if keeper, err = d.SaveRefresh(t.Context(), url, ""); err != nil || keeper != KeeperNone {
		t.Errorf("%q, %v", keeper, err)
	}
	if token, err := d.LoadRefresh(t.Context(), url, KeeperFile); token != "" || err != nil {
		t.Errorf("after it was forgotten: %q, %v", token, err)
	}
}

// TestAKeyringThatHangsIsLeftAlone: the bus accepts and never says a word.
func TestAKeyringThatHangsIsLeftAlone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	hang := make(chan struct{})
	defer close(hang)
	if err := within(ctx, func() error { <-hang; return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAKeyringIsAskedOnlyWhereABusRuns(t *testing.T) {
	bus := t.TempDir()
	if err := os.WriteFile(filepath.Join(bus, "bus"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		vars map[string]string
		want bool
	}{
		"nothing is set":           {nil, false},
		"an address":               {map[string]string{"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}, true},
		"a runtime directory":      {map[string]string{"XDG_RUNTIME_DIR": t.TempDir()}, false},
		"a bus in that directory":  {map[string]string{"XDG_RUNTIME_DIR": bus}, true},
		"an address that is empty": {map[string]string{"DBUS_SESSION_BUS_ADDRESS": ""}, false},
	} {
		if got := (Dir{getenv: env(c.vars)}).hasKeyring(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
