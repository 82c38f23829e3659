package find

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                              nil,
		" \t--//":                       nil,
		"psql> DROP TABLE orders_tmp;":  {"psql", "drop", "table", "orders", "tmp"},
		"cat /etc/passwd":               {"cat", "etc", "passwd"},
		"10.0.4.7:22":                   {"10", "0", "4", "7", "22"},
		"Grüße ÉCOLE":                   {"grüße", "école"},
		"重启nginx服务":                     {"重", "启", "nginx", "服", "务"},
		"a\x1b[31mb\xff":                {"a", "31mb"},
		strings.Repeat("x", 200) + " y": {strings.Repeat("x", 61), "y"},
	} {
		if got := Words(text); !slices.Equal(got, want) {
			t.Errorf("the words of %q are %q, and not %q", text, got, want)
		}
	}
}

func TestQueries(t *testing.T) {
	for _, tt := range []struct {
		query, line string
		want        bool
	}{
		{"drop table", "psql> drop table orders_tmp;", true},
		{"table drop", "psql> drop table orders_tmp;", true},
		{"DROP", "psql> drop table orders_tmp;", true},
		{`"drop table"`, "psql> drop table orders_tmp;", true},
		{`"table drop"`, "psql> drop table orders_tmp;", false},
		{`"drop orders"`, "psql> drop table orders_tmp;", false},
		{"drop database", "psql> drop table orders_tmp;", false},
		{"/etc/passwd", "cat /etc/passwd", true},
		{"/etc/passwd", "cat passwd in etc", false},
		{"pass*", "cat /etc/passwd", true},
		{"/etc/pass*", "cat /etc/passwd", true},
		{"pass", "cat /etc/passwd", false},
		{"重启", "重启nginx服务", true},
		{"启重", "重启nginx服务", false},
		{`"unclosed quote`, "an unclosed quote", true},
	} {
		q, err := Parse(tt.query)
		if err != nil {
			t.Errorf("%s: %v", tt.query, err)
			continue
		}
		if got := q.Matches(tt.line); got != tt.want {
			t.Errorf("%s in %q is %v", tt.query, tt.line, got)
		}
	}
}

func TestQueriesForNothingAreRefused(t *testing.T) {
	for _, text := range []string{"", "   ", `""`, "-- ;", "a*", strings.Repeat("a ", 17), strings.Repeat("a", 600)} {
		if q, err := Parse(text); err == nil {
			t.Errorf("%q is %+v", text, q)
		}
	}
	if (Query{}).Matches("anything") {
		t.Error("the zero query matches")
	}
}

// What the store looks for must be in every chunk that has an answer.
func TestALineThatMatchesHasTheQueriesWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.StringOf(rapid.SampledFrom([]rune("aB1 /.\"*é重"))).Draw(t, "line")
		text := rapid.StringOf(rapid.SampledFrom([]rune("aB1 /.\"*é重"))).Draw(t, "query")
		q, err := Parse(text)
		if err != nil || !q.Matches(line) {
			return
		}
		have := Words(line)
		words, prefixes := q.Words()
		for _, w := range words {
			if !slices.Contains(have, w) {
				t.Fatalf("%q matches %q, which has no %q", text, line, w)
			}
		}
		for _, p := range prefixes {
			if !slices.ContainsFunc(have, func(w string) bool { return strings.HasPrefix(w, p) }) {
				t.Fatalf("%q matches %q, in which nothing begins with %q", text, line, p)
			}
		}
	})
}

func FuzzUnpack(f *testing.F) {
	whole, _ := Pack([]Line{{12, "drop table"}, {13, "select"}})
	f.Add(whole)
	f.Add(whole[:len(whole)-2])
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := Unpack(data)
		if err != nil && lines != nil {
			t.Fatal("lines with an error")
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(`drop "a b" c*`, "a b c")
	f.Add(`"`, "")
	f.Fuzz(func(t *testing.T, text, line string) {
		q, err := Parse(text)
		if err != nil {
			return
		}
		q.Matches(line)
		if w, p := q.Words(); len(w)+len(p) == 0 {
			t.Fatalf("%q asks for nothing", text)
		}
	})
}
