package store

import "testing"

func TestARowGroupIsWrittenOncePerRow(t *testing.T) {
	for _, c := range []struct {
		literal string
		n       int
		want    string
	}{
		{`INSERT INTO once (kind, hash) VALUES {($, $)}`, 1, `INSERT INTO once (kind, hash) VALUES ($1, $2)`},
		{`INSERT INTO once (kind, hash) VALUES {($, $)} x`, 3, `INSERT INTO once (kind, hash) VALUES ($1, $2), ($3, $4), ($5, $6) x`},
		{`VALUES {(CAST($ AS BYTEA))}`, 2, `VALUES (CAST($1 AS BYTEA)), (CAST($2 AS BYTEA))`},
	} {
		if got := rows(c.literal, c.n); got != c.want {
			t.Errorf("%d rows of %s: %s", c.n, c.literal, got)
		}
	}
}

func TestJSONColumnsHaveOneFormOfNothing(t *testing.T) {
	if got := toJSON([]string(nil)) + toJSON([]string{}); got != "[][]" {
		t.Errorf("lists: %s", got)
	}
	if got := toJSON(map[string]string(nil)) + toJSON(map[string]string{}); got != "{}{}" {
		t.Errorf("maps: %s", got)
	}
}

func TestAJSONColumnThatIsNoneIsAnError(t *testing.T) {
	for _, src := range []any{"", "{", `{"a": 1}`, nil, int64(1)} {
		var list []string
		if err := (fromJSON[[]string]{&list}).Scan(src); err == nil {
			t.Errorf("%v was read as %v", src, list)
		}
	}
}
