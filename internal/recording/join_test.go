package recording

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// finished is the finished part of the sample's first n frames.
func finished(f form, n int) []byte {
	b, _ := recOf(NewPacker(), f, stored(sample())[:n], 5)
	return b
}

// TestFilesThatACrashLeaves are the states between two steps of what the recorder
// does, each of which reads as the whole recording.
func TestFilesThatACrashLeaves(t *testing.T) {
	want := stored(sample())
	all := len(want)
	for _, f := range forms {
		rec := func(n int) []byte { return finished(f, n) }
		tail := func(from, to int) []byte { return tailOf(f, sample(), from, to) }
		head := int(f.header.Size())
		for _, test := range []struct {
			name  string
			rec   []byte
			tails [][]byte
		}{
			{"before anything was compressed", nil, [][]byte{nil, tail(1, all)}},
			{"between two tails", nil, [][]byte{tail(1, 9), tail(9, all)}},
			{"a tail became full, and there is no other yet", rec(9), [][]byte{tail(9, all), nil}},
			{"the finished part was made and has nothing in it", []byte{}, [][]byte{tail(1, 9), tail(9, all)}},
			{"its header was cut", rec(9)[:20], [][]byte{tail(1, 9), tail(9, all)}},
			{"its preface was cut", rec(9)[:head-2], [][]byte{tail(1, 9), tail(9, all)}},
			{"its header is all that was written", rec(9)[:head], [][]byte{tail(1, 9), tail(9, all)}},
			{"its first block was cut", rec(9)[:head+70], [][]byte{tail(1, 9), tail(9, all)}},
			{"its last block was cut in the header", rec(15)[:len(rec(10))+8], [][]byte{tail(10, 15), tail(15, all)}},
			{"its last block was cut before its last byte", rec(15)[:len(rec(15))-1], [][]byte{tail(10, 15), tail(15, all)}},
			{"the block is whole, and the full tail still there", rec(15), [][]byte{tail(10, 15), tail(15, all)}},
			{"the full tail is gone", rec(15), [][]byte{nil, tail(15, all)}},
			{"everything is finished, and the tails still there", rec(all), [][]byte{tail(10, 15), tail(15, all)}},
			{"the next tail has a header and no frame", rec(all), [][]byte{nil, tail(all, all)}},
			{"the next tail has half a header", rec(all), [][]byte{nil, tail(all, all)[:30]}},
		} {
			got, err := join(f.opener, test.rec, test.tails...)
			if err != nil {
				t.Errorf("%s, %s: %v", f.name, test.name, err)
				continue
			}
			if !equal(got, want) {
				t.Errorf("%s, %s: %d frames, want %d", f.name, test.name, len(got), len(want))
			}
			// Somebody without the key makes one file of them all the same.
			if f.header.Encrypted() {
				merges(t, f, nil, test.rec, test.tails...)
			}
			merges(t, f, f.opener, test.rec, test.tails...)
		}
	}
}

// merges checks that WriteTo, by who has the key o, makes one file of all frames.
func merges(t *testing.T, f form, o Opener, rec []byte, tails ...[]byte) {
	t.Helper()
	r, err := joined(o, rec, tails...)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	n, err := r.WriteTo(&out)
	if err != nil || n != int64(out.Len()) {
		t.Fatalf("%d of %d bytes, %v", n, out.Len(), err)
	}
	if !bytes.HasPrefix(out.Bytes(), rec[:r.Finished()]) {
		t.Fatal("the finished part is not as it was")
	}
	got, err := join(f.opener, out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, stored(sample()))
}

