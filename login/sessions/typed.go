package sessions

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/screen"
)

// maxTyped is how many typed bytes of a channel are told, which is more than
// anybody types in a day.
const maxTyped = 1 << 20

// typed is what was typed at one terminal, byte for byte.
type typed struct {
	bytes  []byte
	silent []bool         // under the veil: the byte is not known
	frames map[uint64]int // where in bytes a veiled frame begins
	times  []stretch
}

// stretch is when the bytes from an index on were typed.
type stretch struct {
	from int
	at   time.Duration
}

// add takes in input, which is veiled or in clear.
func (t *typed) add(f recording.Frame) {
	if len(t.bytes)+len(f.Payload) > maxTyped {
		return
	}
	veiled := f.Kind == recording.KindVeiled
	if veiled {
		if t.frames == nil {
			t.frames = map[uint64]int{}
		}
		t.frames[f.Number] = len(t.bytes)
	}
	t.times = append(t.times, stretch{len(t.bytes), f.At})
	for _, c := range f.Payload {
		t.bytes = append(t.bytes, c)
		t.silent = append(t.silent, veiled)
	}
}

// reveal puts in what was echoed.
func (t *typed) reveal(runs []recording.Run) {
	for _, r := range runs {
		from, ok := t.frames[r.Frame]
		if from += r.Offset; !ok || from+len(r.Bytes) > len(t.bytes) {
			continue
		}
		copy(t.bytes[from:], r.Bytes)
		clear(t.silent[from : from+len(r.Bytes)])
	}
}

// typedLine is what was typed before one Enter.
type typedLine struct {
	at     time.Duration // of Enter
	text   string
	silent int // bytes that were typed without echo
}

// lines are what was typed, as the terminal's own editing keys left it.
func (t *typed) lines() (list []typedLine) {
	var line typedLine
	var text []byte
	var scanner screen.Scanner
	next := 0
	for i, c := range t.bytes {
		for next < len(t.times) && t.times[next].from <= i {
			line.at = t.times[next].at
			next++
		}
		if t.silent[i] {
			line.silent++
			continue
		}
		enter := false
		scanner.Scan([]byte{c}, func(tok screen.Token) {
			text, enter = edit(text, tok)
		})
		if enter {
			line.text = string(text)
			if line.text != "" || line.silent > 0 {
				list = append(list, line)
			}
			line, text = typedLine{at: line.at}, text[:0]
		}
	}
	if len(text) > 0 || line.silent > 0 {
		line.text = string(text)
		list = append(list, line)
	}
	return list
}

// edit does to a line what a key does, as far as one can know; the other keys
// stand there by their names.
func edit(text []byte, t screen.Token) (_ []byte, enter bool) {
	switch t.Kind {
	case screen.Text:
		return append(text, t.Bytes...), false
	case screen.Sequence:
		return append(text, arrowNames[t.Final]...), false
	case screen.Control:
		switch t.Bytes[0] {
		case '\r', '\n':
			return text, true
		case 0x7f, '\b':
			_, size := utf8.DecodeLastRune(text)
			return text[:len(text)-size], false
		case 0x15: // ^U
			return text[:0], false
		case '\t':
			return append(text, "<Tab>"...), false
		case 0x03:
			return append(text, "^C"...), true
		}
	}
	return text, false
}

var arrowNames = map[byte]string{'A': "<Up>", 'B': "<Down>", 'C': "<Right>", 'D': "<Left>"}

func (l typedLine) String() string {
	var b strings.Builder
	if l.text != "" {
		b.WriteString("> " + recording.Quote(l.text))
	}
	if l.silent > 0 {
		if l.text != "" {
			b.WriteString("  ")
		}
		b.WriteString("(" + recording.Silence{Bytes: l.silent}.String() + ")")
	}
	return b.String()
}
