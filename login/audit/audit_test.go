package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
)

func TestACopyIsMadeAndContinued(t *testing.T) {
	w := newWorld(t)
	dir := w.dir()
	for _, n := range []int{1, 10, 245, 1, 300, 0, 211} {
		w.log(n)
		out := w.must("fetch", dir, "--key", w.vkey)
		if !strings.Contains(out, " of "+origin+" in "+dir) {
			t.Errorf("it says %q", out)
		}
		out = w.must("verify", dir, "--key", w.vkey)
		if !strings.HasSuffix(out, "\nverified.\n") || !strings.Contains(out, "events") && n > 1 {
			t.Errorf("it says %q", out)
		}
	}
	w.mu.Lock()
	if n := w.asked[wire.PathAuditEntries+"entries/000"]; n != 3 {
		t.Errorf("the first bundle was asked for %d times, and it changed three times", n)
	}
	w.mu.Unlock()
	left, err := filepath.Glob(filepath.Join(dir, "tile", "*", "*.p", "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("partial tiles that are left: %v, %v", left, err)
	}
	out := w.must("verify", dir, "--key", w.vkey, "--json")
	var r result
	if err := json.Unmarshal([]byte(out), &r); err != nil || !r.Verified || r.Size != 768 || len(r.Earlier) != 5 {
		t.Errorf("%s, %v", out, err)
	}
}

// TestAFetchThatBreaksOffLeavesTheOldCopy, and the next one goes on from there.
func TestAFetchThatBreaksOffLeavesTheOldCopy(t *testing.T) {
	w := newWorld(t)
	dir := w.dir()
	w.log(300)
	w.must("fetch", dir, "--key", w.vkey)
	w.log(2000)
	for _, cut := range []int{1, 1000, 100_000, 150_000} {
		w.mu.Lock()
		w.cut = cut
		w.mu.Unlock()
		w.fails("it goes on where it stopped", "fetch", dir, "--key", w.vkey)
		if out := w.must("verify", dir, "--key", w.vkey); !strings.Contains(out, "300 events") {
			t.Errorf("after %d bytes the copy is\n%s", cut, out)
		}
	}
	w.mu.Lock()
	w.cut = 0
	clear(w.asked)
	w.mu.Unlock()
	w.must("fetch", dir, "--key", w.vkey)
	if out := w.must("verify", dir, "--key", w.vkey); !strings.Contains(out, "2,300 events") {
		t.Errorf("the copy is\n%s", out)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for path := range w.asked {
		if strings.HasPrefix(path, wire.PathAuditEntries) && path < wire.PathAuditEntries+"entries/004" {
			t.Errorf("asked for %s again", path)
		}
	}
}

func TestWhatACACannotMakeTheCopyTake(t *testing.T) {
	flip := func(where string) func(string, []byte) []byte {
		return func(path string, data []byte) []byte {
			if strings.Contains(path, where) && len(data) > 100 {
				data = bytes.Clone(data)
				data[len(data)/2+9] ^= 1
			}
			return data
		}
	}
	for name, row := range map[string]struct {
		forge func(string, []byte) []byte
		says  string
	}{
		"an event that is changed":              {flip("/entries/"), "are not those that were signed"},
		"a tile that is changed":                {flip("/log/tile/"), "do not lead to the checkpoint"},
		"a checkpoint that is changed":          {flip("/checkpoint"), "checkpoint"},
		"no checkpoint":                         {func(p string, d []byte) []byte { return []byte("hello") }, "no signed checkpoint"},
		"a changed event where none is a whole": {func(p string, d []byte) []byte { return bytes.ReplaceAll(d, []byte("web-1"), []byte("web-2")) }, "are not those that were signed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			dir := w.dir()
			w.log(700)
			w.forge = row.forge
			w.fails(row.says, "fetch", dir, "--key", w.vkey)
			if _, err := os.Stat(filepath.Join(dir, "checkpoint")); err == nil {
				t.Error("a checkpoint was kept")
			}
		})
	}
}

// TestAForkIsKeptAsEvidence: the CA signs another history, or an older one.
func TestAForkIsKeptAsEvidence(t *testing.T) {
	for name, row := range map[string]struct {
		n    int
		says string
		kept string
	}{
		"another history":          {900, "forked: the log of 900 events does not begin with the one of 700", "conflict-900"},
		"another of the same size": {700, "forked: there are two different logs of 700 events", "conflict-700"},
		"a smaller one":            {600, "rolled back: the log has 600 events, and had 700", "conflict-600"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			dir := w.dir()
			w.log(700)
			w.must("fetch", dir, "--key", w.vkey)
			w.mu.Lock()
			w.leaves, w.author = nil, "eve"
			w.mu.Unlock()
			w.log(row.n)
			w.fails(row.says, "fetch", dir, "--key", w.vkey)
			// Both are signed, and the copy is what it was.
			w.must("verify", filepath.Join(dir, row.kept), "--key", w.vkey)
			w.must("verify", dir, "--key", w.vkey)
			if row.n < 900 {
				return
			}
			other := w.dir()
			w.must("fetch", other, "--key", w.vkey)
			w.fails("forked", "verify", other, "--key", w.vkey, "--from", filepath.Join(dir, "checkpoint"))
		})
	}
}

