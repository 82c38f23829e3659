package screen

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

// Snapshot returns what makes this screen of a new one of its size, or of a
// terminal of its size that was just reset. It ends with what was begun and is
// not whole: a sequence, or a rune.
func (s *Screen) Snapshot() []byte {
	d := &drawer{s: s, now: newCursor()}
	d.draw(s.main)
	if s.alt != nil {
		// The cursor that leaving will restore is saved by entering.
		d.cursor(s.main, s.saved[0])
		d.add("\x1b[?1049h")
		d.reset()
		d.draw(s.alt)
		d.slot(s.alt, s.saved[1])
	} else {
		d.slot(s.main, s.saved[0])
	}
	d.reset()
	d.tabs()
	d.margins()
	d.cursor(s.page, s.cursor)
	d.modes()
	d.b = append(d.b, s.rune[:s.held]...)
	return append(d.b, s.scanner.Pending()...)
}

// drawer writes a snapshot.
type drawer struct {
	s         *Screen
	b         []byte
	style     style  // that is set
	now       cursor // of which sets, shift and origin are set
	left, top int    // margins that are set
}

func (d *drawer) add(text string) { d.b = append(d.b, text...) }

func (d *drawer) number(n int) { d.b = strconv.AppendInt(d.b, int64(n), 10) }

// sequence adds CSI, numbers and a final byte.
func (d *drawer) sequence(final byte, numbers ...int) {
	d.add("\x1b[")
	for i, n := range numbers {
		if i > 0 {
			d.add(";")
		}
		d.number(n)
	}
	d.b = append(d.b, final)
}

func (d *drawer) private(on bool, mode int) {
	d.add("\x1b[?")
	d.number(mode)
	if on {
		d.add("h")
	} else {
		d.add("l")
	}
}

func (d *drawer) set(st style) {
	if st != d.style {
		d.b = st.appendTo(d.b)
		d.style = st
	}
}

// reset takes back what cursor has set, for drawing.
func (d *drawer) reset() {
	plain := newCursor()
	d.attributes(plain)
	if d.now.origin {
		d.private(false, 6)
		d.now.origin = false
	}
}

// draw draws a page; nothing is set but, maybe, a style.
func (d *drawer) draw(p page) {
	for y, r := range p {
		d.row(y, r)
	}
}

// gap is how many blanks are skipped rather than drawn.
const gap = 6

func (d *drawer) row(y int, r *row) {
	end := d.s.cols
	if r.fill == (style{}) {
		end = len(r.cells)
	}
	at := -1 // where the pen is
	blanks := 0
	for x := 0; x < end; x++ {
		c := r.at(x)
		if c == (cell{char: ' '}) {
			blanks++
			continue
		}
		if at < 0 || blanks > gap {
			d.sequence('H', y+1, x+1)
		} else {
			for ; blanks > 0; blanks-- {
				d.set(style{})
				d.add(" ")
			}
		}
		at, blanks = x, 0
		d.cell(c)
	}
}

func (d *drawer) cell(c cell) {
	if c.half == right {
		return // it came with the left one
	}
	d.set(c.style)
	d.b = utf8.AppendRune(d.b, c.char)
	for _, m := range c.marks {
		if m != 0 {
			d.b = utf8.AppendRune(d.b, m)
		}
	}
}

// slot has c saved; one that was never saved needs nothing.
func (d *drawer) slot(p page, c cursor) {
	if c != newCursor() {
		d.cursor(p, c)
		d.add("\x1b7")
	}
}

// cursor puts the cursor, with everything that DECSC saves.
func (d *drawer) cursor(p page, c cursor) {
	x, y := c.x, c.y
	if c.origin {
		d.private(true, 6)
		d.now.origin = true
		x, y = x-d.left, y-d.top
	}
	if c.wrap { // only a drawn character makes it so
		last := p[c.y].at(c.x)
		if last.half == right {
			x--
			last = p[c.y].at(c.x - 1)
		}
		d.sequence('H', y+1, x+1)
		d.cell(last)
	} else {
		d.sequence('H', y+1, x+1)
	}
	d.attributes(c)
}

// attributes sets the style and the character sets of c.
func (d *drawer) attributes(c cursor) {
	d.set(c.style)
	for g, set := range c.sets {
		if set != d.now.sets[g] {
			d.b = append(d.b, 0x1b, '('+byte(g), set)
		}
	}
	if c.shift != d.now.shift {
		d.add([...]string{"\x0f", "\x0e", "\x1bn", "\x1bo"}[c.shift])
	}
	d.now.sets, d.now.shift = c.sets, c.shift
}

// tabs sets the tab stops, where they are not every eight columns.
func (d *drawer) tabs() {
	if slices.Equal(d.s.tabs, defaultTabs(d.s.cols)) {
		return
	}
	d.add("\x1b[3g")
	for x, stop := range d.s.tabs {
		if stop {
			d.sequence('G', x+1)
			d.add("\x1bH")
		}
	}
}

// margins sets them, where they are not the screen's edges.
func (d *drawer) margins() {
	s := d.s
	if s.modes.sides {
		d.private(true, 69)
		if s.left != 0 || s.right != s.cols-1 {
			d.sequence('s', s.left+1, s.right+1)
		}
	}
	if s.top != 0 || s.bottom != s.rows-1 {
		d.sequence('r', s.top+1, s.bottom+1)
	}
	d.left, d.top = s.left, s.top
}

// modes sets what is not as after a reset.
func (d *drawer) modes() {
	m := d.s.modes
	for _, each := range []struct {
		on   bool
		mode int
	}{
		{m.cursorKeys, 1}, {m.inverse, 5}, {m.mouse != 0, m.mouse}, {m.mouseCoding != 0, m.mouseCoding},
		{m.focus, 1004}, {m.scroll, 1007}, {m.paste, 2004},
	} {
		if each.on {
			d.private(true, each.mode)
		}
	}
	if !m.autowrap {
		d.private(false, 7)
	}
	if m.hidden {
		d.private(false, 25)
	}
	if m.insert {
		d.sequence('h', 4)
	}
	if m.newline {
		d.sequence('h', 20)
	}
	if m.keypad {
		d.add("\x1b=")
	}
	if m.shape != 0 {
		d.sequence(' ', m.shape)
		d.add("q")
	}
}
