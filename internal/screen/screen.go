// Package screen knows what a terminal shows after a program's output: its
// cells, colours, cursor, alternate screen and modes. Of a recording it is what
// lets one begin in the middle.
//
// It follows xterm, as far as programs of terminfo's xterm, screen, tmux and
// linux kinds use it, with UTF-8. It keeps nothing that has scrolled away.
//
// # Promises
//
// A Screen takes any bytes: Write never blocks, never panics, answers nothing,
// and needs no more memory than its size calls for (maxCells); what no terminal
// would understand is left out. Snapshot returns bytes that make the same Screen
// of a new one of the same size, in whatever place of a sequence or of a rune the
// output stands: what follows may simply be written after them.
//
// It does not promise to draw what some other terminal would have drawn of
// output that terminals disagree on. Titles, links, palettes, graphics,
// double-sized lines and protected fields are not followed.
package screen

import (
	"strings"
	"unicode/utf8"
)

// Limits of a screen. A client claims what size it likes.
const (
	maxCols  = 1024
	maxRows  = 512
	maxCells = 128 << 10 // 4.5 MB, twice while the alternate screen is on
)

// Screen is a terminal's. New makes one; its methods are for one goroutine at a
// time.
type Screen struct {
	cols, rows int
	main       page
	alt        page // nil while the alternate screen is off
	page       page // the one that is shown

	cursor cursor
	saved  [2]cursor // by DECSC on the main and on the alternate screen
	modes  modes
	tabs   []bool

	// The margins, each within them.
	top, bottom int
	left, right int

	scanner Scanner
	rune    [utf8.UTFMax]byte // the beginning of one
	held    int               // its length
	params  []int             // of the sequence in hand
	faults  int
}

// cursor is what DECSC saves.
type cursor struct {
	x, y   int
	wrap   bool // the next character goes to the next line: the last column is full
	style  style
	origin bool    // DECOM: lines count from the top margin
	sets   [4]byte // what G0 to G3 are: 'B' ASCII, '0' line drawing, 'A' British
	shift  uint8   // which of them is in use
}

func newCursor() cursor { return cursor{sets: [4]byte{'B', 'B', 'B', 'B'}} }

// New returns the screen of a terminal that was just switched on. A size that no
// terminal has becomes one: 0 is 80 or 24, and there are limits.
func New(cols, rows int) *Screen {
	s := &Screen{}
	s.cols, s.rows = within(cols, rows)
	s.reset()
	return s
}

func within(cols, rows int) (int, int) {
	if cols <= 0 {
		cols = 80
	}
	if rows <= 0 {
		rows = 24
	}
	cols = min(max(cols, 2), maxCols) // a wide character needs two
	return cols, min(rows, maxRows, maxCells/cols)
}

// reset is RIS.
func (s *Screen) reset() {
	s.main, s.alt = newPage(s.rows), nil
	s.page = s.main
	s.cursor = newCursor()
	s.saved = [2]cursor{newCursor(), newCursor()}
	s.modes = modes{autowrap: true}
	s.margins()
	s.tabs = defaultTabs(s.cols)
}

// margins makes them the screen's edges.
func (s *Screen) margins() {
	s.top, s.bottom, s.left, s.right = 0, s.rows-1, 0, s.cols-1
}

func defaultTabs(cols int) []bool {
	tabs := make([]bool, cols)
	for x := 8; x < cols; x += 8 {
		tabs[x] = true
	}
	return tabs
}

// Write draws what a program sent.
func (s *Screen) Write(b []byte) {
	defer func() {
		if recover() != nil { // our own mistake: begin afresh rather than take the process along
			s.reset()
			s.scanner, s.held = Scanner{}, 0
			s.faults++
		}
	}()
	s.scanner.Scan(b, s.token)
}

// Faults is how many times the screen had to begin afresh because of a mistake
// in this package: what it shows is then less than the terminal did.
func (s *Screen) Faults() int { return s.faults }

// Size returns the columns and rows.
func (s *Screen) Size() (cols, rows int) { return s.cols, s.rows }

// Alternate says whether the alternate screen is on, as it is in editors and
// pagers.
func (s *Screen) Alternate() bool { return s.alt != nil }

// Lines returns the text of every row, without blanks at its end.
func (s *Screen) Lines() []string {
	lines := make([]string, s.rows)
	for y, r := range s.page {
		var b strings.Builder
		for _, c := range r.cells {
			if c.half == right {
				continue
			}
			b.WriteRune(c.char)
			for _, m := range c.marks {
				if m != 0 {
					b.WriteRune(m)
				}
			}
		}
		lines[y] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// Resize gives the terminal another size, as a window-change request does. Lines
// that are cut or whose place is gone are lost, as in xterm without scrollback;
// nothing is wrapped anew.
func (s *Screen) Resize(cols, rows int) {
	cols, rows = within(cols, rows)
	if cols == s.cols && rows == s.rows {
		return
	}
	gone := max(s.cursor.y-rows+1, 0) // rows that leave at the top, so that the cursor stays
	s.main = s.main.resize(cols, rows, gone)
	s.page = s.main
	if s.alt != nil {
		s.alt = s.alt.resize(cols, rows, gone)
		s.page = s.alt
	}
	s.cursor.y -= gone
	for x := len(s.tabs); x < cols; x++ {
		s.tabs = append(s.tabs, x%8 == 0 && x > 0)
	}
	s.tabs = s.tabs[:cols]
	s.cols, s.rows = cols, rows
	s.margins()
	for _, c := range []*cursor{&s.cursor, &s.saved[0], &s.saved[1]} {
		c.x, c.y, c.wrap = min(c.x, cols-1), min(c.y, rows-1), false
	}
}

func (p page) resize(cols, rows, gone int) page {
	p = p[min(gone, len(p)):]
	p = p[:min(rows, len(p))]
	for _, r := range p {
		if len(r.cells) > cols {
			r.split(cols)
			r.cells = r.cells[:cols:cols]
		}
		r.cells = append(make([]cell, 0, cols), r.cells...)
	}
	return append(append(page{}, p...), newPage(rows-len(p))...)
}

// token carries out one token.
func (s *Screen) token(t Token) {
	if t.Kind != Text {
		s.breakRune()
	}
	switch t.Kind {
	case Text:
		s.text(t.Bytes)
	case Control:
		s.control(t.Bytes[0])
	case Escape:
		s.escape(t)
	case Sequence:
		s.sequence(t)
	}
}
