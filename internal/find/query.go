package find

import (
	"slices"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Limits of a query.
const (
	maxQuery = 512 // bytes
	maxWords = 16
)

// Query is what a person asks. The zero Query matches nothing.
type Query struct {
	terms []term
}

// term is words that have to stand side by side.
type term struct {
	words  []string
	prefix bool // the last one may go on
}

// Parse reads a query: words that all have to be in a line, in any order; in
// double quotes, words that have to stand side by side, as do those that
// punctuation alone separates (/etc/passwd); with a star at its end, the
// beginning of a word (a prefix of two letters at least). What asks for nothing
// is bad_request.
func Parse(text string) (Query, error) {
	if len(text) > maxQuery {
		return Query{}, fault.New(fault.Invalid, fault.BadRequest, "the query is longer than %d bytes", maxQuery)
	}
	var q Query
	count := 0
	for _, piece := range pieces(text) {
		words := Words(piece)
		if len(words) == 0 {
			continue
		}
		t := term{words: words, prefix: strings.HasSuffix(piece, "*")}
		if last := words[len(words)-1]; t.prefix && len([]rune(last)) < 2 {
			return Query{}, fault.New(fault.Invalid, fault.BadRequest, "%s* would find nearly everything; give two letters at least", last)
		}
		count += len(words)
		q.terms = append(q.terms, t)
	}
	switch {
	case count == 0:
		return Query{}, fault.New(fault.Invalid, fault.BadRequest, "there is no word in that query").
			Then("words are letters and digits: sallyport sessions search 'drop table'")
	case count > maxWords:
		return Query{}, fault.New(fault.Invalid, fault.BadRequest, "the query has more than %d words", maxWords)
	}
	return q, nil
}

// pieces splits at spaces outside of double quotes.
func pieces(text string) (list []string) {
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		list = append(list, strings.Fields(part)...)
	}
	return list
}

// Words are the words, each once, that a chunk must have, and prefixes of words.
// At least one of the two is not empty.
func (q Query) Words() (words, prefixes []string) {
	for _, t := range q.terms {
		whole := t.words
		if t.prefix {
			whole = t.words[:len(t.words)-1]
			prefixes = append(prefixes, t.words[len(t.words)-1])
		}
		words = append(words, whole...)
	}
	slices.Sort(words)
	slices.Sort(prefixes)
	return slices.Compact(words), slices.Compact(prefixes)
}

// Matches says whether line has all that is asked for.
func (q Query) Matches(line string) bool {
	words := Words(line)
	for _, t := range q.terms {
		if !t.in(words) {
			return false
		}
	}
	return len(q.terms) > 0
}

func (t term) in(words []string) bool {
	n := len(t.words)
	for i := 0; i+n <= len(words); i++ {
		here := words[i : i+n]
		if !slices.Equal(here[:n-1], t.words[:n-1]) {
			continue
		}
		if here[n-1] == t.words[n-1] || t.prefix && strings.HasPrefix(here[n-1], t.words[n-1]) {
			return true
		}
	}
	return false
}
