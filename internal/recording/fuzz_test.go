package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// harmless reads frames that a fuzzer made, and fails on anything but frames in
// order and a named error.
func harmless(t *testing.T, r Frames, err error) []Frame {
	t.Helper()
	var got []Frame
	if err == nil {
		got, err = drain(r)
	}
	named(t, err)
	for i, f := range got {
		if i > 0 && (f.Number != got[i-1].Number+1 || f.At < got[i-1].At) || len(f.Payload) > MaxPayload+HeaderSize || f.Kind == 0 {
			t.Fatalf("frame %d: %+v", i, f)
		}
	}
	return got
}

// named fails on an error that is no damage.
func named(t *testing.T, err error) {
	t.Helper()
	var damage *DamageError
	if err != nil && !errors.As(err, &damage) {
		t.Fatalf("an error without a place: %v", err)
	}
	if err != nil && (damage.How == "" || damage.Where == "" || damage.What == "") {
		t.Fatalf("damage without a name: %+v", damage)
	}
}

func FuzzHeader(f *testing.F) {
	for _, form := range forms {
		f.Add(form.header.Append(nil))
		f.Add(form.header.ForTail(9, Tag{1}).Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		if len(b) >= HeaderSize+4 { // a fuzzer makes no checksums
			end := len(reseal(b)) - 4
			binary.BigEndian.PutUint32(b[end:], Checksum(b[:end]))
		}
		h, err := readHeader(bytes.NewReader(b))
		named(t, err)
		if err == nil && !bytes.Equal(h.Append(nil), b[:h.Size()]) {
			t.Fatal("it is written otherwise than it was read")
		}
	})
}

// FuzzFile reads whole files: as a finished part, as somebody who verifies, and
// with the key.
func FuzzFile(f *testing.F) {
	for _, form := range forms {
		rec, c := recOf(NewPacker(), form, stored(sample()), 11)
		f.Add(sealed(form, rec, c, EndClosed))
		raw, c := rawOf(form, sample()[:9], 5)
		f.Add(sealed(form, raw, c, EndCut))
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, o := range []Opener{nil, Holding(testKey)} {
			r, err := joined(o, b)
			if err == nil && r.Locked() {
				_, err := r.WriteTo(io.Discard)
				named(t, err)
				continue
			}
			harmless(t, r, err)
			_, err = Verify(bytes.NewReader(b), int64(len(b)), trust, o)
			named(t, err)
		}
	})
}

// FuzzBlocks makes blocks of a fuzzer's bodies, around which the checksums, the
// chain and the tag are right: it is as if somebody with the key meant harm.
func FuzzBlocks(f *testing.F) {
	frames := stored(sample())
	for _, form := range forms {
		rec, _ := recOf(&Packer{}, form, frames, 100)
		b := rec[form.header.Size():]
		var h block
		keys := newKeyring(form.header, testKey)
		h.parse(b, &keys)
		body := b[BlockHeaderSize : len(b)-trailerSize]
		if form.header.Encrypted() {
			body, _ = keys.block.Open(nil, body[:nonceSize], body[nonceSize:], keys.data(b))
		}
		f.Add(h.kind, h.frames, uint64(h.last), body)
	}
	raw, _ := rawOf(plain, sample(), 100)
	raw = raw[plain.header.Size():]
	f.Add(uint8(blockRaw), uint32(len(frames)-1), uint64(0), raw[BlockHeaderSize:len(raw)-trailerSize])
	f.Fuzz(func(t *testing.T, kind uint8, n uint32, last uint64, body []byte) {
		for _, form := range forms {
			keys := newKeyring(form.header, testKey)
			at, _ := micros(last / 1000)
			h := block{kind: kind, frames: n, first: 1, last: at, body: uint32(len(body))}
			if kind == blockRaw {
				h.start = at
			}
			b := form.header.Append(nil)
			start := len(b)
			b = append(b, make([]byte, BlockHeaderSize)...)
			h.stored = h.body + h.added(&keys)
			h.fixed(b[start:], &keys)
			if form.header.Encrypted() && h.columns() {
				head := b[start:]
				b = append(b, make([]byte, nonceSize)...)
				b = keys.block.Seal(b, b[len(b)-nonceSize:], body, keys.data(head))
			} else {
				b = append(b, body...)
			}
			c := form.header.Chain()
			b = c.put(b, start, &h)
			r, err := joined(form.opener, b)
			got := harmless(t, r, err)
			if len(got) > 1 && kind != blockRaw && uint32(len(got)) != n+1 {
				t.Fatalf("%d frames of %d", len(got), n)
			}
		}
	})
}

