package plain

import "testing"

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"web-1 (prod)":          "web-1 (prod)",
		"数据库":                   "数据库",
		"\x1b[2Jroot":           "\uFFFD[2Jroot",
		"a\nb\tc\rd":            "a\uFFFDb\uFFFDc\uFFFDd",
		"a\u202egpj.exe":        "a\uFFFDgpj.exe",
		"\x9b31m\xff":           "\uFFFD31m\uFFFD",
		"no\u00a0break":         "no\uFFFDbreak",
		"title\x1b]0;evil\x07!": "title\uFFFD]0;evil\uFFFD!",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := List([]string{"eng", "a\nb"}); got != "eng, a\uFFFDb" {
		t.Errorf("%q", got)
	}
}
