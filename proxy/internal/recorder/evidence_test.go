package recorder

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// TestWhatIsRecordedIsReadByWhomItIsForAndByNobodyElse holds with every kind of
// recipient, and of every kind of frame.
func TestWhatIsRecordedIsReadByWhomItIsForAndByNobodyElse(t *testing.T) {
	pq := postQuantum(t)
	several := &auditor{wire.RecordingOrder{Recipients: append(slices.Clone(ann.order.Recipients), pq.order.Recipients...)}, pq.opener}
	output, password := []byte("the plans of the fortress"), []byte("correct horse battery")
	for name, a := range map[string]*auditor{"in clear": {}, "to one": ann, "to a post-quantum key": pq, "to several": several} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := openDir(t, dir)
			order := a.order
			order.Files, order.Forwards = 1000, 50
			r, err := d.Open(recording.Meta{Session: session, Identity: "you@example.com"}, order)
			if err != nil {
				t.Fatal(err)
			}
			if l := r.Limits(); l != (Limits{Keep: DefaultKeep, Files: 1000, Forwards: 50}) {
				t.Errorf("limits: %+v", l)
			}
			do := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			secret := func(what string, b []byte, in bool) {
				t.Helper()
				files, _ := filepath.Glob(filepath.Join(dir, "*"))
				found := false
				for _, path := range files {
					text, err := os.ReadFile(path)
					found = found || err == nil && bytes.Contains(text, b)
				}
				if found != in {
					t.Errorf("%s stands on the disk: %v", what, found)
				}
			}
			clear := len(a.order.Recipients) == 0
			do(r.Requested(1, recording.Request{From: recording.Client, Type: "pty-req"}))
			do(r.Append(recording.KindOutput, 1, output))
			n, err := r.Veiled(1, password)
			do(err)
			typed, err := r.Veiled(1, []byte("ls\r"))
			do(err)
			secret("output", output, clear)
			secret("what was typed without echo", password, false)
			do(r.Reveal(1, []recording.Run{{Frame: typed, Bytes: []byte("ls")}}))
			do(r.File(2, recording.FileOp{Op: "read", Path: []byte("/etc/motd"), Read: 12, SHA256: make([]byte, 32)}))
			do(r.Content(2, recording.Content{From: recording.Node, File: 1, Offset: 7, Bytes: output}))
			do(r.Transfer(2, recording.Transfer{Tool: "sftp", Output: 12, Files: 1}))
			do(r.Requested(3, recording.Request{From: recording.Client, Type: "exec"}))
			if commands, files := r.Counts(); commands != 2 || files != 1 {
				t.Errorf("counted %d commands, %d files", commands, files)
			}
			do(r.shrink()) // so that there is a block before the end
			finished(t, r)
			secret("what was typed without echo", password, false)

			got, seal := a.verified(t, dir, session)
			kinds := []recording.Kind{recording.KindSession, recording.KindRequest, recording.KindOutput, recording.KindVeiled,
				recording.KindVeiled, recording.KindReveal, recording.KindFile, recording.KindContent, recording.KindTransfer,
				recording.KindRequest, recording.KindEnd}
			if len(got) != len(kinds) {
				t.Fatalf("%d frames", len(got))
			}
			for i, f := range got {
				if f.Kind != kinds[i] || f.Number != uint64(i) {
					t.Errorf("frame %d is number %d, %v", i, f.Number, f.Kind)
				}
			}
			if n != 3 || typed != 4 || bytes.Contains(got[3].Payload, password) || len(got[3].Payload) != len(password) {
				t.Errorf("veiled frames %d and %d: %q", n, typed, got[3].Payload)
			}
			if runs, err := recording.ParseReveal(got[5]); err != nil || string(runs[0].Bytes) != "ls" {
				t.Errorf("revealed: %v, %v", runs, err)
			}
			if c, err := recording.ParseContent(got[7].Payload); err != nil || !bytes.Equal(c.Bytes, output) {
				t.Errorf("content: %+v, %v", c, err)
			}
			if seal.Counts != (recording.Counts{Commands: 2, Files: 1}) || seal.End.Reason != recording.EndClosed {
				t.Errorf("sealed: %+v", seal.Statement)
			}
			if r.key != (recording.ContentKey{}) || r.writer != nil {
				t.Error("the key is still there")
			}
			if clear {
				return
			}
			locked, err := recording.OpenDir(dir, session, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer locked.Close()
			if _, err := locked.Next(); fault.ReasonOf(err) != fault.RecordingLocked {
				t.Errorf("without a key: %v", err)
			}
		})
	}
}