// FuzzTail reads records in clear whose checksums are right.
func FuzzTail(f *testing.F) {
	head := plain.header.ForTail(1, Tag{})
	f.Add(tailOf(plain, sample(), 1, len(sample()))[head.Size():])
	f.Add(tailOf(secret, sample(), 1, 9)[secret.header.Size():])
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		for i := 0; i+RecordHeaderSize <= len(b); {
			size := min(int(binary.BigEndian.Uint32(b[i+8:])), len(b)-i-RecordHeaderSize)
			binary.BigEndian.PutUint32(b[i+12:], head.Digest().mark())
			binary.BigEndian.PutUint32(b[i+16:], Checksum(b[i+RecordHeaderSize:][:size]))
			binary.BigEndian.PutUint32(b[i+20:], Checksum(b[i:i+20]))
			i += RecordHeaderSize + size
		}
		r, err := joined(nil, nil, append(head.Append(nil), b...))
		harmless(t, r, err)
		r, err = joined(secret.opener, nil, append(secret.header.ForTail(1, Tag{}).Append(nil), b...))
		harmless(t, r, err)
	})
}

func FuzzJoin(f *testing.F) {
	frames := sample()
	for _, form := range forms {
		f.Add(finished(form, 9), tailOf(form, frames, 9, 15), tailOf(form, frames, 15, len(frames)))
		f.Add([]byte{}, []byte{}, tailOf(form, frames, 1, len(frames)))
	}
	f.Fuzz(func(t *testing.T, rec, full, tail []byte) {
		r, err := joined(Holding(testKey), rec, full, tail)
		got := harmless(t, r, err)
		if err != nil {
			return
		}
		for _, o := range []Opener{nil, Holding(testKey)} {
			r, err := joined(o, rec, full, tail)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if _, err := r.WriteTo(&out); err != nil {
				named(t, err)
				continue
			}
			merged, err := joined(Holding(testKey), out.Bytes())
			if again := harmless(t, merged, err); !equal(got, again) {
				t.Fatal("made into one file it holds other frames")
			}
		}
	})
}

func FuzzSeal(f *testing.F) {
	_, c := recOf(NewPacker(), plain, stored(sample()), 11)
	s, err := statement(plain, c, EndClosed).Sign(proxyKey, certificate(proxyHost, hostCA))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Encode())
	f.Add((&Seal{Text: []byte(`{"version":2}`)}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSeal(b)
		named(t, err)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Encode(), b) {
			t.Fatal("it is written otherwise than it was read")
		}
		named(t, CheckSeal(s, trust.HostCA))
	})
}

func FuzzReveal(f *testing.F) {
	f.Add(uint64(1000), AppendReveal(nil, []Run{{Frame: 7, Bytes: []byte("l")}, {Frame: 9, Offset: 4, Bytes: []byte(" -la")}}))
	f.Add(uint64(0), []byte{0})
	f.Fuzz(func(t *testing.T, number uint64, b []byte) {
		runs, err := ParseReveal(Frame{Number: number, Payload: b})
		named(t, err)
		if err != nil {
			return
		}
		if len(runs) > 0 && (runs[0].Frame == 0 || runs[len(runs)-1].Frame >= number) {
			t.Fatalf("runs of other frames: %+v", runs)
		}
		again, err := ParseReveal(Frame{Number: number, Payload: AppendReveal(nil, runs)})
		if err != nil || len(again) != len(runs) {
			t.Fatalf("%+v, and again %+v, %v", runs, again, err)
		}
	})
}

// FuzzAppendix reads what is derived, and may be anything.
func FuzzAppendix(f *testing.F) {
	b, _ := appendScreens(nil, []Screen{{Channel: 1, Columns: 80, Rows: 24, ANSI: []byte("$ ")}, {Channel: 2, Columns: 1, Rows: 1}})
	f.Add(b)
	f.Add([]byte{itemNothing, 0, 9, 3, 1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range parseScreens(b) {
			if s.Columns < 1 || s.Rows < 1 || s.Columns > maxTerminal || s.Rows > maxTerminal || len(s.ANSI) > len(b) {
				t.Fatalf("%+v", s)
			}
		}
		wellFormed(b)
	})
}

// FuzzSummarize reads events whose payloads are a peer's or an attacker's.
func FuzzSummarize(f *testing.F) {
	for _, frame := range sample() {
		f.Add(uint8(frame.Kind), frame.Payload)
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		s, err := Summarize(&list{{Kind: Kind(kind), Channel: 1, Payload: payload}, {Number: 1, Kind: Kind(kind), Payload: payload}})
		named(t, err)
		for i := range s.Channels {
			s.Channels[i].What()
		}
	})
}

type list []Frame

func (l *list) Next() (Frame, error) {
	if len(*l) == 0 {
		return Frame{}, io.EOF
	}
	f := (*l)[0]
	*l = (*l)[1:]
	return f, nil
}
