package recorder

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// childRole makes the test binary a process that a test can kill: its value is
// what to do, its directory the first argument after the flags.
const childRole = "SALLYPORT_RECORDER_CHILD"

func TestMain(m *testing.M) {
	remove := shareKeys()
	switch role := os.Getenv(childRole); role {
	case "frames":
		recordFrames(os.Args[len(os.Args)-1])
	case "bulk":
		recordBulk(os.Args[len(os.Args)-1])
	case "once", "recover":
		beTraced(role, os.Args[len(os.Args)-1])
		os.Exit(0)
	}
	status := m.Run()
	remove()
	os.Exit(status)
}

// payload of frame n; sizes differ, so that writes end everywhere in a page.
func payload(n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	return append(b, bytes.Repeat([]byte{byte(n)}, int(n*7919%30000))...)
}

// recordFrames appends frames until it is killed, and says after each which one
// may be delivered.
func recordFrames(dir string) {
	r := child(dir)
	for n := uint64(1); ; n++ {
		must(r.Append(recording.KindOutput, 1, payload(n)))
		must(binary.Write(os.Stdout, binary.BigEndian, n))
	}
}

// recordBulk streams until it is killed, and says how much may be delivered.
func recordBulk(dir string) {
	s := child(dir).Stream(recording.KindOutput, 1)
	chunk := bytes.Repeat([]byte("0123456789abcde\n"), 2048)
	for n := uint64(0); ; {
		must(s.Append(chunk))
		n += uint64(len(chunk))
		must(binary.Write(os.Stdout, binary.BigEndian, n))
	}
}

