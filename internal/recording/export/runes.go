package export

import "unicode/utf8"

// runes turns a stream of bytes that comes in pieces into valid UTF-8. A rune
// that begins in one piece and ends in another is held back until it is whole;
// what is no UTF-8 becomes U+FFFD, one for each maximal part of a rune as the
// Unicode standard recommends (section 3.9).
type runes struct {
	held [utf8.UTFMax]byte
	n    int
	out  []byte
}

// take returns what of b, after what was held back, is whole. It is valid until
// the next call.
func (r *runes) take(b []byte) []byte {
	r.out = r.out[:0]
	for r.n > 0 && len(b) > 0 {
		r.held[r.n] = b[0]
		if !possible(r.held[:r.n+1]) {
			r.flush()
			break
		}
		r.n++
		b = b[1:]
		if utf8.FullRune(r.held[:r.n]) {
			r.out = append(r.out, r.held[:r.n]...)
			r.n = 0
		}
	}
	for len(b) > 0 {
		size := valid(b)
		r.out = append(r.out, b[:size]...)
		b = b[size:]
		if len(b) == 0 {
			break
		}
		bad := 1
		for bad < len(b) && possible(b[:bad+1]) {
			bad++
		}
		if bad == len(b) && possible(b) {
			r.n = copy(r.held[:], b)
			break
		}
		r.out = utf8.AppendRune(r.out, utf8.RuneError)
		b = b[bad:]
	}
	return r.out
}

// end returns what stands for a rune that never became whole.
func (r *runes) end() []byte {
	r.out = r.out[:0]
	r.flush()
	return r.out
}

func (r *runes) flush() {
	if r.n > 0 {
		r.out = utf8.AppendRune(r.out, utf8.RuneError)
		r.n = 0
	}
}

// valid is the length of the longest prefix of b that is whole and valid.
func valid(b []byte) int {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return len(b)
}

// possible says whether b is a prefix of a valid encoding, or one whole. Go calls
// what cannot become valid a full rune, too.
func possible(b []byte) bool {
	if !utf8.FullRune(b) {
		return true
	}
	r, size := utf8.DecodeRune(b)
	return size == len(b) && (r != utf8.RuneError || size == 3)
}