// TestPromise5TheAuditLog is DESIGN section 7: a change or removal in the audit
// log does not go unnoticed by verify, and is called what it is.
func TestPromise5TheAuditLog(t *testing.T) {
	w := newWorld(t)
	dir := w.dir()
	w.log(100)
	w.must("fetch", dir, "--key", w.vkey)
	older := w.file("older", w.checkpoint(100))
	w.log(900)
	w.must("fetch", dir, "--key", w.vkey)
	if out := w.must("verify", dir, "--key", w.vkey, "--from", older); !strings.Contains(out, "begins with all of the checkpoint of 100 events") {
		t.Errorf("it says\n%s", out)
	}
	bundle := filepath.Join(dir, "tile", "entries", "001")
	size := len(w.tile(mustTile("tile/entries/001.p/1")))
	for name, row := range map[string]struct {
		path   string
		change func([]byte) []byte
		says   string
	}{
		"changed":   {bundle, func(b []byte) []byte { return bytes.Replace(b, []byte("web-1"), []byte("web-2"), 1) }, "changed: event 256 is not the one that was logged"},
		"removed":   {bundle, func(b []byte) []byte { return b[size:] }, "removed: event 256 was removed"},
		"reordered": {bundle, func(b []byte) []byte { return append(append(bytes.Clone(b[size:2*size]), b[:size]...), b[2*size:]...) }, "reordered: events 256 and 257 stand at each other's places"},
		"a tile":    {filepath.Join(dir, "tile", "0", "002"), func(b []byte) []byte { b[5] ^= 1; return b }, "changed: tile/0/002 was changed: the events below it are those that were signed"},
		"the size":  {filepath.Join(dir, "checkpoint"), func(b []byte) []byte { return bytes.Replace(b, []byte("1000"), []byte("1001"), 1) }, "changed: the checkpoint is not what access.example.com/log signed"},
		"cut":       {filepath.Join(dir, "checkpoint"), func([]byte) []byte { return w.checkpoint(90) }, "rolled back: the log has 90 events, and had 100"},
	} {
		t.Run(name, func(t *testing.T) {
			undo := changed(t, row.path, row.change)
			defer undo()
			w.fails(row.says, "verify", dir, "--key", w.vkey)
			out, _, status := w.run("verify", dir, "--key", w.vkey, "--json")
			var r result
			if err := json.Unmarshal([]byte(out), &r); err != nil || r.Verified || status != 1 || !strings.HasPrefix(row.says, string(r.Damage)+": ") {
				t.Errorf("as JSON: status %d, %s, %v", status, out, err)
			}
		})
	}
	if err := os.Remove(bundle); err != nil {
		t.Fatal(err)
	}
	w.fails("missing: tile/entries/001 is missing", "verify", dir, "--key", w.vkey)
}

func TestKeysComeFromTheLoginOrAreGiven(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	dir := w.dir()
	w.log(10)
	w.fails("no key of the log is known", "verify", dir)
	d, err := home.Find(func(string) string { return w.home })
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Make(); err != nil {
		t.Fatal(err)
	}
	save := func(trust wire.LogTrust) {
		if err := d.SaveState(home.State{URL: w.url, Key: "x", Discovery: wire.Discovery{Log: trust}}); err != nil {
			t.Fatal(err)
		}
	}
	save(wire.LogTrust{})
	w.fails("no key of the log is known", "verify", dir)
	save(wire.LogTrust{Origin: origin, Keys: []string{w.vkey}})
	w.must("fetch", dir)
	if out := w.must("verify", dir); !strings.Contains(out, "by the key that this login knows: "+w.vkey) {
		t.Errorf("it says\n%s", out)
	}
	w.fails("wrong key: no trusted key of "+origin, "verify", dir, "--key", other.vkey)
	w.fails("is no verifier key", "verify", dir, "--key", "x")
	witness := "witness.example.org+00000000+AAAA"
	w.fails("is no verifier key of a witness", "verify", dir, "--witness", witness)
	w.fails("a quorum of 1 cannot be had", "verify", dir, "--quorum", "1")
}

