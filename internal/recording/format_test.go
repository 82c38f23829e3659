package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestEveryFormGivesTheFramesBack(t *testing.T) {
	frames := sample()
	for _, each := range []int{1, 2, 7, len(frames)} {
		for name, packer := range map[string]*Packer{"zstd": NewPacker(), "plain": {}} {
			rec := recOf(packer, testHeader, frames, each)
			got, err := stream(rec)
			if err != nil {
				t.Fatalf("%s, %d in a block, as a stream: %v", name, each, err)
			}
			same(t, got, frames)
			if got, err = join(rec); err != nil {
				t.Fatalf("%s, %d in a block, as a file: %v", name, each, err)
			}
			same(t, got, frames)
		}
	}
	got, err := join(nil, tailOf(testHeader, 0, frames))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, frames)
}

// TestAFlippedBitIsNamedWhereverItIs flips every bit of a small recording in
// each of its forms. A reader may return the frames before the damage; then
// comes an error that names the place.
func TestAFlippedBitIsNamedWhereverItIs(t *testing.T) {
	frames := sample()
	forms := []struct {
		name string
		file []byte
		read func([]byte) ([]Frame, error)
	}{
		{"finished part as a stream", recOf(NewPacker(), testHeader, frames, 7), stream},
		{"finished part as a file", recOf(NewPacker(), testHeader, frames, 7), func(b []byte) ([]Frame, error) { return join(b) }},
		{"plain blocks", recOf(&Packer{}, testHeader, frames, 9), stream},
		{"tail", tailOf(testHeader, 0, frames), func(b []byte) ([]Frame, error) { return join(nil, b) }},
		{"tail behind a finished part", tailOf(testHeader, 9, frames[9:]), func(b []byte) ([]Frame, error) {
			return join(recOf(NewPacker(), testHeader, frames[:9], 4), b)
		}},
	}
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			for i := range form.file {
				for bit := range 8 {
					b := bytes.Clone(form.file)
					b[i] ^= 1 << bit
					got, err := form.read(b)
					var damage *DamageError
					if !errors.As(err, &damage) {
						t.Fatalf("bit %d of byte %d of %d: %d frames, %v", bit, i, len(b), len(got), err)
					}
					if len(got) > len(frames) || !equal(got, frames[:len(got)]) {
						t.Fatalf("bit %d of byte %d of %d: frames before the damage differ", bit, i, len(b))
					}
					if damage.Where == "" || damage.What == "" || !strings.Contains(err.Error(), damage.Where) {
						t.Fatalf("bit %d of byte %d: %v names no place", bit, i, err)
					}
				}
			}
		})
	}
}

// TestACutFinishedPartIsAPrefixOrAnError: between two blocks a cut cannot be seen
// (the seal's job), everywhere else it is named.
func TestACutFinishedPartIsAPrefixOrAnError(t *testing.T) {
	frames := sample()
	rec := recOf(NewPacker(), testHeader, frames, 5)
	for n := range rec {
		for _, read := range []func([]byte) ([]Frame, error){stream, func(b []byte) ([]Frame, error) { return join(b) }} {
			got, err := read(rec[:n])
			if !equal(got, frames[:len(got)]) {
				t.Fatalf("cut at %d: frames differ", n)
			}
			if err == nil && len(got)%5 != 0 {
				t.Fatalf("cut at %d of %d: %d frames and no error", n, len(rec), len(got))
			}
		}
	}
}

// TestACutTailLosesOnlyTheFrameThatWasCut: the write of that one had not returned.
func TestACutTailLosesOnlyTheFrameThatWasCut(t *testing.T) {
	frames := sample()
	tail := tailOf(testHeader, 0, frames)
	whole, next := 0, HeaderSize+FrameHeaderSize+len(frames[0].Payload)
	for n := HeaderSize; n <= len(tail); n++ {
		if n == next {
			if whole++; whole < len(frames) {
				next += FrameHeaderSize + len(frames[whole].Payload)
			}
		}
		got, err := join(nil, tail[:n])
		if err != nil || len(got) != whole || !equal(got, frames[:whole]) {
			t.Fatalf("cut at %d of %d: %d frames, want %d: %v", n, len(tail), len(got), whole, err)
		}
	}
}

