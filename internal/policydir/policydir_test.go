package policydir

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func role(name string) string {
	return "role: " + name + "\nwho: {groups: [eng]}\nwhere: {nodes: [web-1]}\nas: {logins: [deploy]}\nwhat: {channels: [shell]}\n"
}

// bench is a running watcher whose Apply keeps what policy.Load takes.
type bench struct {
	t       *testing.T
	w       *Watcher
	log     *syncBuffer
	applied chan map[string]string

	mu   sync.Mutex
	fail error // of the next Apply
}

func watch(t *testing.T, dir string) *bench {
	t.Helper()
	b := &bench{t: t, log: &syncBuffer{}, applied: make(chan map[string]string, 100)}
	b.w = New(dir, b.apply, slog.New(slog.NewTextHandler(b.log, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	return b
}

func (b *bench) apply(ctx context.Context, files map[string]string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fail; err != nil {
		b.fail = nil
		return err
	}
	if _, err := policy.Load(files); err != nil {
		return err
	}
	b.applied <- files
	return nil
}

func (b *bench) expect(want map[string]string) {
	b.t.Helper()
	select {
	case got := <-b.applied:
		if diff := cmp.Diff(want, got); diff != "" {
			b.t.Fatal(diff)
		}
	case <-time.After(patience):
		b.t.Fatalf("nothing was applied; status %+v; log:\n%s", b.w.Status(), b.log)
	}
}

func (b *bench) expectProblem(part string) {
	b.t.Helper()
	b.until(func(s Status) bool { return s.Problem != "" && strings.Contains(s.Problem, part) })
}

func (b *bench) until(ok func(Status) bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !ok(b.w.Status()); {
		if time.Now().After(deadline) {
			b.t.Fatalf("status %+v; log:\n%s", b.w.Status(), b.log)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryChangeIsAppliedAsAWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.yaml", role("a"))
	put(t, dir, "notes.txt", "not a policy")
	put(t, dir, ".b.yaml.swp", "an editor's")
	b := watch(t, dir)
	b.expect(map[string]string{"a.yaml": role("a")})
	put(t, dir, "b.yml", role("b"))
	b.expect(map[string]string{"a.yaml": role("a"), "b.yml": role("b")})
	put(t, dir, "new", role("a2"))
	must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "a.yaml")))
	b.expect(map[string]string{"a.yaml": role("a2"), "b.yml": role("b")})
	must(t, os.Remove(filepath.Join(dir, "b.yml")))
	b.expect(map[string]string{"a.yaml": role("a2")})
	b.until(func(s Status) bool { return s.Files == 1 && s.Problem == "" && !s.Applied.IsZero() })
}

func TestAFileThatIsWrittenInPiecesIsAppliedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.yaml", role("a"))
	b := watch(t, dir)
	b.expect(map[string]string{"a.yaml": role("a")})
	f, err := os.OpenFile(filepath.Join(dir, "a.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	want := role("a")
	for i := range 20 {
		part := "---\n" + role(fmt.Sprintf("r%d", i))
		want += part
		_, err = f.WriteString(part)
		must(t, err)
	}
	b.expect(map[string]string{"a.yaml": want})
}

func TestABrokenFolderKeepsTheLastGoodPolicyAndSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.yaml", role("a"))
	b := watch(t, dir)
	b.expect(map[string]string{"a.yaml": role("a")})
	for name, breakIt := range map[string]struct {
		do, undo func()
		want     string
	}{
		"a key that is unknown": {func() { put(t, dir, "b.yaml", "rule: x\n") }, func() { must(t, os.Remove(filepath.Join(dir, "b.yaml"))) }, `b.yaml:1:1: unknown key "rule"`},
		"no file":               {func() { must(t, os.Rename(filepath.Join(dir, "a.yaml"), filepath.Join(dir, "a"))) }, func() { must(t, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "a.yaml"))) }, "no file in"},
		"a file without roles":  {func() { put(t, dir, "a.yaml", "") }, func() { put(t, dir, "a.yaml", role("a")) }, "no role stands in these files"},
		"a link to nowhere":     {func() { must(t, os.Symlink("nowhere", filepath.Join(dir, "c.yaml"))) }, func() { must(t, os.Remove(filepath.Join(dir, "c.yaml"))) }, "c.yaml does not exist"},
		"a folder for a file":   {func() { must(t, os.Mkdir(filepath.Join(dir, "d.yaml"), 0o700)) }, func() { must(t, os.Remove(filepath.Join(dir, "d.yaml"))) }, "d.yaml is no regular file"},
		"a file of 2 MB":        {func() { put(t, dir, "e.yaml", strings.Repeat("#\n", 1<<20)) }, func() { must(t, os.Remove(filepath.Join(dir, "e.yaml"))) }, "e.yaml is more than 1024 KiB"},
	} {
		breakIt.do()
		b.expectProblem(breakIt.want)
		if log := b.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "the last good policy stays in force") {
			t.Errorf("%s: the log does not say so:\n%s", name, log)
		}
		breakIt.undo()
		b.until(func(s Status) bool { return s.Problem == "" && s.Since.IsZero() })
	}
	select {
	case files := <-b.applied:
		t.Fatalf("applied %v, which was in force all the time", files)
	default:
	}
}

