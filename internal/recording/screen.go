package recording

import "encoding/binary"

// Screen is what a terminal showed at a block's beginning: who plays from there
// sees the right picture, without what came before. It is derived from the
// frames, evidence of nothing, and may be left out or ignored.
type Screen struct {
	Channel       uint32
	Columns, Rows int
	// ANSI is what an empty terminal of that size has to be sent.
	ANSI []byte
}

// maxScreens is how much of a block screens may take, in bytes; more are left
// out, all together.
const maxScreens = 512 << 10

// The appendix of a body is a list of items: uvarint type, uvarint length, bytes.
// Types that a reader does not know it passes over.
//
//	1  a screen: uvarint channel, columns, rows; ANSI
//	2  nothing: there are no screens
const (
	itemScreen  = 1
	itemNothing = 2
)

// appendScreens appends items to a body; ok is false, and nothing appended, where
// they are too much.
func appendScreens(b []byte, screens []Screen) (_ []byte, ok bool) {
	size := 0
	for _, s := range screens {
		size += len(s.ANSI)
	}
	if size > maxScreens {
		return b, false
	}
	for _, s := range screens {
		head := binary.AppendUvarint(nil, uint64(s.Channel))
		head = binary.AppendUvarint(head, uint64(s.Columns))
		head = binary.AppendUvarint(head, uint64(s.Rows))
		b = append(b, itemScreen)
		b = binary.AppendUvarint(b, uint64(len(head)+len(s.ANSI)))
		b = append(b, head...)
		b = append(b, s.ANSI...)
	}
	if len(screens) == 0 {
		b = append(b, itemNothing, 0)
	}
	return b, true
}

// item splits the first item off b; ok is false where it is malformed.
func item(b []byte) (kind uint64, value, rest []byte, ok bool) {
	kind, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, nil, false
	}
	size, m := binary.Uvarint(b[n:])
	if m <= 0 || size > uint64(len(b)-n-m) {
		return 0, nil, nil, false
	}
	b = b[n+m:]
	return kind, b[:size:size], b[size:], true
}

// wellFormed says whether an appendix is a list of items.
func wellFormed(b []byte) bool {
	for len(b) > 0 {
		var ok bool
		if _, _, b, ok = item(b); !ok {
			return false
		}
	}
	return true
}

// parseScreens reads the screens of a well-formed appendix, and passes over those
// that no terminal has.
func parseScreens(b []byte) []Screen {
	var list []Screen
	for len(b) > 0 {
		kind, value, rest, ok := item(b)
		if !ok {
			return list
		}
		b = rest
		if kind != itemScreen {
			continue
		}
		var n [3]uint64
		for i := range n {
			v, size := binary.Uvarint(value)
			if ok = size > 0; !ok {
				break
			}
			n[i], value = v, value[size:]
		}
		if !ok || n[0] > 1<<32-1 || n[1] == 0 || n[2] == 0 || n[1] > maxTerminal || n[2] > maxTerminal {
			continue
		}
		list = append(list, Screen{Channel: uint32(n[0]), Columns: int(n[1]), Rows: int(n[2]), ANSI: value})
	}
	return list
}
