package screen

// color is a cell's colour: 0 is the terminal's own, else indexed or direct is
// set.
type color uint32

const (
	indexed color = 1 << 24 // and the number in the palette
	direct  color = 2 << 24 // and red, green and blue, one byte each
)

// attr is a set of a cell's attributes (ECMA-48, section 8.3.117).
type attr uint16

const (
	bold attr = 1 << iota
	faint
	italic
	blink
	reverse
	hidden
	struck
	overline
	// underline is multiplied by its kind: 1 single, 2 double, 3 curly, 4 dotted,
	// 5 dashed.
	underline
	allUnderlines = 7 * underline
)

// style is how a cell looks.
type style struct {
	fg, bg, line color
	attr         attr
}

// erased is the style of a cell that is erased while s is set: as in xterm, it
// keeps the background alone.
func (s style) erased() style { return style{bg: s.bg} }

// maxMarks is how many combining characters a cell keeps.
const maxMarks = 2

// cell is one place of the screen.
type cell struct {
	char  rune
	marks [maxMarks]rune // 0 where there are fewer
	style style
	half  half
}

// half says which part of a character a cell shows.
type half uint8

const (
	whole half = iota
	left       // of a wide character, which is in it
	right      // of the same: char is 0
)

// row is one line of the screen. Its cells from len(cells) on are blanks of the
// style fill, so that to erase a line, which hostile output can ask for with
// three bytes, costs nothing.
type row struct {
	cells []cell
	fill  style
}

// at returns the cell in column x.
func (r *row) at(x int) cell {
	if x < len(r.cells) {
		return r.cells[x]
	}
	return cell{char: ' ', style: r.fill}
}

// need makes cells of the first n columns; cols is how many there may be.
func (r *row) need(n, cols int) {
	if n <= len(r.cells) {
		return
	}
	if cap(r.cells) < n {
		grown := make([]cell, len(r.cells), cols)
		copy(grown, r.cells)
		r.cells = grown
	}
	old := len(r.cells)
	r.cells = r.cells[:n]
	for x := old; x < n; x++ {
		r.cells[x] = cell{char: ' ', style: r.fill}
	}
}

// clear makes every cell a blank of style s.
func (r *row) clear(s style) { r.cells, r.fill = r.cells[:0], s }

// split takes a wide character apart whose right half is in column x: one of its
// halves is about to go.
func (r *row) split(x int) {
	if x > 0 && x < len(r.cells) && r.cells[x].half == right {
		r.cells[x-1] = cell{char: ' ', style: r.cells[x-1].style}
		r.cells[x] = cell{char: ' ', style: r.cells[x].style}
	}
}

// erase makes the columns from a to before b blanks of style s.
func (r *row) erase(a, b, cols int, s style) {
	r.split(a)
	r.split(b)
	if b >= cols {
		r.need(a, cols)
		r.cells, r.fill = r.cells[:a], s
		return
	}
	r.need(b, cols)
	for x := a; x < b; x++ {
		r.cells[x] = cell{char: ' ', style: s}
	}
}

// insert moves the cells from x to before end by n to the right, and leaves
// blanks.
func (r *row) insert(x, end, n, cols int, s style) {
	n = min(n, end-x)
	r.split(x)
	r.split(end)
	r.need(end, cols)
	r.split(end - n) // its left half stays, its right half goes
	copy(r.cells[x+n:end], r.cells[x:end-n])
	for i := x; i < x+n; i++ {
		r.cells[i] = cell{char: ' ', style: s}
	}
}

// remove moves the cells before end by n to the left, over those from x on, and
// leaves blanks.
func (r *row) remove(x, end, n, cols int, s style) {
	n = min(n, end-x)
	r.split(x)
	r.split(end)
	r.need(end, cols)
	r.split(x + n)
	copy(r.cells[x:end-n], r.cells[x+n:end])
	for i := end - n; i < end; i++ {
		r.cells[i] = cell{char: ' ', style: s}
	}
}

// page is the content of the main or of the alternate screen.
type page []*row

func newPage(rows int) page {
	p := make(page, rows)
	for y := range p {
		p[y] = &row{}
	}
	return p
}

// up moves the rows from top to bottom, both among them, up by n; what comes in
// is blank.
func (p page) up(top, bottom, n int, s style) {
	n = min(n, bottom-top+1)
	if n <= 0 {
		return
	}
	gone := append(make([]*row, 0, 8), p[top:top+n]...)
	copy(p[top:], p[top+n:bottom+1])
	for i, r := range gone {
		r.clear(s)
		p[bottom-n+1+i] = r
	}
}

// down moves them down.
func (p page) down(top, bottom, n int, s style) {
	n = min(n, bottom-top+1)
	if n <= 0 {
		return
	}
	gone := append(make([]*row, 0, 8), p[bottom-n+1:bottom+1]...)
	copy(p[top+n:], p[top:bottom-n+1])
	for i, r := range gone {
		r.clear(s)
		p[top+i] = r
	}
}
