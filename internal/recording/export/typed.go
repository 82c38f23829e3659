package export

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

// Typed gathers what was typed at one terminal, byte for byte. The zero Typed is
// ready.
type Typed struct {
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

// Add takes in a KindInput or a KindVeiled of the terminal.
func (t *Typed) Add(f recording.Frame) {
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

// Reveal puts in what was echoed.
func (t *Typed) Reveal(runs []recording.Run) {
	for _, r := range runs {
		from, ok := t.frames[r.Frame]
		if from += r.Offset; !ok || from+len(r.Bytes) > len(t.bytes) {
			continue
		}
		copy(t.bytes[from:], r.Bytes)
		clear(t.silent[from : from+len(r.Bytes)])
	}
}

// TypedLine is what was typed before one Enter.
type TypedLine struct {
	At     time.Duration // of Enter
	Text   string        // whatever bytes the person's terminal sent
	Silent int           // bytes that were typed without echo
}

// Lines are what was typed, as the terminal's own editing keys left it.
func (t *Typed) Lines() (list []TypedLine) {
	var line TypedLine
	var text []byte
	var scanner screen.Scanner
	next := 0
	for i, c := range t.bytes {
		for next < len(t.times) && t.times[next].from <= i {
			line.At = t.times[next].at
			next++
		}
		if t.silent[i] {
			line.Silent++
			continue
		}
		enter := false
		scanner.Scan([]byte{c}, func(tok screen.Token) {
			text, enter = edit(text, tok)
		})
		if enter {
			line.Text = string(text)
			if line.Text != "" || line.Silent > 0 {
				list = append(list, line)
			}
			line, text = TypedLine{At: line.At}, text[:0]
		}
	}
	if len(text) > 0 || line.Silent > 0 {
		line.Text = string(text)
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

// String is the line as people are shown it, quoted where it would not print.
func (l TypedLine) String() string {
	var b strings.Builder
	if l.Text != "" {
		b.WriteString("> " + recording.Quote(l.Text))
	}
	if l.Silent > 0 {
		if l.Text != "" {
			b.WriteString("  ")
		}
		b.WriteString("(" + recording.Silence{Bytes: l.Silent}.String() + ")")
	}
	return b.String()
}