// TestZerosBehindTheLastFrameAreNoDamage: a power cut may leave a file's new size
// without its new data.
func TestZerosBehindTheLastFrameAreNoDamage(t *testing.T) {
	frames := sample()
	tail := tailOf(testHeader, 0, frames)
	got, err := join(nil, append(bytes.Clone(tail), make([]byte, 9000)...))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, frames)
	var damage *DamageError
	if _, err := join(nil, append(append(bytes.Clone(tail), make([]byte, 9000)...), 1)); !errors.As(err, &damage) {
		t.Errorf("zeros in the middle: %v", err)
	}
}

// reseal puts the right checksums on a damaged header, as somebody would who
// means harm.
func reseal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[52:], Checksum(b[:52]))
	return b
}

func TestHeadersThatAreRefused(t *testing.T) {
	frames := sample()
	change := func(offset int, bytes ...byte) []byte {
		b := recOf(NewPacker(), testHeader, frames, 100)
		copy(b[offset:], bytes)
		return reseal(b)
	}
	for name, file := range map[string][]byte{
		"no file at all":                       {},
		"somebody's text":                      []byte(strings.Repeat("not a recording\n", 10)),
		"a file whose line ends were fixed":    bytes.ReplaceAll(change(0), []byte("\r\n"), []byte("\n")),
		"a later version":                      change(8, 0, 2),
		"a cipher":                             change(10, 0, 1),
		"a chain":                              change(12, 0, 1),
		"a seal":                               change(14, 0, 1),
		"recipients":                           change(48, 0, 0, 0, 1),
		"a session that is no name":            change(16, '/', '.'),
		"a session with something after it":    change(31, 'x'),
		"a first frame that is not the first":  change(40, 0, 0, 0, 0, 0, 0, 0, 1),
		"a tail where a finished part belongs": tailOf(testHeader, 0, frames),
	} {
		var damage *DamageError
		if _, err := stream(file); !errors.As(err, &damage) || damage.Where != "header" {
			t.Errorf("%s, as a stream: %v", name, err)
		}
		if _, err := join(file); !errors.As(err, &damage) || damage.Where != "header" {
			t.Errorf("%s, as a file: %v", name, err)
		}
	}
}

// lie changes a block's header and puts the right checksums on it.
func lie(file []byte, h func(*block)) []byte {
	b := bytes.Clone(file)
	var header block
	seed := testHeader.Seed()
	header.parse(b[HeaderSize:], seed)
	h(&header)
	header.put(b[HeaderSize:], seed)
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Update(header.sum, castagnoli, b[HeaderSize+BlockHeaderSize:len(b)-4]))
	return b
}

