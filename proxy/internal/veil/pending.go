package veil

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Limits of what waits for its echo.
const (
	maxPending = 64 << 10 // bytes
	maxLines   = 512
)

// pending is the text that stands under the veil and may still be echoed, oldest
// first.
type pending struct {
	text   []byte
	pieces []piece // where it stands in the recording
	lines  []line  // how it was typed
}

// piece is a stretch of the text in one frame.
type piece struct {
	frame  uint64
	offset int
	size   int
}

// line is what was typed between two Enters, as far as it is pending.
type line struct {
	size  int
	goes  bool          // it goes on where something was revealed already
	done  bool          // Enter followed
	shown int           // up to here the node has shown it,
	from  int           // from here on: what is before was typed in silence
	loose bool          // it was not shown where echoes begin: only the echo of Enter makes it sure
	ended bool          // its end is what the node sent last
	at    time.Duration // when the last of it was typed,
	key   int           // where that begins
}

func (p *pending) empty() bool { return len(p.lines) == 0 }

// add notes typed text. Where there is too much, the oldest goes.
func (p *pending) add(text []byte, frame uint64, offset int, now time.Duration) {
	if len(text) > maxPending {
		offset += len(text) - maxPending
		text = text[len(text)-maxPending:]
	}
	for len(p.text)+len(text) > maxPending || len(p.lines) >= maxLines {
		p.drop(1)
	}
	p.text = append(p.text, text...)
	p.pieces = append(p.pieces, piece{frame, offset, len(text)})
	if n := len(p.lines); n == 0 || p.lines[n-1].done {
		p.lines = append(p.lines, line{goes: n == 0})
	}
	last := &p.lines[len(p.lines)-1]
	if last.from > 0 && last.shown < last.size {
		last.from, last.shown = 0, 0 // a key was silent: it was a coincidence
	}
	last.key = last.size
	last.size += len(text)
	last.at = now
}

// end notes Enter, and says whether something of its line was pending.
func (p *pending) end() bool {
	n := len(p.lines)
	if n == 0 || p.lines[n-1].done {
		return false
	}
	p.lines[n-1].done = true
	return true
}

// erase forgets the last character of a line that goes on: it will not be
// echoed, or was and is erased. It says whether there was one.
func (p *pending) erase() bool {
	n := len(p.lines)
	if n == 0 || p.lines[n-1].done {
		return false
	}
	l := &p.lines[n-1]
	_, size := utf8.DecodeLastRune(p.text[len(p.text)-l.size:])
	p.last(size)
	return true
}

// last forgets the last n bytes, which are of one line, and returns them as runs.
func (p *pending) last(n int) (runs []recording.Run) {
	l := &p.lines[len(p.lines)-1]
	n = min(n, l.size)
	l.size -= n
	l.shown, l.from, l.key = min(l.shown, l.size), min(l.from, l.size), min(l.key, l.size)
	text := append([]byte(nil), p.text[len(p.text)-n:]...)
	p.text = p.text[:len(p.text)-n]
	for len(text) > 0 {
		f := &p.pieces[len(p.pieces)-1]
		k := min(len(text), f.size)
		f.size -= k
		runs = append(runs, recording.Run{Frame: f.frame, Offset: f.offset + f.size, Bytes: text[len(text)-k:]})
		text = text[:len(text)-k]
		if f.size == 0 {
			p.pieces = p.pieces[:len(p.pieces)-1]
		}
	}
	if l.size == 0 {
		p.lines = p.lines[:len(p.lines)-1]
		p.tidy()
	}
	slices.Reverse(runs)
	return runs
}

// of is the text of line i, and where it begins.
func (p *pending) of(i int) (text []byte, start int) {
	for _, l := range p.lines[:i] {
		start += l.size
	}
	return p.text[start : start+p.lines[i].size], start
}

// drop forgets the first n lines.
func (p *pending) drop(n int) {
	if n == 0 {
		return
	}
	_, start := p.of(n - 1)
	p.take(start + p.lines[n-1].size)
	p.lines = append(p.lines[:0], p.lines[n:]...)
	p.tidy()
}

// take takes n bytes off the front of text and pieces, and returns them as runs.
func (p *pending) take(n int) (runs []recording.Run) {
	text := append([]byte(nil), p.text[:n]...)
	p.text = append(p.text[:0], p.text[n:]...)
	used := 0
	for i := range p.pieces {
		if len(text) == 0 {
			break
		}
		f := &p.pieces[i]
		k := min(len(text), f.size)
		runs = append(runs, recording.Run{Frame: f.frame, Offset: f.offset, Bytes: text[:k:k]})
		text = text[k:]
		f.offset, f.size = f.offset+k, f.size-k
		if f.size == 0 {
			used++
		}
	}
	p.pieces = append(p.pieces[:0], p.pieces[used:]...)
	return runs
}

// reveal forgets what is before line i and what of it was silent, and returns the
// rest of it as runs.
func (p *pending) reveal(i int) []recording.Run {
	p.drop(i)
	p.take(p.lines[0].from)
	runs := p.take(p.lines[0].size - p.lines[0].from)
	p.lines = append(p.lines[:0], p.lines[1:]...)
	p.tidy()
	return runs
}

// expire forgets lines for whose echo nobody waits any more, and says whether
// there were any.
func (p *pending) expire(now time.Duration) bool {
	n := 0
	for n < len(p.lines) && now-p.lines[n].at > kept {
		n++
	}
	p.drop(n)
	return n > 0
}

// tidy gives memory back when nothing is pending. The text does not stay in it.
func (p *pending) tidy() {
	if len(p.lines) > 0 {
		return
	}
	clear(p.text[:cap(p.text)])
	p.text, p.pieces, p.lines = p.text[:0], p.pieces[:0], p.lines[:0]
	if cap(p.text) > 512 || cap(p.pieces) > 64 {
		*p = pending{}
	}
}
