package screen

// maxParams is how many parameters of a sequence count.
const maxParams = 32

// sequence carries out a control sequence. Every one but SGR and the modes ends
// the wait for a line's wrap.
func (s *Screen) sequence(t Token) {
	params := t.Params
	prefix := byte(0)
	if len(params) > 0 && params[0] >= '<' && params[0] <= '?' {
		prefix, params = params[0], params[1:]
	}
	middle := byte(0)
	if n := len(params); n > 0 && params[n-1] < '0' {
		middle, params = params[n-1], params[:n-1]
	}
	if t.Final == 'm' {
		if prefix == 0 && middle == 0 {
			s.cursor.style.set(params)
		}
		return
	}
	if !s.parse(params) {
		return
	}
	switch {
	case middle == 0 && prefix == 0:
		s.plainSequence(t.Final)
	case middle == 0 && prefix == '?':
		s.privateSequence(t.Final)
	case middle == '!' && prefix == 0 && t.Final == 'p':
		s.softReset()
	case middle == ' ' && prefix == 0 && t.Final == 'q':
		if shape := s.number(0, 0); shape <= 6 {
			s.modes.shape = shape
		}
	case middle == '$' && prefix == 0:
		s.rectangle(t.Final)
	}
}

// parse reads numbers between semicolons; what is left out is -1.
func (s *Screen) parse(b []byte) bool {
	s.params = s.params[:0]
	n := -1
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n = min(max(n, 0)*10+int(c-'0'), 1<<16)
		case c == ';':
			if len(s.params) < maxParams {
				s.params = append(s.params, n)
			}
			n = -1
		default:
			return false
		}
	}
	if len(s.params) < maxParams {
		s.params = append(s.params, n)
	}
	return true
}

// number is the i-th parameter; missing where it is left out.
func (s *Screen) number(i, missing int) int {
	if i >= len(s.params) || s.params[i] < 0 {
		return missing
	}
	return s.params[i]
}

// count is the i-th parameter of those for which 0 means 1, too.
func (s *Screen) count(i int) int { return max(s.number(i, 1), 1) }

func (s *Screen) plainSequence(final byte) {
	c := &s.cursor
	if final == 'h' || final == 'l' {
		for _, mode := range s.params {
			s.setMode(mode, final == 'h')
		}
		return
	}
	if final == 'b' {
		s.repeat(s.count(0))
		return
	}
	c.wrap = false
	n := s.count(0)
	switch final {
	case '@':
		if s.inside() {
			s.page[c.y].insert(c.x, s.right+1, n, s.cols, c.style.erased())
		}
	case 'A':
		s.moveY(-n)
	case 'B', 'e':
		s.moveY(n)
	case 'C', 'a':
		s.moveX(n)
	case 'D':
		s.moveX(-n)
	case 'E':
		s.moveY(n)
		s.carriageReturn()
	case 'F':
		s.moveY(-n)
		s.carriageReturn()
	case 'G', '`':
		y := c.y
		if c.origin {
			y -= s.top
		}
		s.place(n-1, max(y, 0))
	case 'd':
		x := c.x
		if c.origin {
			x -= s.left
		}
		s.place(max(x, 0), n-1)
	case 'H', 'f':
		s.place(s.count(1)-1, n-1)
	case 'I':
		s.tab(min(n, s.cols))
	case 'Z':
		s.tab(-min(n, s.cols))
	case 'J':
		s.eraseDisplay(s.number(0, 0))
	case 'K':
		s.eraseLine(s.number(0, 0))
	case 'L':
		if s.inside() {
			s.scrollDown(c.y, n)
			c.x = s.left
		}
	case 'M':
		if s.inside() {
			s.scrollUp(c.y, n)
			c.x = s.left
		}
	case 'P':
		if s.inside() {
			s.page[c.y].remove(c.x, s.right+1, n, s.cols, c.style.erased())
		}
	case 'S':
		s.scrollUp(s.top, n)
	case 'T':
		if len(s.params) == 1 { // five are xterm's highlight tracking
			s.scrollDown(s.top, n)
		}
	case 'X':
		s.page[c.y].erase(c.x, min(c.x+n, s.cols), s.cols, c.style.erased())
	case 'g':
		s.clearTabs(s.number(0, 0))
	case 'r':
		s.setMargins()
	case 's':
		if s.modes.sides {
			s.setSides()
		} else {
			s.save()
		}
	case 'u':
		s.restore()
	}
}

