package veil

// part is a piece of input: text, or what is none.
type part struct {
	bytes []byte
	text  bool
}

// maxParts is how many frames a piece of input may become.
const maxParts = 8

// keys cuts what a person's terminal sends into text and the rest. What looks
// like a key's sequence and is longer than any is text: when in doubt, the veil
// stays.
type keys struct {
	state keyState
	left  int // of a sequence: bytes that it may still take
	parts []part
}

type keyState uint8

const (
	plain keyState = iota
	afterEsc
	inCSI // ESC [ parameters, final
	inSS3 // ESC O, one
	inX10 // ESC [ M, three bytes of a mouse report
)

// maxKey is the longest sequence of a key, mouse report or answer, in bytes.
const maxKey = 40

// split cuts b; the parts point into it and are valid until the next call. many
// says that they are more than maxParts.
func (k *keys) split(b []byte) (parts []part, many bool) {
	k.parts = k.parts[:0]
	start := 0
	for i, c := range b {
		text := k.text(c)
		if n := len(k.parts); i == 0 || k.parts[n-1].text != text {
			if i > 0 {
				k.parts[n-1].bytes = b[start:i]
			}
			k.parts = append(k.parts, part{text: text})
			start = i
		}
	}
	if n := len(k.parts); n > 0 {
		k.parts[n-1].bytes = b[start:]
	}
	if k.state == afterEsc {
		k.state = plain // the Escape key alone
	}
	parts = k.parts
	if cap(k.parts) > 256 {
		k.parts = nil // a large paste does not stay in memory
	}
	return parts, len(parts) > maxParts
}

// text says whether c is text, and not a control character or within a sequence.
func (k *keys) text(c byte) bool {
	switch k.state {
	case afterEsc:
		k.state, k.left = plain, maxKey
		switch {
		case c == '[':
			k.state = inCSI
		case c == 'O':
			k.state = inSS3
		case c == 0x1b:
			k.state = afterEsc
		}
		return false // ESC and a character are Alt and a key, or open a string, whose content is text
	case inCSI:
		k.left--
		switch {
		case c < 0x20 || c > 0x7e || k.left == 0:
			k.state = plain
			return k.text(c)
		case c == 'M' && k.left == maxKey-1:
			k.state, k.left = inX10, 3
		case c >= 0x40:
			k.state = plain
		}
		return false
	case inSS3:
		k.state = plain
		if c < 0x20 || c > 0x7e {
			return k.text(c)
		}
		return false
	case inX10:
		if k.left--; k.left == 0 {
			k.state = plain
		}
		return false
	}
	if c == 0x1b {
		k.state = afterEsc
	}
	return c >= 0x20 && c != 0x7f
}
