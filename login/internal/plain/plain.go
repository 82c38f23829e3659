// Package plain makes text that others sent fit for a person's terminal: a CA, an
// issuer or a node that is not what it seems gets to say something, and not to
// move the cursor, to recolour what was said before, or to type.
package plain

import (
	"strings"
	"unicode"
)

// Text is s without what does not print. What is taken out leaves a mark, so that
// two names do not become one.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// List is the texts in one line.
func List(all []string) string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = Text(s)
	}
	return strings.Join(out, ", ")
}