func TestRecipientsThatAreNoneRefuseTheSession(t *testing.T) {
	d := openDir(t, t.TempDir())
	for name, recipients := range map[string][]string{
		"an SSH key":                  {"ssh-ed25519 AAAA"},
		"an identity":                 {"AGE-SECRET-KEY-1"},
		"nothing":                     {""},
		"one of two":                  {ann.order.Recipients[0], "age1x"},
		"more than there is room for": slices.Repeat(ann.order.Recipients, 5000),
	} {
		if _, err := d.Open(recording.Meta{Session: session}, wire.RecordingOrder{Recipients: recipients}); fault.ReasonOf(err) != fault.RecorderFailed {
			t.Errorf("%s: %v", name, err)
		}
	}
	only(t, d.config.Path)
}

// ledger keeps what a Dir told of its recordings.
type ledger struct {
	dir    string
	grown  map[id.Session][]byte // what was final when it was told last
	sealed map[id.Session]bool
	later  []Finished
	t      *testing.T
}

func newLedger(t *testing.T, dir string) *ledger {
	return &ledger{dir: dir, grown: map[id.Session][]byte{}, sealed: map[id.Session]bool{}, t: t}
}

func (l *ledger) config() Config {
	return Config{Path: l.dir, Seal: p1.seal, Grown: l.tell, Sealed: func(f Finished) { l.later = append(l.later, f) }, Log: slog.New(slog.DiscardHandler)}
}

// tell fails when bytes change that were told to be final.
func (l *ledger) tell(x id.Session, size int64, sealed bool) {
	b, err := os.ReadFile(filepath.Join(l.dir, string(x)+recording.SuffixRec))
	if err != nil || int64(len(b)) < size || sealed && int64(len(b)) != size {
		l.t.Errorf("told of %d bytes, sealed: %v; %d are there: %v", size, sealed, len(b), err)
		return
	}
	if !bytes.HasPrefix(b[:size], l.grown[x]) || l.sealed[x] && int64(len(l.grown[x])) != size {
		l.t.Error("bytes changed that were final")
	}
	l.grown[x], l.sealed[x] = b[:size], sealed
}

func TestWhatHasGrownStands(t *testing.T) {
	l := newLedger(t, t.TempDir())
	d, _, err := OpenDir(l.config())
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, d)
	for n := range uint64(9) {
		if err := r.Append(recording.KindOutput, 1, payload(n)); err != nil {
			t.Fatal(err)
		}
		if n%3 == 2 {
			before := len(l.grown[session])
			if err := r.shrink(); err != nil || len(l.grown[session]) <= before || l.sealed[session] {
				t.Errorf("after frame %d: %d bytes, sealed: %v, %v", n, len(l.grown[session]), l.sealed[session], err)
			}
		}
	}
	if err := d.Remove(session); err == nil {
		t.Error("a live recording was removed")
	}
	f := finished(t, r)
	if !l.sealed[session] || int64(len(l.grown[session])) != f.Size {
		t.Errorf("%d bytes, sealed: %v", len(l.grown[session]), l.sealed[session])
	}
	d.Close()

	l = newLedger(t, l.dir)
	if d, _, err = OpenDir(l.config()); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if k := d.Kept(session); !l.sealed[session] || k.Size != f.Size || !bytes.Equal(k.Seal, f.Seal) || !bytes.Equal(k.Header, f.Header) || k.Lost {
		t.Errorf("at the next start: sealed: %v, %+v", l.sealed[session], k)
	}
	if err := d.Remove(session); err != nil {
		t.Error(err)
	}
	if err := d.Remove(session); err != nil {
		t.Errorf("again: %v", err)
	}
	if k := d.Kept(session); !k.Lost || !errors.Is(k.Err, fs.ErrNotExist) {
		t.Errorf("after that: %+v", k)
	}
	only(t, l.dir)
}

