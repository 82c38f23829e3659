package recording

import (
	"bytes"
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
	var damage *DamageError
	if err != nil && !errors.As(err, &damage) && err != ErrTorn {
		t.Fatalf("an error without a place: %v", err)
	}
	for i, f := range got {
		if i > 0 && (f.Number != got[i-1].Number+1 || f.At < got[i-1].At) || len(f.Payload) > MaxPayload || f.Kind == 0 {
			t.Fatalf("frame %d: %+v", i, f)
		}
	}
	return got
}

func FuzzReader(f *testing.F) {
	frames := sample()
	f.Add(recOf(NewPacker(), testHeader, frames, 7))
	f.Add(recOf(&Packer{}, testHeader, frames, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		streamed := harmless(t, r, err)
		joined, err := Join(bytes.NewReader(b))
		read := harmless(t, joined, err)
		// A cut or damaged end may stop one earlier than the other.
		n := min(len(streamed), len(read))
		if !equal(streamed[:n], read[:n]) {
			t.Fatal("as a stream and as a file it holds other frames")
		}
	})
}

func FuzzTailReader(f *testing.F) {
	frames := sample()
	f.Add(tailOf(testHeader, 0, frames))
	f.Add(tailOf(testHeader, 9, frames[9:12]))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewTailReader(bytes.NewReader(b))
		harmless(t, r, err)
	})
}

// FuzzBody goes around the checksums, which keep a fuzzer from a block's inside.
func FuzzBody(f *testing.F) {
	frames := sample()
	var p Packer
	p.Start(testHeader)
	for _, frame := range frames {
		p.Add(frame)
	}
	f.Add(uint32(len(frames)), uint64(frames[len(frames)-1].At), p.Block(nil)[BlockHeaderSize:])
	f.Fuzz(func(t *testing.T, n uint32, last uint64, body []byte) {
		h := block{kind: blockPlain, frames: n, stored: uint32(len(body)), body: uint32(len(body))}
		if at, ok := micros(last / 1000); ok {
			h.last = at
		}
		var head [BlockHeaderSize]byte
		h.put(head[:], 0)
		if h.parse(head[:], 0) != "" {
			return
		}
		var c cursor
		if c.open(h, body) != "" {
			return
		}
		size := 0
		for {
			frame, ok := c.frame()
			if !ok {
				break
			}
			size += len(frame.Payload)
			n--
		}
		if n != 0 || size > len(body) {
			t.Fatalf("%d frames are missing, %d bytes", n, size)
		}
	})
}

func FuzzJoin(f *testing.F) {
	frames := sample()
	f.Add(recOf(NewPacker(), testHeader, frames[:9], 5), tailOf(testHeader, 9, frames[9:15]), tailOf(testHeader, 15, frames[15:]))
	f.Add([]byte{}, []byte{}, tailOf(testHeader, 0, frames))
	f.Fuzz(func(t *testing.T, rec, full, tail []byte) {
		r, err := Join(bytes.NewReader(rec), bytes.NewReader(full), bytes.NewReader(tail))
		got := harmless(t, r, err)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if _, err := r.WriteTo(&out); err != nil {
			return
		}
		merged, err := NewReader(&out)
		again := harmless(t, merged, err)
		if !equal(got, again) {
			t.Fatal("merged it holds other frames")
		}
	})
}

// FuzzSummarize reads events whose payloads are a peer's or an attacker's.
func FuzzSummarize(f *testing.F) {
	for _, frame := range sample() {
		f.Add(uint8(frame.Kind), frame.Payload)
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		s, err := Summarize(&list{{Kind: Kind(kind), Channel: 1, Payload: payload}, {Number: 1, Kind: Kind(kind), Payload: payload}})
		var damage *DamageError
		if err != nil && !errors.As(err, &damage) {
			t.Fatal(err)
		}
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
