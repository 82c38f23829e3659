package screen

// control carries out a control character of C0. BEL and what asks the terminal
// for an answer do nothing.
func (s *Screen) control(c byte) {
	switch c {
	case '\b':
		s.cursor.wrap = false
		s.moveX(-1)
	case '\t':
		s.tab(1)
	case '\n', '\v', '\f':
		s.cursor.wrap = false
		s.index()
		if s.modes.newline {
			s.carriageReturn()
		}
	case '\r':
		s.carriageReturn()
	case 0x0e:
		s.cursor.shift = 1
	case 0x0f:
		s.cursor.shift = 0
	}
}

// escape carries out an escape sequence without parameters.
func (s *Screen) escape(t Token) {
	if len(t.Bytes) == 3 {
		if g := t.Bytes[1] - '('; g < 4 {
			s.designate(int(g), t.Final)
		}
		return
	}
	if len(t.Bytes) != 2 {
		return
	}
	switch t.Final {
	case '7':
		s.save()
	case '8':
		s.restore()
	case 'D':
		s.cursor.wrap = false
		s.index()
	case 'E':
		s.newLine()
	case 'H':
		s.tabs[s.cursor.x] = true
	case 'M':
		s.cursor.wrap = false
		s.reverseIndex()
	case 'c':
		s.reset()
	case '=':
		s.modes.keypad = true
	case '>':
		s.modes.keypad = false
	case 'n':
		s.cursor.shift = 2
	case 'o':
		s.cursor.shift = 3
	}
}

// designate makes a character set one of G0 to G3. Those that are not known are
// as ASCII.
func (s *Screen) designate(g int, set byte) {
	if set != '0' && set != 'A' {
		set = 'B'
	}
	s.cursor.sets[g] = set
}

func (s *Screen) carriageReturn() {
	s.cursor.wrap = false
	if s.cursor.x < s.left {
		s.cursor.x = 0
	} else {
		s.cursor.x = s.left
	}
}

// index moves the cursor down, and what is within the margins up where it stands
// in the last line.
func (s *Screen) index() {
	switch c := s.cursor; {
	case c.y == s.bottom && c.x >= s.left && c.x <= s.right:
		s.scrollUp(s.top, 1)
	case c.y != s.bottom && c.y < s.rows-1:
		s.cursor.y++
	}
}

// reverseIndex moves the cursor up.
func (s *Screen) reverseIndex() {
	switch c := s.cursor; {
	case c.y == s.top && c.x >= s.left && c.x <= s.right:
		s.scrollDown(s.top, 1)
	case c.y != s.top && c.y > 0:
		s.cursor.y--
	}
}

// moveX moves the cursor within the margins if it is within them.
func (s *Screen) moveX(n int) {
	c := &s.cursor
	least, most := 0, s.cols-1
	if c.x >= s.left {
		least = s.left
	}
	if c.x <= s.right {
		most = s.right
	}
	c.x = min(max(c.x+n, least), most)
}

func (s *Screen) moveY(n int) {
	c := &s.cursor
	least, most := 0, s.rows-1
	if c.y >= s.top {
		least = s.top
	}
	if c.y <= s.bottom {
		most = s.bottom
	}
	c.y = min(max(c.y+n, least), most)
}

// place puts the cursor to a line and column, both from 0.
func (s *Screen) place(x, y int) {
	c := &s.cursor
	c.wrap = false
	if c.origin {
		c.x = min(s.left+x, s.right)
		c.y = min(s.top+y, s.bottom)
		return
	}
	c.x, c.y = min(x, s.cols-1), min(y, s.rows-1)
}

// tab goes to the n-th tab stop, backwards where n is below 0.
func (s *Screen) tab(n int) {
	c := &s.cursor
	c.wrap = false
	most := s.edge() - 1
	for ; n > 0 && c.x < most; n-- {
		for c.x++; c.x < most && !s.tabs[c.x]; c.x++ {
		}
	}
	least := 0
	if c.x >= s.left {
		least = s.left
	}
	for ; n < 0 && c.x > least; n++ {
		for c.x--; c.x > least && !s.tabs[c.x]; c.x-- {
		}
	}
}

// slot is which cursor DECSC saves to: each screen has its own.
func (s *Screen) slot() *cursor {
	if s.alt != nil {
		return &s.saved[1]
	}
	return &s.saved[0]
}

func (s *Screen) save() {
	c := s.cursor
	c.wrap = c.wrap && c.x == s.cols-1
	*s.slot() = c
}

func (s *Screen) restore() {
	s.cursor = *s.slot()
	c := &s.cursor
	c.wrap = c.wrap && s.modes.autowrap && s.right == s.cols-1
	if c.origin {
		c.x = min(max(c.x, s.left), s.right)
		c.y = min(max(c.y, s.top), s.bottom)
		c.wrap = c.wrap && c.x == s.cols-1
	}
}

// scrollUp moves the lines from top to the bottom margin up by n.
func (s *Screen) scrollUp(top, n int) {
	blank := s.cursor.style.erased()
	if s.left == 0 && s.right == s.cols-1 {
		s.page.up(top, s.bottom, n, blank)
		return
	}
	s.narrow(top)
	n = min(n, s.bottom-top+1)
	for y := top; y <= s.bottom; y++ {
		s.takeFrom(y, y+n, blank)
	}
}

// scrollDown moves them down.
func (s *Screen) scrollDown(top, n int) {
	blank := s.cursor.style.erased()
	if s.left == 0 && s.right == s.cols-1 {
		s.page.down(top, s.bottom, n, blank)
		return
	}
	s.narrow(top)
	n = min(n, s.bottom-top+1)
	for y := s.bottom; y >= top; y-- {
		if y-n < top {
			s.page[y].erase(s.left, s.right+1, s.cols, blank)
		} else {
			s.takeFrom(y, y-n, blank)
		}
	}
}

// narrow cuts wide characters that stand across the left or right margin.
func (s *Screen) narrow(top int) {
	for y := top; y <= s.bottom; y++ {
		s.page[y].split(s.left)
		s.page[y].split(s.right + 1)
	}
}

// takeFrom makes what is between the margins of row y what it is in row from, or
// blank where that is below the bottom margin.
func (s *Screen) takeFrom(y, from int, blank style) {
	if from > s.bottom {
		s.page[y].erase(s.left, s.right+1, s.cols, blank)
		return
	}
	to, of := s.page[y], s.page[from]
	to.need(s.right+1, s.cols)
	of.need(s.right+1, s.cols)
	copy(to.cells[s.left:s.right+1], of.cells[s.left:s.right+1])
}
