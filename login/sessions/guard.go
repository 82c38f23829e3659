package sessions

import (
	"bytes"
	"io"

	"github.com/sallyport-ssh/sallyport/internal/recording/export"
)

// guard lets through to a terminal what changes its screen, and nothing that
// makes it answer, print, name its window, fill its clipboard or run what it was
// sent: the recorded output may be an attacker's, and the terminal is the
// auditor's. (A terminal's answer arrives as typed keys, and would reach the
// auditor's shell once the player has ended.)
type guard struct {
	w       io.Writer
	scanner export.Scanner
	buf     bytes.Buffer
	lead    bool // the last byte of text was 0xc2, held back
}

func newGuard(w io.Writer) *guard { return &guard{w: w} }

// Write passes on what of b is harmless.
func (g *guard) Write(b []byte) (int, error) {
	g.buf.Reset()
	g.scanner.Scan(b, g.token)
	if _, err := g.w.Write(g.buf.Bytes()); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (g *guard) token(t export.Token) {
	if t.Kind != export.Text {
		g.release()
	}
	switch t.Kind {
	case export.Text:
		g.text(t.Bytes)
	case export.Control:
		if t.Bytes[0] != 0x05 { // ENQ: answerback
			g.buf.Write(t.Bytes)
		}
	case export.Escape:
		if harmlessEscape(t) {
			g.buf.Write(t.Bytes)
		}
	case export.Sequence:
		if harmless(t) {
			g.buf.Write(t.Bytes)
		}
	}
	// Strings (OSC, DCS, APC and the like) are all left out: clipboard, titles,
	// links, graphics, queries.
}

// text passes text on without U+0080 to U+009F, the same controls by another
// spelling: xterm takes C2 9B for CSI.
func (g *guard) text(b []byte) {
	for _, c := range b {
		if g.lead {
			g.lead = false
			if c >= 0x80 && c <= 0x9f {
				continue
			}
			g.buf.WriteByte(0xc2)
		}
		if c == 0xc2 {
			g.lead = true
			continue
		}
		g.buf.WriteByte(c)
	}
}

// release passes on a byte that was held back and began nothing.
func (g *guard) release() {
	if g.lead {
		g.lead = false
		g.buf.WriteByte(0xc2)
	}
}

// harmlessEscape leaves out DECID (Z: who are you) and every change of coding (% and
// space: after it a byte like 9B may be CSI).
func harmlessEscape(t export.Token) bool {
	switch t.Bytes[1] {
	case '(', ')', '*', '+', '#': // character sets, line sizes
		return len(t.Bytes) == 3
	}
	return len(t.Bytes) == 2 && bytes.IndexByte([]byte("78=>DEHMNOcno|}~"), t.Final) >= 0
}

// harmless says whether a control sequence only draws. Final bytes are those of
// ECMA-48 and xterm's "Control Sequences"; what is not listed stays out.
func harmless(t export.Token) bool {
	private := len(t.Params) > 0 && t.Params[0] >= '<' && t.Params[0] <= '?'
	intermediate := bytes.ContainsFunc(t.Params, func(r rune) bool { return r < '0' })
	switch t.Final {
	case 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'P', 'S', 'T', 'X', 'Z',
		'@', '`', 'a', 'b', 'd', 'e', 'f', 'g', 'r', 's', 'u':
		return !intermediate && (!private || t.Final == 'J' || t.Final == 'K')
	case 'm':
		return !intermediate && !private
	case 'q':
		return bytes.HasSuffix(t.Params, []byte(" ")) // cursor's shape
	case 'h', 'l':
		return !intermediate && !reports(t.Params)
	case 'p':
		return bytes.Equal(t.Params, []byte("!")) // soft reset
	}
	return false
}

// reports says whether a mode makes the terminal send something by itself: mouse
// (9, 1000 to 1016), focus (1004), pasted text between marks (2004), colour
// scheme (2031), size (2048).
func reports(params []byte) bool {
	for mode := range bytes.SplitSeq(bytes.TrimPrefix(params, []byte("?")), []byte(";")) {
		switch m := string(mode); {
		case m == "9", m == "2004", m == "2031", m == "2048", len(m) == 4 && m[:2] == "10" && m < "1017":
			return bytes.HasPrefix(params, []byte("?"))
		}
	}
	return false
}
