package wire

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestASearchIsReadAsItWasWritten(t *testing.T) {
	for _, s := range []SearchQuery{
		{Text: "drop table"},
		{Text: `"a b" c*`, Kind: []string{"typed", "command"}, Identity: "you@example.com", Node: "db-1", Login: "postgres", Since: 1, Until: 2, Limit: 3, Before: "77"},
	} {
		q, err := url.ParseQuery(s.Query().Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseSearchQuery(q)
		if diff := cmp.Diff(s, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
}

func TestASearchThatIsNotUnderstoodIsRefused(t *testing.T) {
	for _, text := range []string{"text=a&text=b", "before=x", "before=0", "before=-1", "live=true", "colour=red", "node=a b", "since=-1",
		"kind=1&kind=2&kind=3&kind=4&kind=5&kind=6&kind=7&kind=8&kind=9"} {
		q, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := ParseSearchQuery(q); err == nil {
			t.Errorf("%s is %+v", text, s)
		}
	}
}