func TestASealThatCannotBeMadeNowIsOwed(t *testing.T) {
	defer p1.away.Store(false)
	l := newLedger(t, t.TempDir())
	d, _, err := OpenDir(l.config())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r := open(t, d)
	r.Append(recording.KindOutput, 1, payload(1))
	p1.away.Store(true)
	f, err := r.Close(recording.End{Reason: recording.EndClosed})
	if fault.ReasonOf(err) != fault.RecorderFailed || f.Seal != nil || f.Lost || f.Header == nil {
		t.Fatalf("closed: %+v, %v", f, err)
	}
	if len(l.grown[session]) == 0 || l.sealed[session] {
		t.Errorf("%d bytes are final, sealed: %v", len(l.grown[session]), l.sealed[session])
	}
	d.pay()
	if len(l.later) != 0 {
		t.Errorf("told: %+v", l.later)
	}
	if _, err := d.Open(recording.Meta{Session: session}, ann.order); err == nil {
		t.Error("it was recorded over")
	}
	if len(frames(t, l.dir)) != 3 {
		t.Error("it cannot be read meanwhile")
	}
	p1.away.Store(false)
	d.pay()
	_, seal := ann.verified(t, l.dir, session)
	if len(l.later) != 1 || !bytes.Equal(l.later[0].Seal, seal.Encode()) || seal.Cut() || !l.sealed[session] {
		t.Errorf("told: %+v", l.later)
	}
	only(t, l.dir, string(session)+recording.SuffixRec)
	d.pay()
	if len(l.later) != 1 {
		t.Error("it was told twice")
	}
}

func TestASealThatWasStillOwedAtTheEndIsMadeAtTheNextStart(t *testing.T) {
	defer p1.away.Store(false)
	dir := t.TempDir()
	d := openDir(t, dir)
	r := open(t, d)
	r.Append(recording.KindOutput, 1, payload(1))
	p1.away.Store(true)
	r.Close(recording.End{Reason: recording.EndClosed})
	d.Close()
	d, recovered, err := OpenDir(Config{Path: dir, Seal: p1.seal})
	if err != nil || len(recovered) != 1 || recovered[0].Seal != nil || recovered[0].Lost {
		t.Fatalf("%+v, %v", recovered, err)
	}
	d.Close()
	p1.away.Store(false)
	d, recovered, err = OpenDir(Config{Path: dir, Seal: p1.seal})
	if err != nil || len(recovered) != 1 || recovered[0].Seal == nil {
		t.Fatalf("%+v, %v", recovered, err)
	}
	defer d.Close()
	if _, seal := ann.verified(t, dir, session); !seal.Cut() {
		t.Error("who seals did not see how it ended, and says so all the same")
	}
}

// TestWhatWasChangedMeanwhileIsNotSealed: somebody writes in the proxy's files
// while the session lives.
func TestWhatWasChangedMeanwhileIsNotSealed(t *testing.T) {
	rec := func(dir string) string { return filepath.Join(dir, string(session)+recording.SuffixRec) }
	for name, change := range map[string]func(b []byte) []byte{
		"a byte of the header":      func(b []byte) []byte { b[20] ^= 1; return b },
		"a byte of the first block": func(b []byte) []byte { b[len(b)/3] ^= 1; return b },
		"the last digest":           func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"the last bytes are gone":   func(b []byte) []byte { return b[:len(b)-10] },
		"everything is gone":        func(b []byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := openDir(t, dir)
			r := open(t, d)
			for n := range uint64(6) {
				if err := r.Append(recording.KindOutput, 1, payload(n)); err != nil {
					t.Fatal(err)
				}
				if n == 1 || n == 3 {
					if err := r.shrink(); err != nil {
						t.Fatal(err)
					}
				}
			}
			b, err := os.ReadFile(rec(dir))
			if err != nil {
				t.Fatal(err)
			}
			b = change(b)
			if err := os.WriteFile(rec(dir), b, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := r.Close(recording.End{Reason: recording.EndClosed})
			if fault.ReasonOf(err) != fault.RecorderFailed || !f.Lost || f.Seal != nil || f.End != string(fault.RecordingDamaged) {
				t.Errorf("closed: %+v, %v", f, err)
			}
			if after, err := os.ReadFile(rec(dir)); err != nil || !bytes.Equal(after, b) {
				t.Errorf("the evidence was changed: %d bytes, %d before: %v", len(after), len(b), err)
			}
			if _, err := os.Stat(filepath.Join(dir, string(session)+recording.SuffixTail)); err != nil {
				t.Error("the tail was removed")
			}
		})
	}
}