func TestAnEventIsProven(t *testing.T) {
	w := newWorld(t)
	w.log(700)
	path := filepath.Join(t.TempDir(), "proof.json")
	w.must("prove", "257", "-o", path, "--key", w.vkey)
	out := w.must("verify", path, "--key", w.vkey)
	if !strings.Contains(out, "event 257  of "+origin) || !strings.Contains(out, "session_denied  ann@example.com  root  web-1") {
		t.Errorf("it says\n%s", out)
	}
	for from, to := range map[string]string{`"index":257`: `"index":258`, "web-1": "web-2", "no_role": "no role"} {
		undo := changed(t, path, func(b []byte) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) })
		w.fails("changed: event 25", "verify", path, "--key", w.vkey)
		undo()
	}
	w.fails("neither a proof nor a checkpoint", "verify", w.file("x", []byte("{")), "--key", w.vkey)
	w.fails("malformed", "verify", w.file("x", []byte("hello")), "--key", w.vkey)
	w.fails("there is nothing", "verify", filepath.Join(t.TempDir(), "x"), "--key", w.vkey)
	w.fails("goes with a copy", "verify", path, "--key", w.vkey, "--from", path)
	if out := w.must("verify", w.file("c", w.checkpoint(700)), "--key", w.vkey); !strings.Contains(out, "not checked: the events") {
		t.Errorf("a checkpoint alone:\n%s", out)
	}
	w.forge = func(path string, data []byte) []byte { return bytes.ReplaceAll(data, []byte("web-1"), []byte("web-2")) }
	w.fails("the CA's proof does not hold", "prove", "257", "-o", path, "--key", w.vkey)
}

func TestALogWhoseEventsAreForAnyoneIsFetchedWithoutALogin(t *testing.T) {
	w := newWorld(t)
	w.refuse = true
	w.log(700)
	dir := w.dir()
	w.must("fetch", dir, "--url", w.url, "--key", w.vkey)
	w.must("verify", dir, "--key", w.vkey)
}

func TestADirectoryThatIsSomethingElseIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails("is no copy of a log", "fetch", dir, "--key", w.vkey)
}

func TestEventsAreListed(t *testing.T) {
	w := newWorld(t)
	w.log(3)
	out := w.must("ls")
	lines := strings.Split(out, "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[0], "EVENT  TIME") || !strings.HasPrefix(lines[1], "0 ") || !strings.HasPrefix(lines[3], "2 ") ||
		!strings.Contains(lines[1], "session_denied  ann@example.com  root   web-1") || !strings.HasSuffix(lines[1], "no_role; no role gives <root> & co to ann") {
		t.Errorf("it lists\n%s", out)
	}
	if out := w.must("ls", "--json"); out != string(bytes.Join(w.leaves, []byte("\n")))+"\n" {
		t.Errorf("as JSON it lists\n%s", out)
	}
	w.leaves[1] = []byte(`{"kind":"\u001b[2Jx","identity":"a\u001b]0;x\u0007","text":"two\nlines"}`)
	if out := w.must("ls"); strings.ContainsAny(out, "\x1b\x07") || strings.Count(out, "\n") != 4 {
		t.Errorf("an event commands the terminal: %q", out)
	}
	for flag, says := range map[string]string{
		"--kind=nothing": "there are: login_granted", "--since=soon": "is no time", "--who=*": "", "--node=*": "", "--login=": "", "--limit=0": "from 1 to 1000",
	} {
		if says != "" {
			w.fails(says, "ls", flag)
		}
	}
}

func TestTheLogIsFollowed(t *testing.T) {
	w := newWorld(t)
	w.log(2)
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	var out locked
	status := 0
	done.Go(func() { _, status = w.runTo(ctx, &out, "ls", "-f", "--json") })
	for _, n := range []int{2, 5} {
		rig.Eventually(t, 10*time.Second, "the events are printed", func() bool { return strings.Count(out.String(), "\n") == n })
		if n == 2 {
			w.log(3)
		}
	}
	stop()
	done.Wait()
	if status != 0 || out.String() != string(bytes.Join(w.leaves, []byte("\n")))+"\n" {
		t.Errorf("status %d\n%s", status, &out)
	}
}

// locked is a buffer that is read while it is written.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
