package veil

import (
	"bytes"
	"time"
	"unicode/utf8"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/screen"
)

// Limits of what is remembered of a line and of the output, in bytes.
const (
	maxKnown = 64
	maxTail  = 256
	// tryLines is how many pending lines a piece of output is held against.
	tryLines = 8
)

// sure is from how many characters in a row on an echo is no coincidence; where
// it begins in the middle of a line and the node sends things by itself, verySure.
const (
	sure     = 3
	verySure = 5
)

// echo is what is known of the line that is being typed, as far as it was
// revealed.
type echo struct {
	known []byte // its end
	run   int    // characters of it that were echoed in a row
	tail  []byte // the end of the text that the node sent last, without controls
}

// reset begins another line.
func (e *echo) reset() {
	clear(e.known)
	e.known, e.run = e.known[:0], 0
}

// add notes what was revealed.
func (e *echo) add(text []byte) {
	e.run += utf8.RuneCount(text)
	e.known = append(e.known, text...)
	if n := len(e.known); n > maxKnown {
		e.known = append(e.known[:0], e.known[n-maxKnown:]...)
	}
}

// erase takes the last character back.
func (e *echo) erase() {
	_, size := utf8.DecodeLastRune(e.known)
	e.known = e.known[:len(e.known)-size]
}

// watcher holds one piece of output against what is pending. t.mu is held.
type watcher struct {
	t     *Terminal
	now   time.Duration
	ticks bool // the node sends things by itself
	first bool // the next text is at a place where echoes begin
	runs  []recording.Run

	text, masked, moved bool // of the whole piece, within atOnce: it has text, stars, movements
}

func (w *watcher) token(tok screen.Token) {
	switch tok.Kind {
	case screen.Text:
		w.look(tok.Bytes)
		w.segment(tok.Bytes)
		w.first = false
		return
	case screen.Control:
		if c := tok.Bytes[0]; c == '\r' || c == '\n' {
			w.newLine()
		}
	case screen.Sequence:
		w.moved = w.moved || bytes.IndexByte([]byte("HfABdJKLMSTPX@r"), tok.Final) >= 0
	case screen.Escape:
		w.moved = w.moved || tok.Final == 'M' || tok.Final == 'D'
	}
	w.first = true
	w.t.echo.tail = w.t.echo.tail[:0]
}

// segment holds text without controls against the pending lines.
func (w *watcher) segment(s []byte) {
	e, p := &w.t.echo, &w.t.pending
	e.tail = append(e.tail, s[max(0, len(s)-maxTail):]...)
	if n := len(e.tail); n > maxTail {
		e.tail = append(e.tail[:0], e.tail[n-maxTail:]...)
	}
	for i := 0; i < len(p.lines) && i < tryLines; i++ {
		l := &p.lines[i]
		l.ended = false
		text, _ := p.of(i)
		known := e.known
		if !l.goes {
			known = nil // of an earlier line
		}
		if w.first {
			if n := shown(s, text, known, *l); n > 0 {
				l.from, l.shown, l.loose = 0, n, false
			} else {
				l.later(s, text, w.now)
			}
		}
		if l.shown < len(text) && bytes.HasSuffix(e.tail, text) && (l.done || afterBlank(e.tail, text)) {
			l.from, l.shown, l.loose = 0, len(text), true
		}
		if l.shown == len(text) {
			l.ended = true
			if w.confirm(i, 0) {
				return
			}
		}
	}
}

// shown is how many bytes of l, whose text it is, are shown when s has come, at
// whose beginning an echo may begin.
func shown(s, text, known []byte, l line) int {
	best := 0
	if n := common(s, text[l.shown:]); n > 0 && l.from == 0 {
		best = l.shown + n
	}
	best = max(best, common(s, text))
	// An editor that draws the line again begins somewhere in what was there.
	for k := 1; k <= len(known) && k <= len(s); k++ {
		if bytes.HasPrefix(s, known[len(known)-k:]) {
			best = max(best, common(s[k:], text))
		}
	}
	return best
}

// later looks whether s shows the last key, and whatever was typed since such a
// key: what is before was typed in silence, such as a key that is a command. Each
// key has to be shown before the next.
func (l *line) later(s, text []byte, now time.Duration) {
	switch {
	case l.done || now-l.at > soon:
	case l.from > 0:
		n := common(s, text[l.shown:])
		if again := common(s, text[l.from:]); l.from+again > l.shown {
			n = l.from + again - l.shown
		}
		l.shown += n
	case l.key > 0 && common(s, text[l.key:]) == len(text)-l.key:
		l.from, l.shown, l.loose = l.key, len(text), false
	}
}

// common is the length of the prefix that a and b have in common.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// afterBlank says whether text, the end of tail, is long enough to be told from
// chance, or stands behind a prompt.
func afterBlank(tail, text []byte) bool {
	at := len(tail) - len(text)
	return utf8.RuneCount(text) >= sure || at > 0 && tail[at-1] == ' '
}

// newLine is Enter's echo, or that of nobody.
func (w *watcher) newLine() {
	p := &w.t.pending
	for i := range p.lines[:min(len(p.lines), tryLines)] {
		if l := &p.lines[i]; l.ended {
			l.ended = false
			w.confirm(i, 1)
			return
		}
	}
}

// confirm reveals line i, all of which was shown, if that is no coincidence. more
// is 1 when the echo of Enter followed.
func (w *watcher) confirm(i, more int) bool {
	e, p := &w.t.echo, &w.t.pending
	l := p.lines[i]
	text, _ := p.of(i)
	text = text[l.from:]
	run, need := utf8.RuneCount(text), sure
	if blank(text) && (!l.goes || l.from > 0 || e.run == 0) {
		return false // blanks or stars, and nothing before them
	}
	if !l.done {
		more = 0
	}
	switch {
	case l.loose && more == 0 && (l.done || run < sure):
		return false
	case l.from > 0 && w.ticks:
		need = verySure
	case l.from == 0 && l.goes:
		run += e.run
	}
	if run+more < need && (l.from > 0 || w.ticks || w.now-l.at > soon) {
		return false
	}
	if !l.goes || l.done || l.from > 0 {
		e.reset()
	}
	if !l.done {
		e.add(text)
	}
	w.runs = append(w.runs, p.reveal(i)...)
	w.t.answer.revealed()
	return true
}

// end is the end of the piece: was it a key's answer?
func (w *watcher) end() {
	p := &w.t.pending
	if n := len(p.lines); n == 0 || p.lines[n-1].done {
		return
	}
	if w.text && !w.masked && w.moved && !w.ticks && w.t.answer.answered() {
		w.runs = append(w.runs, p.last(w.t.answer.size)...)
		w.t.answer.revealed()
	}
}

// look notes what kind of text the node sent, if it is at once.
func (w *watcher) look(b []byte) {
	p := &w.t.pending
	if n := len(p.lines); n == 0 || w.now-p.lines[n-1].at > atOnce {
		return
	}
	for _, r := range string(b) {
		switch {
		case isMask(r):
			w.masked = true
		case r != ' ':
			w.text = true
		}
	}
}

// blank says whether b has nothing but blanks and what prompts show instead of
// what is typed.
func blank(b []byte) bool {
	for _, r := range string(b) {
		if r != ' ' && !isMask(r) {
			return false
		}
	}
	return true
}

func isMask(r rune) bool { return r == '*' || r == '•' || r == '●' || r == '∙' || r == '·' }
