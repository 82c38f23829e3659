package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestEveryFormGivesTheFramesBack(t *testing.T) {
	want := stored(sample())
	for _, f := range forms {
		for _, each := range []int{1, 2, 7, len(want)} {
			for name, packer := range map[string]*Packer{"zstd": NewPacker(), "plain": {}} {
				rec, chain := recOf(packer, f, want, each)
				for _, file := range [][]byte{rec, sealed(f, rec, chain, EndClosed)} {
					got, err := join(f.opener, file)
					if err != nil {
						t.Fatalf("%s, %s, %d in a block: %v", f.name, name, each, err)
					}
					same(t, got, want)
				}
			}
			raw, _ := rawOf(f, sample(), each)
			got, err := join(f.opener, raw)
			if err != nil {
				t.Fatalf("%s, raw, %d in a block: %v", f.name, each, err)
			}
			same(t, got, want)
		}
		got, err := join(f.opener, nil, tailOf(f, sample(), 1, len(want)))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
	}
}

// TestNothingOfAnEncryptedRecordingCanBeReadWithoutItsKey: neither what was said
// nor when nor on which channel. Who it was stands in the header on purpose.
func TestNothingOfAnEncryptedRecordingCanBeReadWithoutItsKey(t *testing.T) {
	frames := sample()
	rec, _ := recOf(&Packer{}, secret, stored(frames), 7)
	raw, _ := rawOf(secret, frames, 7)
	files := [][]byte{rec, raw, tailOf(secret, frames, 1, len(frames))}
	for _, file := range files {
		for _, what := range []string{"window-change", "0123456789abcdef", "tar c /srv", "closed", "This session"} {
			if bytes.Contains(file, []byte(what)) {
				t.Errorf("%q stands in clear", what)
			}
		}
	}
}

// TestACutTailLosesOnlyTheFrameThatWasCut: the write of that one had not returned.
func TestACutTailLosesOnlyTheFrameThatWasCut(t *testing.T) {
	frames, want := sample(), stored(sample())
	for _, f := range forms {
		tail := tailOf(f, frames, 1, len(frames))
		whole := 1
		for n := int(f.header.Size()); n <= len(tail); n++ {
			if whole < len(frames) && n == len(tailOf(f, frames, 1, whole+1)) {
				whole++
			}
			got, err := join(f.opener, nil, tail[:n])
			if err != nil || !equal(got, want[:whole]) {
				t.Fatalf("%s, cut at %d of %d: %d frames, want %d: %v", f.name, n, len(tail), len(got), whole, err)
			}
		}
	}
}

// TestZerosBehindTheLastFrameAreNoDamage: a power cut may leave a file's new size
// without its new data.
func TestZerosBehindTheLastFrameAreNoDamage(t *testing.T) {
	for _, f := range forms {
		tail := tailOf(f, sample(), 1, len(sample()))
		got, err := join(f.opener, nil, append(bytes.Clone(tail), make([]byte, 9000)...))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, stored(sample()))
		var damage *DamageError
		if _, err := join(f.opener, nil, append(append(bytes.Clone(tail), make([]byte, 9000)...), 1)); !errors.As(err, &damage) {
			t.Errorf("%s, zeros in the middle: %v", f.name, err)
		}
	}
}

// reseal puts the right checksums on a damaged header, as somebody would who
// means harm.
func reseal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[100:], Checksum(b[:100]))
	return b
}

