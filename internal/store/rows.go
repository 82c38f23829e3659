package store

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// maxRows is how many rows one statement carries at most. Each number of rows
// is a statement of its own that stays prepared, so that it costs memory on
// both sides.
const maxRows = 32

// rows writes the one group in braces of an SQL literal n times, with numbered
// parameters for its dollar signs:
//
//	INSERT INTO once (kind, hash) VALUES {($, $)}     n = 2
//	INSERT INTO once (kind, hash) VALUES ($1, $2), ($3, $4)
func rows(literal string, n int) string {
	before, rest, _ := strings.Cut(literal, "{")
	row, after, ok := strings.Cut(rest, "}")
	if !ok || n < 1 {
		panic("store: no row group in " + literal)
	}
	var sql strings.Builder
	sql.WriteString(before)
	param := 0
	for i := range n {
		if i > 0 {
			sql.WriteString(", ")
		}
		for _, c := range row {
			sql.WriteRune(c)
			if c == '$' {
				param++
				sql.WriteString(strconv.Itoa(param))
			}
		}
	}
	sql.WriteString(after)
	return sql.String()
}

// toJSON is a column's text. Maps come out in sorted order, so equal values are
// equal text. nil slices and maps become the empty ones: a column has one form
// of nothing.
func toJSON[V []string | map[string]string](v V) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: strings do not marshal: " + err.Error()) // cannot happen
	}
	if string(b) == "null" {
		switch any(v).(type) {
		case []string:
			return "[]"
		default:
			return "{}"
		}
	}
	return string(b)
}

// fromJSON reads a column back into V.
type fromJSON[V any] struct{ into *V }

// Scan implements sql.Scanner.
func (f fromJSON[V]) Scan(src any) error {
	var text []byte
	switch src := src.(type) {
	case string:
		text = []byte(src)
	case []byte:
		text = src
	default:
		return fmt.Errorf("JSON column holds %T", src)
	}
	var v V
	if err := json.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("read JSON column: %w", err)
	}
	*f.into = v
	return nil
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// orNull is b, or SQL's NULL when it is empty.
func orNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
