package export

import (
	"strings"
	"time"
	"unicode"
)

// maxColumn bounds a line: a longer one is broken there.
const maxColumn = 4096

// screenLine follows the one line that the cursor is in, as a terminal would:
// backspace, carriage return and the sequences that edit a line do what they do.
// What moves to another line ends it. It is for reading, not a screen.
type screenLine struct {
	emit func(at time.Duration, text string)

	scanner Scanner
	runes   runes
	full    bool // the alternate screen is on
	line    []rune
	column  int
	begun   time.Duration // when the first rune came
}

func (s *screenLine) write(at time.Duration, b []byte) {
	s.scanner.Scan(b, func(t Token) {
		switch t.Kind {
		case Text:
			if s.full {
				return
			}
			for _, r := range string(s.runes.take(t.Bytes)) {
				if unicode.IsPrint(r) {
					s.put(at, r)
				}
			}
		case Control:
			if !s.full {
				s.control(at, t.Bytes[0])
			}
		case Sequence:
			if len(t.Params) > 0 && t.Params[0] == '?' {
				s.private(at, t)
			} else if !s.full {
				s.sequence(t)
			}
		}
	})
}

func (s *screenLine) control(at time.Duration, c byte) {
	switch c {
	case '\n', '\v', '\f':
		s.end(at)
	case '\r':
		s.column = 0
	case '\b':
		s.column = max(s.column-1, 0)
	case '\t':
		for s.put(at, ' '); s.column%8 != 0; {
			s.put(at, ' ')
		}
	}
}

func (s *screenLine) put(at time.Duration, r rune) {
	if s.column >= maxColumn {
		s.end(at)
	}
	if len(s.line) == 0 {
		s.begun = at
	}
	for len(s.line) <= s.column {
		s.line = append(s.line, ' ')
	}
	s.line[s.column] = r
	s.column++
}

// sequence carries out a control sequence.
func (s *screenLine) sequence(t Token) {
	n := number(t.Params)
	switch t.Final {
	case 'C': // cursor forward
		s.column = min(s.column+max(n, 1), maxColumn)
	case 'D': // cursor back
		s.column = max(s.column-max(n, 1), 0)
	case 'G': // cursor to column
		s.column = max(n, 1) - 1
	case 'K': // erase in line
		s.erase(n)
	case 'P': // delete characters
		if s.column < len(s.line) {
			s.line = append(s.line[:s.column], s.line[min(s.column+max(n, 1), len(s.line)):]...)
		}
	case '@': // insert characters
		if s.column < len(s.line) {
			blank := []rune(strings.Repeat(" ", max(n, 1)))
			s.line = append(s.line[:s.column], append(blank, s.line[s.column:]...)...)
			s.line = s.line[:min(len(s.line), maxColumn)]
		}
	case 'A', 'B', 'E', 'F', 'H', 'J', 'd', 'f': // to another line, or the screen is cleared
		s.finish()
	}
}

func (s *screenLine) erase(how int) {
	switch {
	case how == 0 && s.column < len(s.line):
		s.line = s.line[:s.column]
	case how == 1:
		for i := range min(s.column+1, len(s.line)) {
			s.line[i] = ' '
		}
	case how == 2:
		s.line = s.line[:0]
	}
}

// private follows the alternate screen (xterm's modes 47, 1047 and 1049).
func (s *screenLine) private(at time.Duration, t Token) {
	if p := string(t.Params); p != "?47" && p != "?1047" && p != "?1049" {
		return
	}
	switch {
	case t.Final == 'h' && !s.full:
		s.finish()
		s.full = true
		s.emit(at, "[full screen]")
	case t.Final == 'l' && s.full:
		s.full = false
		s.emit(at, "[end of full screen]")
	}
}

// end emits the line, also an empty one.
func (s *screenLine) end(at time.Duration) {
	if len(s.line) == 0 {
		s.begun = at
	}
	s.emit(s.begun, strings.TrimRight(string(s.line), " "))
	s.line, s.column = s.line[:0], 0
}

// finish emits the line unless there is nothing in it.
func (s *screenLine) finish() {
	if strings.TrimSpace(string(s.line)) != "" {
		s.emit(s.begun, strings.TrimRight(string(s.line), " "))
	}
	s.line, s.column = s.line[:0], 0
}

// number is the first parameter of a sequence, 0 when it is left out.
func number(params []byte) int {
	n := 0
	for _, c := range params {
		if c < '0' || c > '9' {
			break
		}
		n = min(n*10+int(c-'0'), maxColumn)
	}
	return n
}
