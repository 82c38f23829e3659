package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// source is one file as it was read.
type source struct {
	name  string
	lines []string
}

// place is a position in a source. Line and column count from 1, columns in
// characters; zero is the file as a whole.
type place struct {
	src          *source
	line, column int
}

// String is "file:line:column", which editors and terminals open.
func (p place) String() string {
	if p.line == 0 {
		return p.src.name
	}
	return fmt.Sprintf("%s:%d:%d", p.src.name, p.line, p.column)
}

// errorf makes the one error that this package returns about a file's content.
func (p place) errorf(format string, args ...any) *fault.Error {
	text := p.String() + ": " + fmt.Sprintf(format, args...)
	if excerpt := p.excerpt(); excerpt != "" {
		text += "\n" + excerpt
	}
	return fault.New(fault.Invalid, fault.ConfigInvalid, "%s", text)
}

const (
	linesBefore  = 2
	excerptWidth = 100 // characters of a line that are shown
)

// excerpt shows the line, two before it, and a caret.
func (p place) excerpt() string {
	if p.line < 1 || p.line > len(p.src.lines) {
		return ""
	}
	// A long line is shown around the column.
	skip := max(0, p.column-1-excerptWidth/2)
	if utf8.RuneCountInString(p.src.lines[p.line-1]) <= excerptWidth {
		skip = 0
	}
	var b strings.Builder
	for n := max(1, p.line-linesBefore); n <= p.line; n++ {
		fmt.Fprintf(&b, "%5d | %s\n", n, visible(p.src.lines[n-1], skip))
	}
	fmt.Fprintf(&b, "      | %s^", strings.Repeat(" ", max(0, p.column-1-skip)))
	return b.String()
}

// visible cuts a line to the excerpt's width and takes out what a terminal
// would act upon: a file from elsewhere must not speak escape sequences to the
// admin who checks it.
func visible(line string, skip int) string {
	runes := []rune(line)
	runes = runes[min(skip, len(runes)):]
	runes = runes[:min(excerptWidth, len(runes))]
	for i, r := range runes {
		switch {
		case r == '\t':
			runes[i] = ' '
		case !unicode.IsPrint(r):
			runes[i] = '\ufffd'
		}
	}
	return strings.TrimRight(string(runes), " ")
}

// at is the place of a token, which counts from its document's first line.
func (d Document) at(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{d.src, d.line, 1}
	}
	return place{d.src, d.line + t.Position.Line - 1, max(1, t.Position.Column)}
}

// of is the place where a node begins. The token of a mapping in block style is
// the first ':'; people look for the key before it.
func (d Document) of(n ast.Node) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return d.of(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return d.of(n.Key)
	}
	return d.at(n.GetToken())
}

// atKey is the cause of an error that Check returns about one key.
type atKey string

func (k atKey) Error() string { return "key " + string(k) }

// At returns an error for Check that points at a key of the checked value, or
// at the value itself where the key is absent. Where no file was read it is
// shown as it is.
func At(key, format string, args ...any) error {
	return fault.New(fault.Invalid, fault.ConfigInvalid, format, args...).Because(atKey(key))
}
