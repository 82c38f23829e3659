package recorder

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

const session = id.Session("7kq2-m9x4d")

func openDir(t testing.TB, path string) *Dir {
	t.Helper()
	d, _, err := OpenDir(Config{Path: path, Seal: p1.seal, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func open(t testing.TB, d *Dir) *Recorder {
	t.Helper()
	r, err := d.Open(recording.Meta{Session: session, Identity: "you@example.com", Login: "deploy", Node: "web-1"}, ann.order)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// finished closes r, which must work.
func finished(t testing.TB, r *Recorder) Finished {
	t.Helper()
	f, err := r.Close(recording.End{Reason: recording.EndClosed})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// frames reads a session's recording as it lies in dir.
func frames(t testing.TB, dir string) []recording.Frame {
	t.Helper()
	r, err := recording.OpenDir(dir, session, ann.opener)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return drain(t, r)
}

func drain(t testing.TB, r interface {
	Next() (recording.Frame, error)
}) []recording.Frame {
	t.Helper()
	var list []recording.Frame
	for {
		f, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatalf("after %d frames: %v", len(list), err)
		}
		f.Payload = bytes.Clone(f.Payload)
		list = append(list, f)
	}
}

func TestWhatWasAppendedIsReadBackByteForByte(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	r := open(t, d)
	want := [][]byte{}
	for i := range 4000 { // several tails
		b := bytes.Repeat([]byte{byte(i), byte(i >> 8), 0xff, 0x80}, 1+i%400)
		if err := r.Append(recording.KindOutput, 1, b); err != nil {
			t.Fatal(err)
		}
		want = append(want, b)
	}
	check := func(got []recording.Frame) {
		t.Helper()
		for i, b := range want {
			if f := got[i+1]; !bytes.Equal(f.Payload, b) || f.Number != uint64(i+1) || f.Kind != recording.KindOutput || f.Channel != 1 {
				t.Fatalf("frame %d: %d bytes, want %d", f.Number, len(f.Payload), len(b))
			}
		}
	}
	check(frames(t, dir)) // live
	done := finished(t, r)
	got, seal := ann.verified(t, dir, session)
	check(got)
	if last := got[len(got)-1]; last.Kind != recording.KindEnd || len(got) != len(want)+2 {
		t.Errorf("%d frames, the last %v", len(got), last.Kind)
	}
	only(t, dir, string(session)+recording.SuffixRec)
	info, err := os.Stat(filepath.Join(dir, string(session)+recording.SuffixRec))
	if err != nil || info.Size() != done.Size || info.Mode().Perm() != 0o600 {
		t.Errorf("%d bytes, file has %d, mode %v: %v", done.Size, info.Size(), info.Mode(), err)
	}
	if !bytes.Equal(done.Seal, seal.Encode()) || !bytes.Equal(done.Header, seal.Header) || seal.Cut() || seal.Frames != uint64(len(got)) {
		t.Errorf("finished: %+v; sealed: %+v", done, seal.Statement)
	}
}

// only fails unless dir holds these files and the lock.
func only(t testing.TB, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		if e.Name() != ".lock" && e.Name() != ballastName {
			have = append(have, e.Name())
		}
	}
	if fmt.Sprint(have) != fmt.Sprint(names) {
		t.Errorf("directory holds %v, want %v", have, names)
	}
}

func TestFramesOfManyGoroutinesKeepTheOrderOfEach(t *testing.T) {
	dir := t.TempDir()
	r := open(t, openDir(t, dir))
	const goroutines, each = 8, 500
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			channel := r.NewChannel()
			for i := range each {
				if err := r.Append(recording.KindOutput, channel, fmt.Appendf(nil, "%d %d", g, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	finished(t, r)
	next := map[uint32]int{}
	for _, f := range frames(t, dir) {
		if f.Kind != recording.KindOutput {
			continue
		}
		var g, i int
		fmt.Sscan(string(f.Payload), &g, &i)
		if i != next[f.Channel] {
			t.Fatalf("channel %d has %d, want %d", f.Channel, i, next[f.Channel])
		}
		next[f.Channel]++
	}
	if len(next) != goroutines {
		t.Errorf("%d channels, want %d", len(next), goroutines)
	}
}

func TestRecordersThatRefuse(t *testing.T) {
	d := openDir(t, t.TempDir())
	closed := open(t, d)
	finished(t, closed)
	if f := finished(t, closed); f.Seal != nil {
		t.Errorf("closing twice told twice: %+v", f)
	}
	_, again := d.Open(recording.Meta{Session: session}, ann.order)
	_, elsewhere := d.Open(recording.Meta{Session: "../../../x"}, ann.order)
	_, zeroDir := new(Dir).Open(recording.Meta{Session: session}, ann.order)
	large, err := d.Open(recording.Meta{Session: "7kq2-m9x4e"}, ann.order)
	if err != nil {
		t.Fatal(err)
	}
	_, twice := d.Open(recording.Meta{Session: "7kq2-m9x4e"}, ann.order)
	for what, err := range map[string]error{
		"append to the zero Recorder":               new(Recorder).Append(recording.KindOutput, 1, []byte("x")),
		"close of the zero Recorder":                second(new(Recorder).Close(recording.End{})),
		"a stream of the zero Recorder":             new(Recorder).Stream(recording.KindOutput, 1).Append([]byte("x")),
		"append after Close":                        closed.Append(recording.KindOutput, 1, []byte("x")),
		"a session whose recording is finished":     again,
		"a session whose recording is open":         twice,
		"a session that is no name":                 elsewhere,
		"the zero Dir":                              zeroDir,
		"a frame that is larger than the format's":  large.Append(recording.KindOutput, 1, make([]byte, recording.MaxPayload+1)),
		"any frame after one that was not recorded": large.Append(recording.KindOutput, 1, []byte("x")),
	} {
		if fault.ReasonOf(err) != fault.RecorderFailed {
			t.Errorf("%s: %v, want %s", what, err, fault.RecorderFailed)
		}
	}
}

func second[A any](_ A, err error) error { return err }

func TestADirectoryBelongsToOneProxy(t *testing.T) {
	dir := t.TempDir()
	openDir(t, dir)
	if _, _, err := OpenDir(Config{Path: dir, Seal: p1.seal}); err == nil {
		t.Fatal("a second proxy opened it")
	}
}

func TestADirThatIsClosedEndsItsRecorders(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	r := open(t, d)
	d.Close()
	if err := r.Append(recording.KindOutput, 1, []byte("x")); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Errorf("append: %v", err)
	}
	if _, err := d.Open(recording.Meta{Session: "7kq2-m9x4e"}, ann.order); fault.ReasonOf(err) != fault.RecorderFailed {
		t.Errorf("open: %v", err)
	}
}

// TestALiveSessionIsReadWholeAtAnyTime: while frames move from file to file, a
// reader gets every frame that was appended before it came, in order.
func TestALiveSessionIsReadWholeAtAnyTime(t *testing.T) {
	dir := t.TempDir()
	r := open(t, openDir(t, dir))
	var appended atomic.Uint64
	ended := make(chan error, 1)
	go func() {
		for n := uint64(1); n <= 400; n++ {
			if err := r.Append(recording.KindOutput, 1, payload(n)); err != nil {
				ended <- err
				return
			}
			appended.Store(n)
		}
		ended <- second(r.Close(recording.End{Reason: recording.EndClosed}))
	}()
	for readings := 0; ; readings++ {
		before := appended.Load()
		got := frames(t, dir)
		if uint64(len(got)-1) < before {
			t.Fatalf("%d frames were appended, %d are read", before, len(got)-1)
		}
		for n, f := range got[1:] {
			if f.Kind == recording.KindOutput && !bytes.Equal(f.Payload, payload(uint64(n+1))) {
				t.Fatalf("frame %d is not what was sent", f.Number)
			}
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("read %d times", readings)
			return
		default:
		}
	}
}