func child(dir string) *Recorder {
	d, _, err := OpenDir(Config{Path: dir, Seal: p1.seal})
	must(err)
	r, err := d.Open(recording.Meta{Session: session}, ann.order)
	must(err)
	return r
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// kill runs a child of that role, kills it after it has said something so many
// times, and returns the last thing it said.
func kill(t *testing.T, role, dir string, after int) uint64 {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^$", dir)
	cmd.Env = append(os.Environ(), childRole+"="+role)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last uint64
	in := bufio.NewReader(out)
	read := func() error { return binary.Read(in, binary.BigEndian, &last) }
	for range after {
		if err := read(); err != nil {
			t.Fatalf("the child ended: %v", err)
		}
	}
	cmd.Process.Kill()
	for read() == nil { // what it had said before it died was delivered, too
	}
	cmd.Wait()
	return last
}

func TestAKilledProxyLosesNothingThatWasDelivered(t *testing.T) {
	for _, after := range []int{1, 2, 31, 32, 33, 64, 100, 257, 700, 1500} {
		dir := t.TempDir()
		delivered := kill(t, "frames", dir, after)
		live := frames(t, dir) // as an auditor sees it before the proxy is back
		d, recovered, err := OpenDir(Config{Path: dir, Seal: p1.seal})
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
		if len(recovered) != 1 || recovered[0].Err != nil || recovered[0].Session != session {
			t.Fatalf("recovered: %+v", recovered)
		}
		only(t, dir, string(session)+recording.SuffixRec)
		got, seal := ann.verified(t, dir, session)
		if !seal.Cut() || !bytes.Equal(seal.Encode(), recovered[0].Seal) {
			t.Errorf("sealed with %+v", seal.End)
		}
		last := got[len(got)-1]
		var end recording.End
		if err := last.Decode(&end); err != nil || last.Kind != recording.KindEnd || end.Reason != recording.EndCut {
			t.Fatalf("the last frame is %v %s", last.Kind, last.Payload)
		}
		got = got[:len(got)-1]
		if len(got) != len(live) || uint64(len(got)) != recovered[0].Frames {
			t.Errorf("%d frames before recovery, %d after, %d reported", len(live), len(got), recovered[0].Frames)
		}
		if n := uint64(len(got) - 1); n < delivered {
			t.Fatalf("%d frames were delivered, %d are recorded", delivered, n)
		}
		for n, f := range got[1:] {
			if !bytes.Equal(f.Payload, payload(uint64(n+1))) {
				t.Fatalf("frame %d is not what was sent", f.Number)
			}
		}
	}
}

func TestAKilledProxyLeavesHonestBoundsOfWhatWasNotKept(t *testing.T) {
	for _, after := range []int{1, 31, 32, 33, 34, 63, 64, 65, 100, 1000} {
		dir := t.TempDir()
		delivered := int64(kill(t, "bulk", dir, after))
		r, err := recording.OpenDir(dir, session, ann.opener)
		if err != nil {
			t.Fatal(err)
		}
		s, err := recording.Summarize(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		f := s.Channels[0].Output
		if delivered > f.AtMost || f.AtMost-f.Bytes > ahead || f.Kept != min(f.Bytes, DefaultKeep) {
			t.Errorf("%d bytes were delivered, and the record says %+v", delivered, f)
		}
	}
}

// TestWhatEachStepLeavesIsFinished: the process dies between any two steps that
// change files.
func TestWhatEachStepLeavesIsFinished(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	r := open(t, d)
	n := uint64(0)
	add := func(count int) {
		t.Helper()
		for range count {
			n++
			if err := r.Append(recording.KindOutput, 1, payload(n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	absorbed := func(suffixes ...string) {
		t.Helper()
		a := absorption{base: r.path(""), key: r.key, known: &r.chain}
		if err := d.absorb(&a, suffixes...); err != nil {
			t.Fatal(err)
		}
		r.chain = a.chain
	}
	full, rec := r.path(recording.SuffixFull), r.path(recording.SuffixRec)
	rotate := func() {
		t.Helper()
		if _, err := r.rotate(full); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		name string
		do   func()
	}{
		{"frames are in the tail", func() { add(20) }},
		{"the next tail was made", func() { os.WriteFile(r.path(suffixNext), nil, 0o600) }},
		{"the tail is full, and there is another", rotate},
		{"the other has frames", func() { add(5) }},
		{"the full tail was compressed", func() { absorbed(recording.SuffixFull) }},
		{"the full tail is gone", func() { os.Remove(full) }},
		{"a second tail is full", func() { add(10); rotate(); add(3) }},
		{"it was compressed, too", func() { absorbed(recording.SuffixFull) }},
		{"and is gone", func() { os.Remove(full) }},
		{"the session has ended", func() { r.endTail(recording.End{Reason: recording.EndClosed}) }},
		{"everything was compressed", func() { absorbed(recording.SuffixFull, recording.SuffixTail) }},
		{"it is sealed", func() {
			tail, _ := os.ReadFile(r.path(recording.SuffixTail)) // it goes after the seal is on the disk
			u := unfinished{session: session, chain: r.chain, end: recording.End{Reason: recording.EndClosed}, whole: true}
			if err := d.seal(&u, &Finished{}); err != nil {
				t.Fatal(err)
			}
			os.WriteFile(r.path(recording.SuffixTail), tail, 0o600)
		}},
		{"and the tail is gone", func() { os.Remove(r.path(recording.SuffixTail)) }},
	}
	before := int64(0) // size of the finished part one step earlier
	for _, step := range steps {
		step.do()
		ended := r.tail == nil
		recovers(t, step.name, dir, n, ended, nil)
		info, err := os.Stat(rec)
		if err != nil || info.Size() == before {
			continue
		}
		// The block may have been cut anywhere.
		for _, at := range []int64{before, before + 1, (before + info.Size()) / 2, info.Size() - 1} {
			name := fmt.Sprintf("%s, of which %d of %d bytes were written", step.name, at, info.Size())
			recovers(t, name, dir, n, ended, func(copy string) {
				if err := os.Truncate(filepath.Join(copy, filepath.Base(rec)), at); err != nil {
					t.Fatal(err)
				}
			})
		}
		before = info.Size()
	}
}

// recovers opens a copy of dir as the next process does, and checks everything.
func recovers(t *testing.T, name, dir string, delivered uint64, ended bool, damage func(string)) {
	t.Helper()
	copy := t.TempDir()
	if err := os.CopyFS(filepath.Join(copy, "d"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	copy = filepath.Join(copy, "d")
	if damage != nil {
		damage(copy)
	}
	for range 2 { // the second opening has nothing to do
		d, recovered, err := OpenDir(Config{Path: copy, Seal: p1.seal})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d.Close()
		for _, r := range recovered {
			if r.Err != nil {
				t.Fatalf("%s: %v", name, r.Err)
			}
		}
		only(t, copy, string(session)+recording.SuffixRec)
		got, _ := ann.verified(t, copy, session)
		if uint64(len(got)) != delivered+2 {
			t.Fatalf("%s: %d frames, want %d", name, len(got), delivered+2)
		}
		for i, f := range got[1 : len(got)-1] {
			if !bytes.Equal(f.Payload, payload(uint64(i+1))) {
				t.Fatalf("%s: frame %d is not what was sent", name, f.Number)
			}
		}
		var end recording.End
		json.Unmarshal(got[len(got)-1].Payload, &end)
		if want := map[bool]string{true: recording.EndClosed, false: recording.EndCut}[ended]; end.Reason != want {
			t.Fatalf("%s: end %q, want %q", name, end.Reason, want)
		}
	}
}

func TestDamagedTailsAreReportedAndLeftAlone(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	r := open(t, d)
	for n := range uint64(20) {
		if err := r.Append(recording.KindOutput, 1, payload(n)); err != nil {
			t.Fatal(err)
		}
	}
	d.Close()
	path := filepath.Join(dir, string(session)+recording.SuffixTail)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	d2, recovered, err := OpenDir(Config{Path: dir, Seal: p1.seal})
	if err != nil {
		t.Fatal(err)
	}
	defer d2.Close()
	if f := recovered[0]; len(recovered) != 1 || f.Err == nil || !f.Lost || f.Seal != nil || f.End != string(fault.RecordingDamaged) {
		t.Fatalf("recovered: %+v", recovered)
	}
	only(t, dir, string(session)+recording.SuffixTail)
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, b) {
		t.Error("the tail was changed")
	}
	if _, err := d2.Open(recording.Meta{Session: session}, ann.order); err == nil {
		t.Error("its session was recorded over it")
	}
	if _, err := d2.Open(recording.Meta{Session: "7kq2-m9x4e"}, ann.order); err != nil {
		t.Errorf("another session: %v", err)
	}
}

func TestATornFrameIsDroppedAndCounted(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	r := open(t, d)
	if err := r.Append(recording.KindOutput, 1, payload(1)); err != nil {
		t.Fatal(err)
	}
	size := r.size
	if err := r.Append(recording.KindOutput, 1, payload(2)); err != nil {
		t.Fatal(err)
	}
	d.Close()
	if err := os.Truncate(r.path(recording.SuffixTail), size+100); err != nil {
		t.Fatal(err)
	}
	d2, _, err := OpenDir(Config{Path: dir, Seal: p1.seal})
	if err != nil {
		t.Fatal(err)
	}
	d2.Close()
	got := frames(t, dir)
	var end recording.End
	if err := got[len(got)-1].Decode(&end); err != nil || end.Dropped != 100 || len(got) != 3 {
		t.Errorf("%d frames, %+v, %v", len(got), end, err)
	}
}
