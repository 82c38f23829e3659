package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Limits of a file. They bound what the parser costs: its time is quadratic in
// the keys of one mapping and its stack is linear in the depth.
const (
	maxDocuments = 2000
	maxTokens    = 10_000 // of one document
	maxDepth     = 32
)

// Document is one YAML document of a file that was parsed and not yet decoded.
type Document struct {
	src  *source
	line int // of the file, at which it begins; from 1
	body ast.Node
}

// Documents splits data at its "---" lines and parses each part. Documents
// without content (comments alone) are left out.
//
// The split is done here: goccy/go-yaml v1.19 drops what follows an empty
// document without an error, and so would drop a role that denies.
func Documents(name string, data []byte) ([]Document, error) {
	src := &source{name: name}
	whole := place{src: src}
	if len(data) > MaxBytes {
		return nil, whole.errorf("more than %d KiB", MaxBytes>>10)
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	src.lines = strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if err := src.check(); err != nil {
		return nil, err
	}
	var docs []Document
	for _, part := range src.split() {
		body, err := part.parse()
		if err != nil {
			return nil, err
		}
		if body == nil {
			continue
		}
		if len(docs) == maxDocuments {
			return nil, part.start().errorf("more than %d documents in one file", maxDocuments)
		}
		docs = append(docs, Document{src, part.line, body})
	}
	return docs, nil
}

// Place is where the document begins, "file:line", to be named in an error
// about another place.
func (d Document) Place() string {
	return fmt.Sprintf("%s:%d", d.src.name, d.start().line)
}

// start is the place of the document's first key, or of its first line.
func (d Document) start() place {
	if d.body == nil {
		return place{d.src, d.line, 1}
	}
	return d.of(d.body)
}

// Errorf is an error about a key of the document's mapping that only the caller
// can see, such as a name that another document has taken.
func (d Document) Errorf(key, format string, args ...any) error {
	if m, ok := d.body.(*ast.MappingNode); ok {
		for _, pair := range m.Values {
			if pair.Key.GetToken().Value == key {
				return d.of(pair.Value).errorf(format, args...)
			}
		}
	}
	return d.start().errorf(format, args...)
}

// check refuses bytes that are not text (YAML 1.2, section 5.1), before anything
// tries to make sense of them.
func (s *source) check() error {
	for n, line := range s.lines {
		if !utf8.ValidString(line) {
			return place{s, n + 1, 1}.errorf("not UTF-8 text")
		}
		column := 0
		for _, r := range line {
			column++
			if r != '\t' && unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff' {
				return place{s, n + 1, column}.errorf("control character %U", r)
			}
		}
	}
	return nil
}

// part is a document's text.
type part struct {
	Document
	text string
}

// split cuts at document markers: "---" or "..." at the beginning of a line and
// followed by nothing or a space end a document wherever they stand, also in a
// block of text (YAML 1.2, sections 9.1.2 and 9.1.4). Spaces stand in for the
// marker, so that lines and columns stay what they are in the file.
func (s *source) split() []part {
	var parts []part
	begin := 0
	for n := 1; n <= len(s.lines); n++ {
		if n < len(s.lines) && !isMarker(s.lines[n]) {
			continue
		}
		lines := slices.Clone(s.lines[begin:n])
		if isMarker(lines[0]) {
			lines[0] = "   " + lines[0][3:]
		}
		parts = append(parts, part{Document{src: s, line: begin + 1}, strings.Join(lines, "\n")})
		begin = n
	}
	return parts
}

func isMarker(line string) bool {
	rest, ok := strings.CutPrefix(line, "---")
	if !ok {
		rest, ok = strings.CutPrefix(line, "...")
	}
	return ok && (rest == "" || rest[0] == ' ' || rest[0] == '\t')
}

// parse returns the document's tree, nil if there is nothing in it.
func (p part) parse() (body ast.Node, err error) {
	// The text is the admin's, the parser is not ours: if it panics, this is a
	// file that cannot be understood, and no reason to end the process.
	defer func() {
		if r := recover(); r != nil {
			body, err = nil, p.start().errorf("this document cannot be parsed").Because(fmt.Errorf("parser: %v", r))
		}
	}()
	tokens := lexer.Tokenize(p.text)
	if err := p.judge(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, p.syntax(err)
	}
	if len(file.Docs) > 0 {
		body = file.Docs[0].Body
	}
	if body != nil && body.Type() == ast.CommentType {
		body = nil
	}
	if err := p.covers(body, tokens); err != nil {
		return nil, err
	}
	return body, nil
}

// judge refuses tokens that lead where we do not go, and too many of them.
func (p part) judge(tokens token.Tokens) error {
	if len(tokens) > maxTokens {
		return p.start().errorf("more than %d words and marks in one document", maxTokens)
	}
	if bad := tokens.InvalidToken(); bad != nil {
		return p.at(bad).errorf("%s", bad.Error)
	}
	var seen strings.Builder
	flow, dashes, line := 0, 0, 0
	for _, t := range tokens {
		seen.WriteString(t.Origin)
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return p.at(t).errorf("anchors, aliases and merge keys are not read here: write it out")
		case token.TagType:
			return p.at(t).errorf("tags are not read here: quote text that should stay text")
		case token.DirectiveType, token.MappingKeyType:
			return p.at(t).errorf("%q is not read here", t.Value)
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			dashes++
		}
		if flow > maxDepth || dashes > maxDepth {
			return p.at(t).errorf("nested deeper than %d", maxDepth)
		}
	}
	return p.lexed(seen.String())
}

// lexed refuses text of which the lexer took less than all: v1.19 drops "!!!!"
// as if it were not there. White space does not count. The escapes \x, \u and \U
// are dropped too, and nobody misses them: files are UTF-8.
func (p part) lexed(seen string) error {
	rest := []rune(strings.Join(strings.Fields(seen), ""))
	line, column := p.line, 0
	var before rune
	for _, r := range p.text {
		column++
		switch {
		case r == '\n':
			line, column = line+1, 0
			continue
		case unicode.IsSpace(r):
			continue
		case len(rest) > 0 && rest[0] == r:
			before, rest = r, rest[1:]
			continue
		case before == '\\':
			return place{p.src, line, column}.errorf("the escape \\%c is not read here: write the character itself", r)
		}
		return place{p.src, line, column}.errorf("%q means nothing here", r)
	}
	return nil
}

// covers refuses a tree in which a word of the text is missing.
func (p part) covers(body ast.Node, tokens token.Tokens) error {
	have := map[*token.Token]bool{}
	if body != nil {
		ast.Walk(visitor(func(n ast.Node) { have[n.GetToken()] = true }), body)
	}
	for _, t := range tokens {
		switch t.Type {
		case token.StringType, token.SingleQuoteType, token.DoubleQuoteType,
			token.IntegerType, token.FloatType, token.BoolType, token.NullType,
			token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType,
			token.InfinityType, token.NanType:
			if !have[t] {
				return p.at(t).errorf("%q stands where nothing is expected", t.Value)
			}
		}
	}
	return nil
}

type visitor func(ast.Node)

func (v visitor) Visit(n ast.Node) ast.Visitor { v(n); return v }

// syntax turns an error of the parser into ours, with its place.
func (p part) syntax(err error) *fault.Error {
	type placed interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if e, ok := err.(placed); ok && e.GetToken() != nil {
		return p.at(e.GetToken()).errorf("%s", e.GetMessage())
	}
	return p.start().errorf("this document cannot be parsed").Because(err)
}