func TestHeadersThatAreRefused(t *testing.T) {
	frames := stored(sample())
	change := func(f form, offset int, bytes ...byte) []byte {
		b, _ := recOf(NewPacker(), f, frames, 100)
		copy(b[offset:], bytes)
		return reseal(b)
	}
	preface := func(old, with string) []byte {
		h := plain.header
		h.Meta = bytes.Replace(h.Meta, []byte(old), []byte(with), 1)
		return h.Append(nil)
	}
	first := make([]byte, 64)
	copy(first, "\x89SPR\r\n\x1a\n\x00\x01")
	for _, test := range []struct {
		name string
		file []byte
		how  Damage
	}{
		{"no file at all", []byte{}, Truncated},
		{"half a header", change(plain, 0)[:50], Truncated},
		{"half a preface", change(plain, 0)[:HeaderSize+10], Truncated},
		{"somebody's text", []byte(strings.Repeat("not a recording\n", 10)), Malformed},
		{"a file whose line ends were fixed", bytes.ReplaceAll(change(plain, 0), []byte("\r\n"), []byte("\n")), Malformed},
		{"version 1, which was never released", append(first, make([]byte, 64)...), OldVersion},
		{"a later version", change(plain, 8, 0, 3), Malformed},
		{"a cipher that does not exist", change(secret, 10, 0, 2), Malformed},
		{"a cipher without a key", change(plain, 10, 0, 1), Malformed},
		{"a key without a cipher", change(secret, 10, 0, 0), Malformed},
		{"no meta", change(plain, 12, 0, 0, 0, 0), Malformed},
		{"a meta of 4 GiB", change(plain, 12, 0xff, 0xff, 0xff, 0xff), Malformed},
		{"a wrapped key of 4 GiB", change(secret, 48, 0xff, 0xff, 0xff, 0xff), Malformed},
		{"a commitment in clear", change(plain, 68, 1), Malformed},
		{"a tag where no tail is", change(secret, 52, 1), Malformed},
		{"a session that is no name", change(plain, 16, '/', '.'), Malformed},
		{"a session with something after it", change(plain, 31, 'x'), Malformed},
		{"a first frame that is not the first", change(plain, 40, 0, 0, 0, 0, 0, 0, 0, 1), Malformed},
		{"a start that is not the meta's", change(plain, 32, 0, 0, 0), Changed},
		{"a meta that was changed", bytes.Replace(change(plain, 0), []byte("deploy"), []byte("root  "), 1), Changed},
		{"a meta that is no JSON", preface(`{`, `[`), Malformed},
		{"a meta of another session", preface("7kq2-m9x4d", "7kq2-m9x4e"), Malformed},
		{"a meta of another start", preface("1772460131123456", "1772460131123457"), Malformed},
		{"a tail where a finished part belongs", tailOf(plain, sample(), 1, 5), Malformed},
	} {
		var damage *DamageError
		if _, err := join(nil, test.file); !errors.As(err, &damage) || damage.Where != "header" || damage.How != test.how {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// lie changes the header of the only block of a file in clear, and puts right
// checksums and the right digest on it.
func lie(file []byte, change func(*block)) []byte {
	f := plain
	b := bytes.Clone(file)
	start := int(f.header.Size())
	var h block
	keys := newKeyring(f.header, ContentKey{})
	if _, what := h.parse(b[start:], &keys); what != "" {
		panic(what)
	}
	change(&h)
	stored := b[start+BlockHeaderSize : len(b)-trailerSize]
	h.fixed(b[start:], &keys)
	h.finish(b[start:], stored)
	d := link(f.header.Digest(), b[start:start+BlockHeaderSize], stored)
	copy(b[len(b)-trailerSize:], d[:])
	return b
}

func TestBlocksThatLie(t *testing.T) {
	frames := stored(sample())
	flat, _ := recOf(&Packer{}, plain, frames, 100)
	packed, _ := recOf(NewPacker(), plain, frames, 100)
	raw, _ := rawOf(plain, sample(), 100)
	for _, test := range []struct {
		name string
		file []byte
	}{
		{"a body larger than any block", lie(packed, func(b *block) { b.body = MaxBlock + 1 })},
		{"stored bytes larger than any block", lie(packed, func(b *block) { b.stored = 1<<32 - 1 })},
		{"a body larger than what it decompresses to", lie(packed, func(b *block) { b.body++ })},
		{"a body smaller than what it decompresses to", lie(packed, func(b *block) { b.body-- })},
		{"plain bytes of another length", lie(flat, func(b *block) { b.body-- })},
		{"plain bytes that are called compressed", lie(flat, func(b *block) { b.kind = blockZstd })},
		{"compressed bytes that are called plain", lie(packed, func(b *block) { b.kind, b.body = blockPlain, b.stored })},
		{"columns that are called raw", lie(flat, func(b *block) { b.kind = blockRaw })},
		{"raw records that are called columns", lie(raw, func(b *block) { b.kind = blockPlain })},
		{"a raw block with screens", lie(raw, func(b *block) { b.screens = true })},
		{"a raw block with a record too few", lie(raw, func(b *block) { b.frames-- })},
		{"a raw block with a record too many", lie(raw, func(b *block) { b.frames++ })},
		{"screens that are not there", lie(flat, func(b *block) { b.screens = true })},
		{"a type that does not exist", lie(flat, func(b *block) { b.kind = 5 })},
		{"no frames", lie(flat, func(b *block) { b.frames = 0 })},
		{"one frame too few", lie(flat, func(b *block) { b.frames-- })},
		{"one frame too many", lie(flat, func(b *block) { b.frames++ })},
		{"four thousand million frames", lie(flat, func(b *block) { b.frames = 1<<32 - 1 })},
		{"a first frame that is not the next", lie(flat, func(b *block) { b.first = 2 })},
		{"frame 0, which stands in the header", lie(flat, func(b *block) { b.first = 0 })},
		{"a first time after its frames", lie(flat, func(b *block) { b.start += time.Second })},
		{"a last time after its frames", lie(flat, func(b *block) { b.last += time.Second })},
		{"a last time before its first", lie(flat, func(b *block) { b.start, b.last = time.Hour, 0 })},
		{"a time that overflows", lie(flat, func(b *block) { b.last = 1 << 62 })},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := join(nil, test.file)
		runtime.ReadMemStats(&after)
		var damage *DamageError
		if !errors.As(err, &damage) || damage.Where != "block" {
			t.Errorf("%s: %d frames, %v", test.name, len(got), err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 3*MaxBlock {
			t.Errorf("%s: allocated %d bytes", test.name, grown)
		}
	}
}

func TestFramesOfTailsThatLie(t *testing.T) {
	frames := sample()
	tail := func(list ...Frame) []byte {
		b := plain.header.ForTail(1, Tag{}).Append(nil)
		for _, f := range list {
			w, _ := NewTailWriter(plain.header, testKey)
			w.next = f.Number
			b = w.Append(b, &f)
		}
		return b
	}
	good := Frame{Number: 1, At: time.Second, Channel: 1, Kind: KindOutput, Payload: []byte("x")}
	forge := func(change func(head, body []byte)) []byte {
		b := tail(good)
		record := b[plain.header.Size():]
		change(record, record[RecordHeaderSize:])
		binary.BigEndian.PutUint32(record[16:], Checksum(record[RecordHeaderSize:]))
		binary.BigEndian.PutUint32(record[20:], Checksum(record[:20]))
		return b
	}
	end := func(n uint64) Frame { return Frame{Number: n, At: time.Second, Kind: KindEnd} }
	later := good
	later.Number = 2
	for _, test := range []struct {
		name string
		file []byte
		how  Damage
	}{
		{"a payload of 4 GiB", forge(func(h, _ []byte) { copy(h[8:], "\xff\xff\xff\xff") }), Malformed},
		{"a body without a frame's head", forge(func(h, _ []byte) { copy(h[8:], "\x00\x00\x00\x05") }), Malformed},
		{"a number that overflows", forge(func(h, _ []byte) { copy(h, "\xff\xff\xff\xff\xff\xff\xff\xff") }), Removed},
		{"a record of another recording", forge(func(h, _ []byte) { h[12]++ }), Foreign},
		{"no kind", forge(func(_, b []byte) { b[12] = 0 }), Malformed},
		{"a time before the frame before", tail(good, Frame{Number: 2, Kind: KindOutput}), Malformed},
		{"a time that overflows", forge(func(_, b []byte) { b[0] = 0x7f }), Malformed},
		{"a frame twice", tail(good, good), Repeated},
		{"a frame left out", tail(frames[1], frames[3]), Removed},
		{"two frames exchanged", tail(frames[2], frames[1]), Removed},
		{"a second session", tail(Frame{Number: 1, Kind: KindSession}), Malformed},
		{"a frame behind the end", tail(end(1), later), AfterEnd},
		{"a second end", tail(end(1), end(2)), SecondEnd},
	} {
		var damage *DamageError
		if got, err := join(nil, nil, test.file); !errors.As(err, &damage) || damage.Where != "frame" || damage.How != test.how {
			t.Errorf("%s: %d frames, %v", test.name, len(got), err)
		}
	}
}

func TestDamageNamesItsPlace(t *testing.T) {
	rec, _ := recOf(NewPacker(), plain, stored(sample()), 5)
	r, err := joined(nil, rec)
	if err != nil {
		t.Fatal(err)
	}
	place := r.index.places[2].offset
	rec[place+BlockHeaderSize+3] ^= 1
	_, err = join(nil, rec)
	want := fmt.Sprintf("recording is damaged: block 2 at byte %d: its stored bytes were changed", place)
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
