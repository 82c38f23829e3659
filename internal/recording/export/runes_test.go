package export

import (
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

// TestPiecesDoNotMatter: cut anywhere, the text is the same as in one piece.
func TestPiecesDoNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	parts := []string{"a", "é", "€", "😀", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\x80", "\xe0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf", "\ufffd"}
	for range 2000 {
		var b []byte
		for range rng.IntN(12) {
			b = append(b, parts[rng.IntN(len(parts))]...)
		}
		want := decode(b)
		var pieces runes
		got := ""
		for rest := b; len(rest) > 0; {
			n := 1 + rng.IntN(min(len(rest), 3))
			got += string(pieces.take(rest[:n]))
			rest = rest[n:]
		}
		got += string(pieces.end())
		if got != want || !utf8.ValidString(got) {
			t.Fatalf("%q: %q, in one piece %q", b, got, want)
		}
		if utf8.Valid(b) && got != string(b) {
			t.Fatalf("%q became %q", b, got)
		}
	}
}

// decode is b in one piece.
func decode(b []byte) string {
	var r runes
	text := string(r.take(b)) // before end, which uses the same buffer
	return text + string(r.end())
}

func TestWhatIsNoUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"\xff":             "\ufffd",
		"\xc3":             "\ufffd",
		"\xe2\x82":         "\ufffd",
		"\xe2\x82x":        "\ufffdx",
		"\xe2\x82\xe2":     "\ufffd\ufffd",
		"\xf0\x9f\x98\xff": "\ufffd\ufffd",
		"\xe0\x80":         "\ufffd\ufffd",
		"\ufffd":           "\ufffd",
	} {
		if got := decode([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
