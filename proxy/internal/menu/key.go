package menu

// key is what a person pressed: a printable ASCII character, or one of these.
type key int

const (
	keyNone  key = 0 // not a whole key yet, or none that means anything
	keyEnter key = 256 + iota
	keyLeave
	keyUp
	keyDown
	keyPageUp
	keyPageDown
	keyHome
	keyEnd
	keyErase
	keyEraseWord
	keyEraseAll
)

// control are single bytes, as a terminal in raw mode sends them, with Emacs' and
// vi's ways of moving.
var control = map[byte]key{
	'\r': keyEnter, '\n': keyEnter,
	0x03: keyLeave, 0x04: keyLeave, // Ctrl-C, Ctrl-D
	0x10: keyUp, 0x0e: keyDown, // Ctrl-P, Ctrl-N
	0x0b: keyUp,                 // Ctrl-K; Ctrl-J is Enter
	0x01: keyHome, 0x05: keyEnd, // Ctrl-A, Ctrl-E
	0x08: keyErase, 0x7f: keyErase,
	0x17: keyEraseWord, // Ctrl-W
	0x15: keyEraseAll,  // Ctrl-U
}

// escaped are control sequences (ECMA-48, section 5.4) without their ESC [ or
// ESC O.
var escaped = map[string]key{
	"A": keyUp, "B": keyDown, "H": keyHome, "F": keyEnd,
	"5~": keyPageUp, "6~": keyPageDown, "1~": keyHome, "7~": keyHome, "4~": keyEnd, "8~": keyEnd,
}

// reader finds keys in bytes. The zero reader is at the start.
type reader struct {
	state    int // 0: nothing; 1: after ESC; 2: within a control sequence
	sequence []byte
}

// maxSequence bounds what is kept of one: longer ones mean nothing here.
const maxSequence = 16

// next takes one byte and returns the key that it ends, if any.
func (r *reader) next(b byte) key {
	switch r.state {
	case 1:
		if b == '[' || b == 'O' {
			r.state, r.sequence = 2, r.sequence[:0]
			return keyNone
		}
		r.state = 0
		if b == 0x1b {
			r.state = 1
		}
		return keyNone // a key with Alt
	case 2:
		if b == 0x1b {
			r.state = 1
			return keyNone
		}
		if len(r.sequence) < maxSequence {
			r.sequence = append(r.sequence, b)
		}
		if b >= 0x40 && b <= 0x7e {
			r.state = 0
			return escaped[string(r.sequence)]
		}
		return keyNone
	}
	switch {
	case b == 0x1b:
		r.state = 1
		return keyNone
	case b >= ' ' && b <= '~':
		return key(b)
	}
	return control[b]
}
