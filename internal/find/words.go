package find

import (
	"strings"
	"unicode"
)

// maxWord bounds a word, in bytes; a longer one is known by its beginning.
const maxWord = 64

// Words are the words of text, in order: runs of letters and digits in lower
// case. Of scripts that are written without spaces each character is a word.
func Words(text string) (list []string) {
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			list = append(list, word.String())
			word.Reset()
		}
	}
	full := false
	for _, r := range text {
		switch {
		case isAlone(r):
			end()
			list = append(list, string(r))
			full = false
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			r = unicode.ToLower(r)
			full = full || word.Len()+4 > maxWord
			if !full {
				word.WriteRune(r)
			}
		default:
			end()
			full = false
		}
	}
	end()
	return list
}

// isAlone says whether r is a word by itself.
func isAlone(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}
