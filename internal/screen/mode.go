package screen

// modes are the terminal's, other than the cursor's own.
type modes struct {
	insert      bool // IRM
	newline     bool // LNM
	autowrap    bool // DECAWM; on at the start
	cursorKeys  bool // DECCKM: arrows send ESC O
	keypad      bool // DECKPAM
	inverse     bool // DECSCNM
	hidden      bool // the cursor: DECTCEM, reset
	sides       bool // DECLRMM: there may be left and right margins
	focus       bool // 1004
	scroll      bool // 1007: the wheel sends arrows on the alternate screen
	paste       bool // 2004
	mouse       int  // 0, 9, 1000, 1002 or 1003
	mouseCoding int  // 0, 1005, 1006, 1015 or 1016
	shape       int  // of the cursor: DECSCUSR
}

// setMode is SM and RM.
func (s *Screen) setMode(mode int, on bool) {
	switch mode {
	case 4:
		s.modes.insert = on
	case 20:
		s.modes.newline = on
	}
}

// setPrivate is DECSET and DECRST.
func (s *Screen) setPrivate(mode int, on bool) {
	m := &s.modes
	switch mode {
	case 1:
		m.cursorKeys = on
	case 5:
		m.inverse = on
	case 6:
		s.cursor.origin = on
		s.place(0, 0)
	case 7:
		m.autowrap = on
		s.cursor.wrap = s.cursor.wrap && on
	case 25:
		m.hidden = !on
	case 66:
		m.keypad = on
	case 69:
		m.sides = on
		s.left, s.right = 0, s.cols-1
		s.cursor.wrap = false
	case 9, 1000, 1002, 1003:
		m.mouse = either(on, mode)
	case 1005, 1006, 1015, 1016:
		m.mouseCoding = either(on, mode)
	case 1004:
		m.focus = on
	case 1007:
		m.scroll = on
	case 2004:
		m.paste = on
	case 47, 1047:
		s.alternate(on)
	case 1048:
		if on {
			s.save()
		} else {
			s.restore()
		}
	case 1049:
		switch {
		case on && s.alt == nil:
			s.save()
			s.alternate(true)
		case !on && s.alt != nil:
			s.alternate(false)
			s.restore()
		}
	}
}

func either(on bool, mode int) int {
	if on {
		return mode
	}
	return 0
}

// alternate switches the alternate screen. It is blank each time, and the cursor
// stays where it is.
func (s *Screen) alternate(on bool) {
	if on == (s.alt != nil) {
		return
	}
	s.cursor.wrap = false
	if !on {
		s.alt, s.page = nil, s.main
		s.saved[1] = newCursor()
		return
	}
	s.alt = newPage(s.rows)
	s.page = s.alt
}

// softReset is DECSTR.
func (s *Screen) softReset() {
	s.modes.insert, s.modes.hidden, s.modes.cursorKeys, s.modes.keypad = false, false, false, false
	s.modes.autowrap = true
	s.margins()
	c := newCursor()
	c.x, c.y = s.cursor.x, s.cursor.y
	s.cursor = c
	*s.slot() = newCursor()
}