func TestAProblemIsSaidOnceAndNotAtEveryLook(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.yaml", "rule: x\n")
	b := watch(t, dir)
	b.expectProblem("unknown key")
	put(t, dir, "a.yaml", "rule: y\n") // another file with the same problem
	put(t, dir, "a.yaml", role("a"))
	b.expect(map[string]string{"a.yaml": role("a")})
	if n := strings.Count(b.log.String(), "level=ERROR"); n > 2 {
		t.Fatalf("%d errors in the log:\n%s", n, b.log)
	}
}

func TestWhatFailsForAWhileIsTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.yaml", role("a"))
	b := watch(t, dir)
	b.expect(map[string]string{"a.yaml": role("a")})
	b.mu.Lock()
	b.fail = fault.New(fault.Unavailable, fault.StoreAway, "the database is away")
	b.mu.Unlock()
	put(t, dir, "a.yaml", role("b"))
	b.expectProblem("the database is away")
	b.expect(map[string]string{"a.yaml": role("b")})
	b.until(func(s Status) bool { return s.Problem == "" })
}

// TestTheLinksOfKubernetesAreFollowed builds what a mounted ConfigMap looks like
// and updates it as the kubelet does (atomic_writer.go).
func TestTheLinksOfKubernetesAreFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := func(name, text string) {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		put(t, filepath.Join(dir, name), "a.yaml", text)
		must(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	version("..1", role("one"))
	must(t, os.Symlink("..data/a.yaml", filepath.Join(dir, "a.yaml")))
	b := watch(t, dir)
	b.expect(map[string]string{"a.yaml": role("one")})
	version("..2", role("two"))
	must(t, os.RemoveAll(filepath.Join(dir, "..1")))
	b.expect(map[string]string{"a.yaml": role("two")})
	version("..3", role("three"))
	b.expect(map[string]string{"a.yaml": role("three")})
}

func TestAFolderThatIsReplacedIsFollowed(t *testing.T) {
	t.Parallel()
	above := t.TempDir()
	dir := filepath.Join(above, "policy")
	folder := func(name, text string) string {
		path := filepath.Join(above, name)
		must(t, os.Mkdir(path, 0o700))
		put(t, path, "a.yaml", text)
		return path
	}
	must(t, os.Symlink(folder("one", role("one")), dir))
	b := watch(t, dir)
	b.expect(map[string]string{"a.yaml": role("one")})

	must(t, os.Symlink(folder("two", role("two")), dir+".new"))
	must(t, os.Rename(dir+".new", dir))
	b.expect(map[string]string{"a.yaml": role("two")})
	put(t, dir, "a.yaml", role("three")) // the new folder is watched
	b.expect(map[string]string{"a.yaml": role("three")})

	must(t, os.Remove(dir))
	b.expectProblem("policy does not exist")
	must(t, os.Rename(folder("four", role("four")), dir))
	b.expect(map[string]string{"a.yaml": role("four")})
	put(t, dir, "a.yaml", role("five"))
	b.expect(map[string]string{"a.yaml": role("five")})
}

func TestAFolderThatIsNotThereYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "policy")
	b := watch(t, dir)
	b.expectProblem("does not exist")
	must(t, os.Mkdir(dir, 0o700))
	put(t, dir, "a.yaml", role("a"))
	b.expect(map[string]string{"a.yaml": role("a")})
}

func TestAnEndDuringApplyIsNoProblem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.yaml", role("a"))
	ctx, cancel := context.WithCancel(context.Background())
	w := New(dir, func(ctx context.Context, _ map[string]string) error {
		cancel()
		return ctx.Err()
	}, slog.New(slog.DiscardHandler))
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if s := w.Status(); s != (Status{}) {
		t.Fatalf("%+v", s)
	}
}

func TestReadTakesOneFileByItsName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "policy", role("a"))
	files, err := Read(filepath.Join(dir, "policy"))
	if err != nil || files["policy"] != role("a") {
		t.Fatalf("%v, %v", files, err)
	}
	if _, err := Read(filepath.Join(dir, "none")); fault.ReasonOf(err) != fault.PolicyInvalid {
		t.Fatal(err)
	}
}

func TestADigestTellsNamesFromTexts(t *testing.T) {
	t.Parallel()
	a := digest(map[string]string{"a": "1 b 1 c"})
	b := digest(map[string]string{"a": "1", "b": "c"})
	if a == b || a == digest(nil) || a != digest(map[string]string{"a": "1 b 1 c"}) {
		t.Fatal("digests are wrong")
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }
