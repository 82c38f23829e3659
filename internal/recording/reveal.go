package recording

import (
	"encoding/binary"
	"errors"
)

// Run is a piece of veiled input, in clear.
type Run struct {
	Frame  uint64 // number of the KindVeiled frame
	Offset int    // of Bytes in its payload
	Bytes  []byte
}

// Layout of a KindReveal's payload (RECORDING.md, "Veiled input"): a uvarint, the
// number of runs; for each run
//
//	uvarint  (frame - frame of the run before) * 2, plus 1 unless the run is the
//	         first byte of its frame and that alone
//	uvarint  offset, where the 1 is there
//	uvarint  length, where the 1 is there
//
// and then the bytes of all runs in a row. A typed key is one byte of its frame:
// it takes two bytes here, and the text stands together for the compressor.

var errReveal = errors.New("the runs of a reveal are malformed")

// AppendReveal appends the payload that lifts the veil from runs, which are in
// the order of their frames, and do not overlap.
func AppendReveal(b []byte, runs []Run) []byte {
	b = binary.AppendUvarint(b, uint64(len(runs)))
	last := uint64(0)
	for _, r := range runs {
		step := (r.Frame - last) << 1
		last = r.Frame
		if r.Offset == 0 && len(r.Bytes) == 1 {
			b = binary.AppendUvarint(b, step)
			continue
		}
		b = binary.AppendUvarint(b, step|1)
		b = binary.AppendUvarint(b, uint64(r.Offset))
		b = binary.AppendUvarint(b, uint64(len(r.Bytes)))
	}
	for _, r := range runs {
		b = append(b, r.Bytes...)
	}
	return b
}

// ParseReveal reads f's runs, f being a KindReveal. They point into its payload.
// A run is of a frame before f.
func ParseReveal(f Frame) ([]Run, error) {
	runs, err := parseReveal(f.Payload, f.Number)
	if err != nil {
		return nil, &DamageError{How: Malformed, Where: "frame", Number: f.Number, What: "payload of a reveal is malformed", Err: err}
	}
	return runs, nil
}

func parseReveal(b []byte, before uint64) ([]Run, error) {
	ok := true
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			ok = false
			return 0
		}
		b = b[n:]
		return v
	}
	count := next()
	if count > uint64(len(b))/2 { // a run is a byte of head and a byte of text
		return nil, errReveal
	}
	runs := make([]Run, 0, count)
	sizes := make([]int, 0, count)
	frame, end := uint64(0), 0
	for range count {
		head := next()
		offset, size := uint64(0), uint64(1)
		if head&1 != 0 {
			offset, size = next(), next()
		}
		if !ok || size == 0 || size > MaxPayload || offset > MaxPayload || head>>1 >= before-frame || frame+head>>1 == 0 {
			return nil, errReveal
		}
		if head>>1 != 0 {
			end = 0
		}
		if int(offset) < end {
			return nil, errReveal // it says of one byte two things
		}
		frame += head >> 1
		end = int(offset + size)
		runs = append(runs, Run{Frame: frame, Offset: int(offset)})
		sizes = append(sizes, int(size))
	}
	for i, size := range sizes {
		if size > len(b) {
			return nil, errReveal
		}
		runs[i].Bytes, b = b[:size:size], b[size:]
	}
	if !ok || len(b) > 0 {
		return nil, errReveal
	}
	return runs, nil
}
