// Package voice is how the proxy speaks to people: inside their ssh's own
// output, in the words of a fault, with the next step. It never speaks of
// causes; those are for the log.
package voice

import (
	"strings"
	"unicode"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// ExitStatus is what ssh exits with after a refusal: not 0 (scripts would
// believe that it ran), not 255 (ssh's own), not a shell's.
const ExitStatus = 254

// Text is f for somebody's stderr: one or more lines, the last one ended. For a
// terminal in raw mode lines end in CR LF.
func Text(f *fault.Error, terminal bool) string {
	return Lines(head(f)+f.Show(), terminal)
}

// Lines makes text fit to be written to somebody's terminal: no control
// character passes but the line's end.
func Lines(text string, terminal bool) string {
	text = clean(text) + "\n"
	if terminal {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}

// Line is f where there is room for one line: a disconnect, a banner, a refused
// channel.
func Line(f *fault.Error) string {
	text := head(f) + f.Text
	if f.Next != "" {
		text += "; " + f.Next
	}
	return strings.Join(strings.Fields(clean(text)), " ")
}

// head says whether somebody decided, or something broke.
func head(f *fault.Error) string {
	if f.Kind == fault.Denied || f.Kind == fault.Missing {
		return "sallyport: denied: "
	}
	return "sallyport: "
}

// clean takes out what could steer a terminal. Texts are ours or the CA's, but
// they quote names that others chose.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}
