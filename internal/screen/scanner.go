package screen

// Token is one thing that a program sent to a terminal.
type Token struct {
	Kind TokenKind
	// Bytes are the token's own: text, one control character, or a sequence from
	// ESC to its final byte. Valid until the next token.
	Bytes  []byte
	Params []byte // of a Sequence: what stands between CSI and Final
	Final  byte   // of a Sequence or Escape
}

// TokenKind sorts tokens (ECMA-48, section 5).
type TokenKind uint8

const (
	Text     TokenKind = iota + 1 // printable bytes, one or more; a rune may go on in the next Text
	Control                       // one of C0, or DEL
	Escape                        // ESC, intermediates, a final byte
	Sequence                      // CSI, parameters, a final byte
	String                        // OSC, DCS, SOS, PM or APC; without its content
)

// maxSequence bounds what is kept of a sequence; a longer one is no token at all.
const maxSequence = 128

// Scanner cuts a terminal's output into tokens, across the pieces in which it
// comes. The zero Scanner is at the beginning.
type Scanner struct {
	state state
	seq   []byte
}

type state uint8

const (
	ground    state = iota
	escape          // after ESC
	csi             // after CSI
	str             // within a string
	strEscape       // after ESC within a string
)

// Scan calls token for every token that ends in b.
func (s *Scanner) Scan(b []byte, token func(Token)) {
	for len(b) > 0 {
		if s.state == ground {
			n := 0
			for n < len(b) && b[n] >= 0x20 && b[n] != 0x7f {
				n++
			}
			if n > 0 {
				token(Token{Kind: Text, Bytes: b[:n]})
				b = b[n:]
				continue
			}
		}
		s.byte(b[0], token)
		b = b[1:]
	}
}

// Pending returns what a Scanner at the beginning must be given first to go on as
// this one: the part of a sequence that has come. Of a string it is the opening,
// for no token has the rest.
func (s *Scanner) Pending() []byte {
	switch s.state {
	case escape, csi:
		return s.seq
	case str:
		return []byte("\x1b]")
	case strEscape:
		return []byte("\x1b]\x1b")
	}
	return nil
}

func (s *Scanner) byte(c byte, token func(Token)) {
	switch s.state {
	case ground:
		if c == 0x1b {
			s.begin()
			return
		}
		token(Token{Kind: Control, Bytes: []byte{c}})
	case escape:
		s.escape(c, token)
	case csi:
		s.csi(c, token)
	case str:
		switch c {
		case '\a':
			s.state = ground
			token(Token{Kind: String})
		case 0x1b:
			s.state = strEscape
		case 0x18, 0x1a: // CAN and SUB call it off
			s.state = ground
		}
	case strEscape:
		token(Token{Kind: String})
		s.begin()
		if c == '\\' {
			s.state = ground
			return
		}
		s.escape(c, token)
	}
}

func (s *Scanner) begin() {
	s.state = escape
	s.seq = append(s.seq[:0], 0x1b)
}

// keep adds c to the sequence in hand, as long as it is not too long.
func (s *Scanner) keep(c byte) {
	if len(s.seq) <= maxSequence {
		s.seq = append(s.seq, c)
	}
}

// whole says whether nothing of the sequence was left out.
func (s *Scanner) whole() bool { return len(s.seq) <= maxSequence }

func (s *Scanner) escape(c byte, token func(Token)) {
	switch {
	case c == 0x1b:
		s.begin()
	case c == 0x18 || c == 0x1a:
		s.state = ground
	case c < 0x20 || c == 0x7f:
		token(Token{Kind: Control, Bytes: []byte{c}}) // carried out within the sequence
	case c <= 0x2f:
		s.keep(c)
	case len(s.seq) == 1 && c == '[':
		s.keep(c)
		s.state = csi
	case len(s.seq) == 1 && (c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_'):
		s.state = str
	default:
		s.keep(c)
		s.state = ground
		if s.whole() {
			token(Token{Kind: Escape, Bytes: s.seq, Final: c})
		}
	}
}

func (s *Scanner) csi(c byte, token func(Token)) {
	switch {
	case c == 0x1b:
		s.begin()
	case c == 0x18 || c == 0x1a:
		s.state = ground
	case c < 0x20 || c == 0x7f:
		token(Token{Kind: Control, Bytes: []byte{c}})
	case c < 0x40:
		s.keep(c)
	default:
		s.keep(c)
		s.state = ground
		if s.whole() {
			token(Token{Kind: Sequence, Bytes: s.seq, Params: s.seq[2 : len(s.seq)-1], Final: c})
		}
	}
}
