package recorder

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// beTraced is what a child does of which single system calls go wrong.
func beTraced(role, dir string) {
	map[string]func(string){"once": recordOnce, "recover": recoverOnce}[role](dir)
}

// recordOnce is a whole session with everything that can happen to files: frames,
// two tails that are compressed, the end, the seal. It says what may be delivered
// after each step, goes on where it can, and tries again what failed.
func recordOnce(dir string) {
	say := func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	d, _, err := OpenDir(Config{Path: dir, Seal: p1.seal, Reserve: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		say("refused")
		return
	}
	defer d.Close()
	r, err := d.Open(recording.Meta{Session: session}, ann.order)
	if err != nil {
		say("refused")
		return
	}
	say("open")
	n := uint64(0)
	add := func(count int) {
		for range count {
			if err := r.Append(recording.KindOutput, 1, payload(n+1)); err != nil {
				return // for good
			}
			n++
			say("%d", n)
		}
	}
	add(3)
	r.shrink() // an error is no loss
	add(2)
	r.shrink()
	add(2)
	if _, err := r.Close(recording.End{Reason: recording.EndClosed}); err == nil {
		say("sealed")
		return
	}
	d.pay()
	if len(d.owed) == 0 {
		say("sealed")
	}
}

// TestEveryStepThatFailsOrIsTheLast is the fault table of a session: each system
// call that changes a file, of the kernel and not of a fake, with each fault.
// After each all promises are checked.
func TestEveryStepThatFailsOrIsTheLast(t *testing.T) {
	for _, f := range mishaps {
		t.Run(f.name, func(t *testing.T) {
			at := 1
			for ; ; at++ {
				dir := t.TempDir()
				said, struck := trace(t, "once", dir, f, at)
				if !struck {
					break
				}
				if !holds(t, dir, said) {
					t.Fatalf("step %d; it had said %v", at, said)
				}
			}
			if at < 25 {
				t.Errorf("there were only %d steps", at-1)
			}
			t.Logf("%d steps", at-1)
		})
	}
}

// holds checks what a process that said this has left in dir, as it is and as its
// successor finishes it.
func holds(t *testing.T, dir string, said []string) bool {
	t.Helper()
	open, sealed := slices.Contains(said, "open"), slices.Contains(said, "sealed")
	acknowledged := uint64(0)
	for _, word := range said {
		fmt.Sscan(word, &acknowledged)
	}
	if sealed {
		only(t, dir, string(session)+recording.SuffixRec)
		if _, seal := ann.verified(t, dir, session); seal.Cut() {
			t.Error("a session that was seen to its end is marked as cut")
		}
	}
	d, recovered, err := OpenDir(Config{Path: dir, Seal: p1.seal})
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	for _, r := range recovered {
		if r.Err != nil || r.Lost && open {
			t.Errorf("recovered: %+v", r)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, string(session)+".*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 && !open {
		return !t.Failed() // it never began
	}
	if len(files) != 1 || !strings.HasSuffix(files[0], recording.SuffixRec) {
		t.Errorf("left: %v", files)
		return false
	}
	got, seal := ann.verified(t, dir, session)
	body := got[1 : len(got)-1]
	if last := got[len(got)-1]; last.Kind != recording.KindEnd {
		t.Errorf("it ends with %v", last.Kind)
	}
	if len(recovered) > 0 && recovered[0].Seal != nil && !bytes.Equal(recovered[0].Seal, seal.Encode()) {
		t.Error("another seal was reported")
	}
	// One frame may be there that was not delivered.
	if n := uint64(len(body)); n < acknowledged || n > acknowledged+1 {
		t.Errorf("%d frames may have been delivered, %d are recorded", acknowledged, n)
	}
	for i, f := range body {
		if !bytes.Equal(f.Payload, payload(uint64(i+1))) {
			t.Errorf("frame %d is not what was sent", f.Number)
		}
	}
	return !t.Failed()
}

// recoverOnce is what the next process does.
func recoverOnce(dir string) {
	d, recovered, err := OpenDir(Config{Path: dir, Seal: p1.seal, Reserve: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return
	}
	defer d.Close()
	d.pay()
	if len(recovered) > 0 && len(d.owed) == 0 {
		fmt.Println("done")
	}
}

// TestEveryStepOfFinishingWhatACrashLeft is the same for the next process, which
// may die, too.
func TestEveryStepOfFinishingWhatACrashLeft(t *testing.T) {
	left := t.TempDir()
	d := openDir(t, left)
	r := open(t, d)
	add := func(from, to uint64) {
		for n := from; n <= to; n++ {
			if err := r.Append(recording.KindOutput, 1, payload(n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(1, 4)
	if err := r.shrink(); err != nil {
		t.Fatal(err)
	}
	add(5, 6)
	if _, err := r.rotate(r.path(recording.SuffixFull)); err != nil {
		t.Fatal(err)
	}
	add(7, 9)
	d.Close()
	for _, f := range mishaps {
		t.Run(f.name, func(t *testing.T) {
			at := 1
			for ; ; at++ {
				dir := filepath.Join(t.TempDir(), "d")
				if err := os.CopyFS(dir, os.DirFS(left)); err != nil {
					t.Fatal(err)
				}
				said, struck := trace(t, "recover", dir, f, at)
				if !struck {
					break
				}
				if slices.Contains(said, "done") {
					only(t, dir, string(session)+recording.SuffixRec)
				}
				if !holds(t, dir, []string{"open", "9"}) {
					t.Fatalf("step %d; it had said %v", at, said)
				}
			}
			if at < 6 {
				t.Errorf("there were only %d steps", at-1)
			}
			t.Logf("%d steps", at-1)
		})
	}
}
