package screen

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// text draws characters.
func (s *Screen) text(b []byte) {
	for len(b) > 0 {
		if s.held == 0 && s.plain() {
			n := 0
			for n < len(b) && b[n] < utf8.RuneSelf {
				n++
			}
			if n > 0 {
				s.ascii(b[:n])
				b = b[n:]
				continue
			}
		}
		if r, size := utf8.DecodeRune(b); s.held == 0 && size > 1 {
			s.put(r)
			b = b[size:]
			continue
		}
		s.hold(b[0])
		b = b[1:]
	}
}

// hold takes one byte of a rune that comes in pieces or is none.
func (s *Screen) hold(c byte) {
	s.rune[s.held] = c
	s.held++
	if utf8.FullRune(s.rune[:s.held]) {
		s.wholeRune()
	}
}

// wholeRune draws what is held. Where the last byte shows that it is no rune, those
// before are one U+FFFD (the Unicode standard, section 3.9), and the last may
// begin another.
func (s *Screen) wholeRune() {
	n := s.held
	last := s.rune[n-1]
	r, size := utf8.DecodeRune(s.rune[:n])
	s.held = 0
	s.put(r)
	if size == n || n == 1 {
		return
	}
	s.hold(last)
}

// breakRune draws a mark for a rune that something else interrupts.
func (s *Screen) breakRune() {
	for ; s.held > 0; s.held = 0 {
		s.put(utf8.RuneError)
	}
}

// plain says whether bytes of ASCII are drawn as they are.
func (s *Screen) plain() bool {
	return s.cursor.sets[s.cursor.shift] == 'B' && !s.modes.insert
}

// edge is the column after the last that the cursor may write to.
func (s *Screen) edge() int {
	if s.cursor.x <= s.right {
		return s.right + 1
	}
	return s.cols
}

// ascii draws b, which is printable ASCII.
func (s *Screen) ascii(b []byte) {
	c := &s.cursor
	for len(b) > 0 {
		if c.wrap {
			s.newLine()
		}
		edge := s.edge()
		n := min(len(b), edge-c.x)
		if !s.modes.autowrap && n < len(b) && c.x == edge-1 {
			b = b[len(b)-1:] // each is drawn over the one before
		}
		r := s.page[c.y]
		r.split(c.x)
		r.split(c.x + n)
		r.need(c.x+n, s.cols)
		cells := r.cells[c.x : c.x+n]
		for i := range cells {
			cells[i] = cell{char: rune(b[i]), style: c.style}
		}
		b = b[n:]
		s.advance(n, edge)
	}
}

// advance moves the cursor over n columns that were drawn.
func (s *Screen) advance(n, edge int) {
	c := &s.cursor
	c.x += n
	if c.x >= edge {
		c.x = edge - 1
		c.wrap = s.modes.autowrap
	}
}

// newLine goes to the beginning of the next line, as a full one does.
func (s *Screen) newLine() {
	s.cursor.wrap = false
	s.index()
	s.carriageReturn()
}

// put draws one character.
func (s *Screen) put(r rune) {
	c := &s.cursor
	r = translate(c.sets[c.shift], r)
	w := columns(r)
	if w == 0 {
		s.combine(r)
		return
	}
	if c.wrap {
		s.newLine()
	}
	edge := s.edge()
	if c.x+w > edge {
		if s.modes.autowrap {
			s.newLine()
			edge = s.edge()
		} else {
			c.x = edge - w
		}
	}
	line := s.page[c.y]
	if s.modes.insert {
		line.insert(c.x, edge, w, s.cols, c.style.erased())
	}
	line.split(c.x)
	line.split(c.x + w)
	line.need(c.x+w, s.cols)
	line.cells[c.x] = cell{char: r, style: c.style}
	if w == 2 {
		line.cells[c.x].half = left
		line.cells[c.x+1] = cell{style: c.style, half: right}
	}
	s.advance(w, edge)
}

// combine adds a combining character to the one before the cursor.
func (s *Screen) combine(r rune) {
	if r < 0xa0 {
		return // a control character in two bytes; terminals disagree on it
	}
	x, line := s.before(), s.page[s.cursor.y]
	if x < 0 {
		return
	}
	line.need(x+1, s.cols)
	for i, m := range line.cells[x].marks {
		if m == 0 {
			line.cells[x].marks[i] = r
			return
		}
	}
}

// before is the column of the character that was drawn last, if the cursor has
// not moved since; below 0 where there is none.
func (s *Screen) before() int {
	x := s.cursor.x
	if !s.cursor.wrap {
		x--
	}
	if x > 0 && s.page[s.cursor.y].at(x).half == right {
		x--
	}
	return x
}

// columns is how many columns r takes: 0, 1 or 2. It is what wcwidth(3) says:
// Unicode's annex 11 and the categories Mn, Me and Cf.
func columns(r rune) int {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0:
		return 0
	case r < 0x300:
		return 1
	case r >= 0x2500 && r < 0x2600: // lines and blocks, by far the most frequent
		return 1
	case r >= 0x3400 && r < 0xa000, r >= 0xac00 && r < 0xd7a4:
		return 2
	case r >= 0x1160 && r < 0x1200: // vowels and finals of Hangul join what is before
		return 0
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// drawing is DEC's set of special graphics, from 0x5f to 0x7e.
var drawing = [...]rune{
	' ', '◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼', '⎺', '⎻', '─', '⎼', '⎽', '├', '┤', '┴', '┬', '│', '≤', '≥', 'π', '≠', '£', '·',
}

// translate is r in a character set.
func translate(set byte, r rune) rune {
	switch {
	case set == '0' && r >= 0x5f && r <= 0x7e:
		return drawing[r-0x5f]
	case set == 'A' && r == '#':
		return '£'
	}
	return r
}
