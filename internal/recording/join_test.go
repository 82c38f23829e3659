package recording

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFilesThatACrashLeaves are the states between two steps of what the recorder
// does, each of which reads as the whole recording.
func TestFilesThatACrashLeaves(t *testing.T) {
	frames := sample()
	p := NewPacker()
	rec := func(n int) []byte { return recOf(p, testHeader, frames[:n], 5) }
	tail := func(from, to int) []byte { return tailOf(testHeader, uint64(from), frames[from:to]) }
	all := len(frames)
	for _, test := range []struct {
		name  string
		rec   []byte
		tails [][]byte
	}{
		{"before anything was compressed", nil, [][]byte{nil, tail(0, all)}},
		{"between two tails", nil, [][]byte{tail(0, 9), tail(9, all)}},
		{"a tail became full, and there is no other yet", rec(9), [][]byte{tail(9, all), nil}},
		{"the finished part was made and has nothing in it", []byte{}, [][]byte{tail(0, 9), tail(9, all)}},
		{"its header was cut", rec(9)[:20], [][]byte{tail(0, 9), tail(9, all)}},
		{"its header is all that was written", rec(9)[:HeaderSize], [][]byte{tail(0, 9), tail(9, all)}},
		{"its first block was cut", rec(9)[:HeaderSize+70], [][]byte{tail(0, 9), tail(9, all)}},
		{"its last block was cut in the header", rec(15)[:len(rec(10))+8], [][]byte{tail(10, 15), tail(15, all)}},
		{"its last block was cut before its last byte", rec(15)[:len(rec(15))-1], [][]byte{tail(10, 15), tail(15, all)}},
		{"the block is whole, and the full tail still there", rec(15), [][]byte{tail(10, 15), tail(15, all)}},
		{"the full tail is gone", rec(15), [][]byte{nil, tail(15, all)}},
		{"everything is finished, and the tails still there", rec(all), [][]byte{tail(10, 15), tail(15, all)}},
		{"the next tail has a header and no frame", rec(all), [][]byte{nil, tail(all, all)}},
		{"the next tail has half a header", rec(all), [][]byte{nil, tail(all, all)[:30]}},
	} {
		got, err := join(test.rec, test.tails...)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if !equal(got, frames) {
			t.Errorf("%s: %d frames, want %d", test.name, len(got), len(frames))
		}
	}
}

func TestFilesThatDoNotBelongTogetherAreRefused(t *testing.T) {
	frames := sample()
	p := NewPacker()
	other := Header{Session: "7kq2-m9x4e", Started: testHeader.Started}
	for _, test := range []struct {
		name  string
		rec   []byte
		tails [][]byte
	}{
		{"nothing", nil, nil},
		{"a tail without a header", nil, [][]byte{{1, 2, 3}}},
		{"a tail of another session", recOf(p, testHeader, frames[:9], 5), [][]byte{tailOf(other, 9, frames[9:])}},
		{"a tail of another start", recOf(p, testHeader, frames[:9], 5), [][]byte{tailOf(Header{Session: testHeader.Session}, 9, frames[9:])}},
		{"frames left out between finished part and tail", recOf(p, testHeader, frames[:9], 5), [][]byte{tailOf(testHeader, 10, frames[10:])}},
		{"frames left out between the tails", nil, [][]byte{tailOf(testHeader, 0, frames[:9]), tailOf(testHeader, 10, frames[10:])}},
		{"frames left out before a tail that has none", recOf(p, testHeader, frames[:9], 5), [][]byte{tailOf(testHeader, 20, nil)}},
		{"the tail in the place of the finished part", tailOf(testHeader, 0, frames), nil},
		{"the finished part in the place of the tail", nil, [][]byte{recOf(p, testHeader, frames, 5)}},
		{"a full tail that was cut, with another behind it", nil, [][]byte{tailOf(testHeader, 0, frames[:9])[:300], tailOf(testHeader, 9, frames[9:])}},
		{"a cut block whose frames no tail has", recOf(p, testHeader, frames[:10], 5)[:700], [][]byte{nil}},
	} {
		got, err := join(test.rec, test.tails...)
		var damage *DamageError
		if !errors.As(err, &damage) {
			t.Errorf("%s: %d frames, %v", test.name, len(got), err)
		}
	}
}