// inside says whether the cursor is within all margins, where alone lines and
// characters can be inserted and removed.
func (s *Screen) inside() bool {
	c := s.cursor
	return c.y >= s.top && c.y <= s.bottom && c.x >= s.left && c.x <= s.right
}

func (s *Screen) privateSequence(final byte) {
	switch final {
	case 'h', 'l':
		for _, mode := range s.params {
			s.setPrivate(mode, final == 'h')
		}
	case 'J':
		s.cursor.wrap = false
		s.eraseDisplay(s.number(0, 0))
	case 'K':
		s.cursor.wrap = false
		s.eraseLine(s.number(0, 0))
	}
}

// repeat is REP. Programs use it within a line, and more is not done: a few
// bytes shall not draw a thousand lines.
func (s *Screen) repeat(n int) {
	x := s.before()
	if x < 0 {
		return
	}
	c := s.page[s.cursor.y].at(x)
	set := s.cursor.sets
	s.cursor.sets = newCursor().sets // it is translated already
	for range min(n, s.cols) {
		s.put(c.char)
	}
	s.cursor.sets = set
}

func (s *Screen) eraseDisplay(how int) {
	c, blank := s.cursor, s.cursor.style.erased()
	from, to := 0, s.rows
	switch how {
	case 0:
		s.page[c.y].erase(c.x, s.cols, s.cols, blank)
		from = c.y + 1
	case 1:
		s.page[c.y].erase(0, c.x+1, s.cols, blank)
		to = c.y
	case 2:
	default:
		return // 3 is the scrollback, of which there is none
	}
	for y := from; y < to; y++ {
		s.page[y].clear(blank)
	}
}

func (s *Screen) eraseLine(how int) {
	c, r := s.cursor, s.page[s.cursor.y]
	switch how {
	case 0:
		r.erase(c.x, s.cols, s.cols, c.style.erased())
	case 1:
		r.erase(0, c.x+1, s.cols, c.style.erased())
	case 2:
		r.clear(c.style.erased())
	}
}

func (s *Screen) clearTabs(how int) {
	switch how {
	case 0:
		s.tabs[s.cursor.x] = false
	case 3:
		clear(s.tabs)
	}
}

// setMargins is DECSTBM.
func (s *Screen) setMargins() {
	top, bottom := s.count(0)-1, s.number(1, s.rows)
	if bottom == 0 || bottom > s.rows {
		bottom = s.rows
	}
	if top >= bottom-1 {
		return
	}
	s.top, s.bottom = top, bottom-1
	s.place(0, 0)
}

// setSides is DECSLRM.
func (s *Screen) setSides() {
	from, to := s.count(0)-1, s.number(1, s.cols)
	if to == 0 || to > s.cols {
		to = s.cols
	}
	if from >= to-1 {
		return
	}
	s.left, s.right = from, to-1
	s.place(0, 0)
}

// rectangle is DECERA and DECFRA, by which tmux clears a pane where the terminal
// says that it can.
func (s *Screen) rectangle(final byte) {
	char, area := ' ', 0
	style := s.cursor.style.erased()
	switch final {
	case 'z':
	case 'x':
		char, area = rune(s.number(0, ' ')), 1
		style = s.cursor.style
		if char < 0x20 || char > 0x7e {
			return
		}
	default:
		return
	}
	s.cursor.wrap = false
	top, from := s.count(area)-1, s.count(area+1)-1
	bottom, to := min(s.number(area+2, s.rows), s.rows), min(s.number(area+3, s.cols), s.cols)
	if s.cursor.origin {
		top, bottom = top+s.top, min(bottom+s.top, s.bottom+1)
		from, to = from+s.left, min(to+s.left, s.right+1)
	}
	if from >= to {
		return
	}
	for y := top; y < bottom; y++ {
		s.page[y].erase(from, to, s.cols, style)
		for x := from; x < to && char != ' '; x++ {
			s.page[y].need(to, s.cols)
			s.page[y].cells[x].char = char
		}
	}
}