func TestBlocksThatLie(t *testing.T) {
	frames := sample()
	plain := recOf(&Packer{}, testHeader, frames, 100)
	packed := recOf(NewPacker(), testHeader, frames, 100)
	tests := []struct {
		name string
		file []byte
	}{
		{"a body larger than any block", lie(packed, func(b *block) { b.body = MaxBlock + 1 })},
		{"stored bytes larger than any block", lie(packed, func(b *block) { b.stored = 1<<32 - 1 })},
		{"a body larger than what it decompresses to", lie(packed, func(b *block) { b.body++ })},
		{"a body smaller than what it decompresses to", lie(packed, func(b *block) { b.body-- })},
		{"plain bytes of another length", lie(plain, func(b *block) { b.body-- })},
		{"plain bytes that are called compressed", lie(plain, func(b *block) { b.kind = blockZstd })},
		{"compressed bytes that are called plain", lie(packed, func(b *block) { b.kind, b.body = blockPlain, b.stored })},
		{"a type that does not exist", lie(plain, func(b *block) { b.kind = 3 })},
		{"no frames", lie(plain, func(b *block) { b.frames = 0 })},
		{"one frame too few", lie(plain, func(b *block) { b.frames-- })},
		{"one frame too many", lie(plain, func(b *block) { b.frames++ })},
		{"four thousand million frames", lie(plain, func(b *block) { b.frames = 1<<32 - 1 })},
		{"a first frame that is not the next", lie(plain, func(b *block) { b.first = 1 })},
		{"a first time after its frames", lie(plain, func(b *block) { b.start += time.Second })},
		{"a last time after its frames", lie(plain, func(b *block) { b.last += time.Second })},
		{"a last time before its first", lie(plain, func(b *block) { b.start, b.last = time.Hour, 0 })},
		{"a time that overflows", lie(plain, func(b *block) { b.last = 1 << 62 })},
	}
	for _, test := range tests {
		for how, read := range map[string]func([]byte) ([]Frame, error){"stream": stream, "file": func(b []byte) ([]Frame, error) { return join(b) }} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := read(test.file)
			runtime.ReadMemStats(&after)
			var damage *DamageError
			if !errors.As(err, &damage) || damage.Where != "block" {
				t.Errorf("%s, %s: %d frames, %v", test.name, how, len(got), err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 3*MaxBlock {
				t.Errorf("%s, %s: allocated %d bytes", test.name, how, grown)
			}
		}
	}
}

func TestFramesOfTailsThatLie(t *testing.T) {
	frames := sample()
	h := testHeader
	forge := func(f Frame, change func([]byte)) []byte {
		b := tailOf(h, 0, frames[:1])
		head := make([]byte, FrameHeaderSize)
		PutFrameHeader(head, h.Seed(), &f, Checksum(f.Payload))
		change(head)
		binary.BigEndian.PutUint32(head[32:], crc32.Update(h.Seed(), castagnoli, head[:32]))
		return append(append(b, head...), f.Payload...)
	}
	good := Frame{Number: 1, At: time.Second, Channel: 1, Kind: KindOutput, Payload: []byte("x")}
	for name, file := range map[string][]byte{
		"a payload of 4 GiB":              forge(good, func(b []byte) { copy(b[20:], "\xff\xff\xff\xff") }),
		"reserved bytes":                  forge(good, func(b []byte) { b[26] = 1 }),
		"a number that overflows":         forge(good, func(b []byte) { copy(b, "\xff\xff\xff\xff\xff\xff\xff\xff") }),
		"no kind":                         forge(good, func(b []byte) { b[24] = 0 }),
		"a time before the frame before":  tailOf(h, 0, []Frame{{Number: 0, At: time.Second, Kind: KindSession}, {Number: 1, Kind: KindOutput}}),
		"a time that overflows":           forge(good, func(b []byte) { b[8] = 0x7f }),
		"a frame twice":                   tailOf(h, 0, []Frame{frames[0], frames[0]}),
		"a frame left out":                tailOf(h, 0, []Frame{frames[0], frames[2]}),
		"two frames exchanged":            tailOf(h, 0, []Frame{frames[0], frames[2], frames[1]}),
		"no session in frame 0":           tailOf(h, 0, []Frame{{Kind: KindOutput}}),
		"a second session":                tailOf(h, 0, []Frame{frames[0], {Number: 1, Kind: KindSession}}),
		"a frame behind the end":          tailOf(h, 0, []Frame{frames[0], {Number: 1, Kind: KindEnd}, {Number: 2, Kind: KindOutput}}),
		"a second end":                    tailOf(h, 0, []Frame{frames[0], {Number: 1, Kind: KindEnd}, {Number: 2, Kind: KindEnd}}),
		"a frame of another recording":    append(tailOf(h, 0, frames[:1]), tailOf(Header{Session: "7kq2-m9x4e", Started: h.Started}, 1, frames[1:2])[HeaderSize:]...),
		"a frame of an earlier recording": append(tailOf(h, 0, frames[:1]), tailOf(Header{Session: h.Session, Started: h.Started.Add(-time.Second)}, 1, frames[1:2])[HeaderSize:]...),
	} {
		var damage *DamageError
		if got, err := join(nil, file); !errors.As(err, &damage) || damage.Where != "frame" {
			t.Errorf("%s: %d frames, %v", name, len(got), err)
		}
	}
}

func TestABlockOfAnotherRecordingIsRefused(t *testing.T) {
	frames := sample()
	mine := recOf(NewPacker(), testHeader, frames, 100)
	other := recOf(NewPacker(), Header{Session: "7kq2-m9x4e", Started: testHeader.Started}, frames, 100)
	var damage *DamageError
	if _, err := stream(append(mine[:HeaderSize:HeaderSize], other[HeaderSize:]...)); !errors.As(err, &damage) {
		t.Errorf("%v", err)
	}
}

func TestDamageNamesItsPlace(t *testing.T) {
	frames := sample()
	rec := recOf(NewPacker(), testHeader, frames, 5)
	r, err := Join(at(rec))
	if err != nil {
		t.Fatal(err)
	}
	place := r.places[2].offset
	rec[place+BlockHeaderSize+3] ^= 1
	_, err = stream(rec)
	want := fmt.Sprintf("recording is damaged: block 2 at byte %d: its checksum is wrong", place)
	if err == nil || err.Error() != want {
		t.Errorf("stream: %v, want %s", err, want)
	}
	if _, err = join(rec); err == nil || err.Error() != want {
		t.Errorf("file: %v, want %s", err, want)
	}
}