func TestFilesThatDoNotBelongTogetherAreRefused(t *testing.T) {
	for _, f := range forms {
		rec := func(n int) []byte { return finished(f, n) }
		tail := func(from, to int) []byte { return tailOf(f, sample(), from, to) }
		all := len(sample())
		elsewhere, earlier := sampleMeta, sampleMeta
		elsewhere.Session, earlier.Started = "7kq2-m9x4e", earlier.Started-1
		other := func(m Meta) []byte { return tailOf(newForm("", m, f.header.Wrapped), sample(), 9, all) }
		for _, test := range []struct {
			name  string
			rec   []byte
			tails [][]byte
		}{
			{"nothing", nil, nil},
			{"a tail without a header", nil, [][]byte{{1, 2, 3}}},
			{"a tail of another session", rec(9), [][]byte{other(elsewhere)}},
			{"a tail of another start", rec(9), [][]byte{other(earlier)}},
			{"a tail of another content key", rec(9), [][]byte{func() []byte {
				g := f
				g.key = NewContentKey()
				g.header, _ = NewHeader(sampleMeta, g.key, []byte("another age file"))
				return tailOf(g, sample(), 9, all)
			}()}},
			{"frames left out between finished part and tail", rec(9), [][]byte{tail(10, all)}},
			{"frames left out between the tails", nil, [][]byte{tail(1, 9), tail(10, all)}},
			{"frames left out before a tail that has none", rec(9), [][]byte{tail(20, 20)}},
			{"the tail in the place of the finished part", tail(1, all), nil},
			{"the finished part in the place of the tail", nil, [][]byte{rec(all)}},
			{"a full tail that was cut, with another behind it", nil, [][]byte{tail(1, 9)[:len(tail(1, 9))-3], tail(9, all)}},
			{"a cut block whose frames no tail has", rec(10)[:len(rec(10))-3], [][]byte{nil}},
			{"a sealed recording, and a tail that goes on", func() []byte {
				b, c := recOf(NewPacker(), f, stored(sample())[:9], 5)
				return sealed(f, b, c, EndCut)
			}(), [][]byte{tail(9, all)}},
		} {
			var damage *DamageError
			if got, err := join(f.opener, test.rec, test.tails...); !errors.As(err, &damage) {
				t.Errorf("%s, %s: %d frames, %v", f.name, test.name, len(got), err)
			}
			r, err := joined(nil, test.rec, test.tails...)
			if err == nil {
				_, err = r.WriteTo(new(bytes.Buffer))
			}
			if !errors.As(err, &damage) {
				t.Errorf("%s, %s: made into one file: %v", f.name, test.name, err)
			}
		}
	}
}

func TestSeekFindsTheFirstFrameAtOrAfterATime(t *testing.T) {
	frames := stored(sample())
	for _, f := range forms {
		for split := 1; split <= len(frames); split++ {
			var rec []byte
			if split > 1 {
				rec, _ = recOf(NewPacker(), f, frames[:split], 4)
			}
			r, err := joined(f.opener, rec, tailOf(f, sample(), split, len(frames)))
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
}

func TestSeekFindsItsWayInRawBlocks(t *testing.T) {
	frames := stored(sample())
	b, _ := rawOf(secret, sample(), 4)
	r, err := joined(secret.opener, b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range frames {
		if err := r.Seek(frames[i].At); err != nil {
			t.Fatal(err)
		}
		got, err := drain(r)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, frames[i:])
	}
}

func TestALockedRecordingTellsWhoAndNothingElse(t *testing.T) {
	rec := finished(secret, 9)
	for name, o := range map[string]Opener{"no opener": nil, "another recording's key": Holding(NewContentKey()), "a zero key": Holding(ContentKey{})} {
		r, err := joined(o, rec, tailOf(secret, sample(), 9, len(sample())))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !r.Encrypted() || !r.Locked() || r.Meta().Identity != "you@example.com" || string(r.WrappedKey()) != "an age file" {
			t.Errorf("%s: %+v", name, r.Meta())
		}
		if _, ok := r.ContentKey(); ok {
			t.Errorf("%s: it has a key", name)
		}
		if _, err := r.Next(); fault.ReasonOf(err) != fault.RecordingLocked {
			t.Errorf("%s: next: %v", name, err)
		}
		if err := r.Seek(time.Second); fault.ReasonOf(err) != fault.RecordingLocked {
			t.Errorf("%s: seek: %v", name, err)
		}
	}
}

func TestOpenDirTakesASessionsFilesTogether(t *testing.T) {
	frames, dir := stored(sample()), t.TempDir()
	base := filepath.Join(dir, string(sampleMeta.Session))
	write := func(suffix string, b []byte) {
		t.Helper()
		if err := os.WriteFile(base+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := OpenDir(dir, sampleMeta.Session, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before there is any: %v", err)
	}
	write(SuffixTail, tailOf(secret, sample(), 15, len(frames)))
	write(SuffixFull, tailOf(secret, sample(), 10, 15))
	write(SuffixRec, finished(secret, 10))
	for name, open := range map[string]func() (*Recording, error){
		"by its session":       func() (*Recording, error) { return OpenDir(dir, sampleMeta.Session, secret.opener) },
		"by its finished part": func() (*Recording, error) { return OpenFile(base+SuffixRec, secret.opener) },
		"by its tail":          func() (*Recording, error) { return OpenFile(base+SuffixTail, secret.opener) },
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
	if _, err := OpenDir(dir, "../../etc/x", nil); err == nil {
		t.Error("a path for a session was opened")
	}
	if err := os.Rename(base+SuffixRec, filepath.Join(dir, "7kq2-m9x4e"+SuffixRec)); err != nil {
		t.Fatal(err)
	}
	var damage *DamageError
	if _, err := OpenDir(dir, "7kq2-m9x4e", nil); !errors.As(err, &damage) {
		t.Errorf("a recording under another's name: %v", err)
	}
}