func TestATailWithOldFramesIsFlushed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d, _, err := OpenDir(Config{Path: dir, Seal: p1.seal, Flush: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		r := open(t, d)
		if err := r.Append(recording.KindOutput, 1, []byte("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if exists(t, r.path(recording.SuffixRec)) {
			t.Error("it was flushed too early")
		}
		r.Append(recording.KindOutput, 1, []byte("y")) // the oldest counts
		time.Sleep(time.Minute)
		synctest.Wait()
		info, err := os.Stat(r.path(recording.SuffixRec))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if again, err := os.Stat(r.path(recording.SuffixRec)); err != nil || again.Size() != info.Size() {
			t.Errorf("a session at rest was written: %v", err)
		}
		finished(t, r)
		d.Close()
	})
}

// TestClocksThatJumpLeaveTimesInOrder: the wall clock alone would say that the
// session has not yet begun, and then that it is long over.
func TestClocksThatJumpLeaveTimesInOrder(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	r := open(t, d)
	began := r.began
	add := func() {
		t.Helper()
		if err := r.Append(recording.KindOutput, 1, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	add()
	r.began = began.Round(0).Add(3 * time.Hour) // without the monotonic clock, which does not jump
	add()
	r.began = began.Round(0).Add(-2 * time.Hour)
	add()
	r.began = began
	add()
	finished(t, r)
	got, _ := ann.verified(t, dir, session)
	for i, f := range got[1:] {
		if f.At < got[i].At {
			t.Errorf("frame %d is at %s, the one before at %s", f.Number, f.At, got[i].At)
		}
	}
	if began.String() == began.Round(0).String() {
		t.Error("times are taken from the wall clock")
	}
}

// picture is a terminal that shows what it was sent last.
type picture struct {
	next uint64
	last []byte
	t    *testing.T
}

func (p *picture) Frame(f recording.Frame) {
	if f.Number != p.next {
		p.t.Errorf("frame %d was shown, %d is the next", f.Number, p.next)
	}
	p.next++
	if f.Kind == recording.KindOutput {
		p.last = bytes.Clone(f.Payload)
	}
}

func (p *picture) Now() ([]recording.Screen, bool) {
	return []recording.Screen{{Channel: 1, Columns: 80, Rows: 24, ANSI: p.last}}, true
}

func (p *picture) Rest() {}

func TestBlocksBeginWithTheScreensOfTheirTime(t *testing.T) {
	dir := t.TempDir()
	p := &picture{t: t}
	d, _, err := OpenDir(Config{Path: dir, Seal: p1.seal, Screens: func(x id.Session) Screens { return p }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r := open(t, d)
	for _, text := range []string{"first", "second", "third"} {
		if err := r.Append(recording.KindOutput, 1, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := r.shrink(); err != nil {
			t.Fatal(err)
		}
	}
	finished(t, r)
	ann.verified(t, dir, session)
	rec, err := recording.OpenDir(dir, session, ann.opener)
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	var shown []string
	for {
		f, err := rec.Next()
		if err != nil {
			break
		}
		if f.Kind != recording.KindOutput && f.Kind != recording.KindEnd {
			continue
		}
		screens, ok := rec.Screens()
		if !ok || len(screens) > 1 {
			t.Fatalf("frame %d: %v", f.Number, screens)
		}
		for _, s := range screens {
			shown = append(shown, string(s.ANSI))
		}
	}
	if !slices.Equal(shown, []string{"", "first", "second", "third"}) {
		t.Errorf("shown: %q", shown)
	}
}

func TestNotesOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	if err := errors.Join(d.Note(session, []byte("a")), d.Note(session, []byte("b")), d.Note("7kq2-m9x4e", []byte("c")), d.Forget("7kq2-m9x4e")); err != nil {
		t.Fatal(err)
	}
	if err := d.Note("../x", nil); err == nil {
		t.Error("a note outside of the directory")
	}
	d.Close()
	os.WriteFile(filepath.Join(dir, string(session)+suffixNewNote), []byte("half"), 0o600)
	d = openDir(t, dir)
	notes, err := d.Notes()
	if err != nil || len(notes) != 1 || string(notes[session]) != "b" {
		t.Errorf("%q, %v", notes, err)
	}
	only(t, dir, string(session)+suffixNote)
	if err := errors.Join(d.Forget(session), d.Forget(session)); err != nil {
		t.Error(err)
	}
	only(t, dir)
}
