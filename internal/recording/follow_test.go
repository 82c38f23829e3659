package recording

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestAFollowerGetsEveryFrameOnce while frames move through the three files, in
// the steps that a recorder takes, and whatever the moment at which it looks.
func TestAFollowerGetsEveryFrameOnce(t *testing.T) {
	want := stored(sample())
	all := len(want)
	for _, f := range forms {
		dir := t.TempDir()
		base := filepath.Join(dir, string(sampleMeta.Session))
		write := func(suffix string, b []byte) {
			t.Helper()
			// As a recorder: under another name, so that nobody sees half a file.
			if err := errors.Join(os.WriteFile(base+".new", b, 0o600), os.Rename(base+".new", base+suffix)); err != nil {
				t.Fatal(err)
			}
		}
		rec, chain := recOf(NewPacker(), f, want, 5)
		steps := []func(){
			func() { write(SuffixTail, tailOf(f, sample(), 1, 7)) },
			func() { // half a frame
				b := tailOf(f, sample(), 1, 9)
				write(SuffixTail, b[:len(b)-4])
			},
			func() { write(SuffixTail, tailOf(f, sample(), 1, 10)) },
			func() {
				os.Rename(base+SuffixTail, base+SuffixFull)
				write(SuffixTail, tailOf(f, sample(), 10, 13))
			},
			func() { write(SuffixRec, finished(f, 10)) },
			func() { os.Remove(base + SuffixFull) },
			func() { write(SuffixTail, tailOf(f, sample(), 10, 20)) },
			func() { // two rotations while nobody looked
				write(SuffixRec, finished(f, 25))
				write(SuffixTail, tailOf(f, sample(), 25, all))
			},
			func() {
				write(SuffixRec, sealed(f, rec, chain, EndClosed))
				os.Remove(base + SuffixTail)
			},
		}
		steps[0]()
		follower, err := Follow(dir, sampleMeta.Session, f.opener)
		if err != nil {
			t.Fatal(err)
		}
		var got []Frame
		for i := 1; ; {
			ctx, cancel := context.WithTimeout(t.Context(), 2*followEvery)
			frame, err := follower.Next(ctx)
			cancel()
			if err == nil {
				frame.Payload = bytes.Clone(frame.Payload)
				got = append(got, frame)
				continue
			}
			if err == io.EOF {
				break
			}
			if !errors.Is(err, context.DeadlineExceeded) || !follower.Live() || i == len(steps) {
				t.Fatalf("%s, after step %d and %d frames: %v", f.name, i, len(got), err)
			}
			steps[i]()
			i++
		}
		same(t, got, want)
		if _, err := follower.Next(t.Context()); err != io.EOF {
			t.Errorf("after the end: %v", err)
		}
		if err := follower.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAFollowerJoinsWithTheRightScreen, and from there gets what came since.
func TestAFollowerJoinsWithTheRightScreen(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, string(sampleMeta.Session))
	want := stored(sample())
	p := NewPacker()
	b := secret.header.Append(nil)
	if err := p.Start(secret.header, testKey, secret.header.Chain()); err != nil {
		t.Fatal(err)
	}
	screen := Screen{Channel: 1, Columns: 120, Rows: 36, ANSI: []byte("\x1b[2J\x1b[H$ ")}
	for i, f := range want[1:20] {
		if i == 5 || i == 12 {
			b = p.Block(b)
			p.SetScreens([]Screen{{Channel: 1, Columns: 80, Rows: 24}, screen}[i/12:])
		}
		if i == 15 {
			b = p.Block(b) // a block of which nobody knows the screens
		}
		p.Add(f)
	}
	b = p.Block(b)
	if err := errors.Join(os.WriteFile(base+SuffixRec, b, 0o600), os.WriteFile(base+SuffixTail, tailOf(secret, sample(), 20, 25), 0o600)); err != nil {
		t.Fatal(err)
	}
	follower, err := Follow(dir, sampleMeta.Session, secret.opener)
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	if s := follower.Screens(); len(s) != 1 || s[0].Channel != 1 || s[0].Columns != 120 || s[0].Rows != 36 || !bytes.Equal(s[0].ANSI, screen.ANSI) {
		t.Errorf("screens: %+v", s)
	}
	var got []Frame
	for !follower.Live() {
		ctx, cancel := context.WithTimeout(t.Context(), followEvery)
		f, err := follower.Next(ctx)
		cancel()
		if err != nil {
			break
		}
		f.Payload = bytes.Clone(f.Payload)
		got = append(got, f)
	}
	same(t, got, want[13:25])

	// The same by time, in a recording that is not live any more.
	r, err := OpenDir(dir, sampleMeta.Session, secret.opener)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, first := range map[int]uint64{1: 0, 5: 0, 6: 6, 12: 6, 13: 13, 18: 13, 24: 13} {
		if err := r.SeekScreen(want[i].At); err != nil {
			t.Fatal(err)
		}
		screens, known := r.Screens()
		f, err := r.Next()
		if err != nil || f.Number != first || known != (first != 0) || known && len(screens) == 0 {
			t.Errorf("to frame %d: frame %d, screens %v %v, %v", i, f.Number, screens, known, err)
		}
	}
}

func TestAFollowerEnds(t *testing.T) {
	dir := t.TempDir()
	if _, err := Follow(dir, sampleMeta.Session, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("where there is nothing: %v", err)
	}
	base := filepath.Join(dir, string(sampleMeta.Session))
	if err := os.WriteFile(base+SuffixTail, tailOf(plain, sample(), 1, 7), 0o600); err != nil {
		t.Fatal(err)
	}
	follower, err := Follow(dir, sampleMeta.Session, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	for range 7 {
		if _, err := follower.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := follower.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("whose viewer left: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := os.Remove(base + SuffixTail); err != nil {
		t.Fatal(err)
	}
	if _, err := follower.Next(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("whose recording was taken away: %v", err)
	}
}