func TestSeekFindsTheFirstFrameAtOrAfterATime(t *testing.T) {
	frames := sample()
	for split := range frames {
		var rec []byte
		if split > 0 {
			rec = recOf(NewPacker(), testHeader, frames[:split], 4)
		}
		r, err := Join(at(rec), at(tailOf(testHeader, uint64(split), frames[split:])))
		if err != nil {
			t.Fatal(err)
		}
		// Also backwards, and after the end was read.
		for i := len(frames) - 1; i >= 0; i-- {
			for _, early := range []time.Duration{0, time.Microsecond} {
				if err := r.Seek(frames[i].At - early); err != nil {
					t.Fatal(err)
				}
				got, err := drain(r)
				if err != nil {
					t.Fatalf("split %d, frame %d: %v", split, i, err)
				}
				same(t, got, frames[i:])
			}
		}
		if err := r.Seek(time.Hour); err != nil {
			t.Fatal(err)
		}
		if got, err := drain(r); len(got) != 0 || err != nil {
			t.Fatalf("after the end: %d frames, %v", len(got), err)
		}
	}
}

func TestWriteToMakesOneStreamOfAllFiles(t *testing.T) {
	frames := sample()
	for split := range len(frames) + 1 {
		var rec []byte
		if split > 0 {
			rec = recOf(NewPacker(), testHeader, frames[:split], 4)
		}
		torn := append(tailOf(testHeader, uint64(split), frames[split:]), 1, 2, 3)
		r, err := Join(at(rec), at(torn))
		if err != nil {
			t.Fatal(err)
		}
		r.Next() // wherever it was read to
		var out bytes.Buffer
		n, err := r.WriteTo(&out)
		if err != nil || n != int64(out.Len()) {
			t.Fatalf("split %d: %d of %d bytes, %v", split, n, out.Len(), err)
		}
		if !bytes.HasPrefix(out.Bytes(), rec) {
			t.Fatalf("split %d: the finished part is not as it was", split)
		}
		got, err := stream(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, frames)
		if r.Torn() != 3 {
			t.Errorf("torn: %d", r.Torn())
		}
	}
}

func TestOpenDirTakesASessionsFilesTogether(t *testing.T) {
	frames, dir := sample(), t.TempDir()
	base := filepath.Join(dir, string(testHeader.Session))
	write := func(suffix string, b []byte) {
		t.Helper()
		if err := os.WriteFile(base+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := OpenDir(dir, testHeader.Session); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before there is any: %v", err)
	}
	write(SuffixTail, tailOf(testHeader, 15, frames[15:]))
	write(SuffixFull, tailOf(testHeader, 10, frames[10:15]))
	write(SuffixRec, recOf(NewPacker(), testHeader, frames[:10], 5))
	for name, open := range map[string]func() (*Recording, error){
		"by its session":       func() (*Recording, error) { return OpenDir(dir, testHeader.Session) },
		"by its finished part": func() (*Recording, error) { return OpenFile(base + SuffixRec) },
		"by its tail":          func() (*Recording, error) { return OpenFile(base + SuffixTail) },
	} {
		r, err := open()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := drain(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, got, frames)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := OpenDir(dir, "../../etc/x"); err == nil {
		t.Error("a path for a session was opened")
	}
	if err := os.Rename(base+SuffixRec, filepath.Join(dir, "7kq2-m9x4e"+SuffixRec)); err != nil {
		t.Fatal(err)
	}
	var damage *DamageError
	if _, err := OpenDir(dir, "7kq2-m9x4e"); !errors.As(err, &damage) {
		t.Errorf("a recording under another's name: %v", err)
	}
}
