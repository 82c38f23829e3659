package screen

import (
	"fmt"
	"slices"
)

// differ says in what two screens differ; "" where in nothing.
func differ(a, b *Screen) string {
	switch {
	case a.cols != b.cols || a.rows != b.rows:
		return "size"
	case a.cursor != b.cursor:
		return fmt.Sprintf("cursor: %+v and %+v", a.cursor, b.cursor)
	case a.saved != b.saved:
		return fmt.Sprintf("saved cursors: %+v and %+v", a.saved, b.saved)
	case a.modes != b.modes:
		return fmt.Sprintf("modes: %+v and %+v", a.modes, b.modes)
	case !slices.Equal(a.tabs, b.tabs):
		return "tab stops"
	case a.top != b.top || a.bottom != b.bottom || a.left != b.left || a.right != b.right:
		return "margins"
	case a.held != b.held || string(a.rune[:a.held]) != string(b.rune[:b.held]):
		return "what is held of a rune"
	case a.scanner.state != b.scanner.state || a.scanner.state == csi && string(a.scanner.seq) != string(b.scanner.seq):
		return "where in a sequence they are"
	}
	for i, pages := range [][2]page{{a.main, b.main}, {a.alt, b.alt}} {
		if len(pages[0]) != len(pages[1]) {
			return "pages"
		}
		for y := range pages[0] {
			for x := range a.cols {
				if p, q := pages[0][y].at(x), pages[1][y].at(x); p != q {
					return fmt.Sprintf("page %d, line %d, column %d: %+v and %+v", i, y, x, p, q)
				}
			}
		}
	}
	return ""
}

// sound says what no screen may be; "" where it is none of it.
func sound(s *Screen) string {
	if s.faults > 0 {
		return "it had to begin afresh"
	}
	if len(s.main) != s.rows || s.alt != nil && len(s.alt) != s.rows {
		return "rows are missing"
	}
	c := s.cursor
	if c.x < 0 || c.x >= s.cols || c.y < 0 || c.y >= s.rows {
		return "the cursor is outside"
	}
	for y, r := range s.page {
		if len(r.cells) > s.cols || cap(r.cells) > s.cols {
			return fmt.Sprintf("line %d is too long: %d of %d", y, len(r.cells), cap(r.cells))
		}
		for x, c := range r.cells {
			switch {
			case c.half == left && (x+1 == len(r.cells) || r.cells[x+1].half != right),
				c.half == right && (x == 0 || r.cells[x-1].half != left):
				return fmt.Sprintf("half a character in line %d, column %d", y, x)
			}
		}
	}
	return ""
}
