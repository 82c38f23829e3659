package wire

import (
	"net/url"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestAFilterIsReadAsItIsWritten(t *testing.T) {
	for name, f := range map[string]SessionFilter{
		"that does not narrow": {},
		"with everything":      {Identity: "ann@example.com", Node: "web-1", Login: "deploy", Since: 1, Until: 2, Live: true, Limit: 50},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := url.ParseQuery(f.Query().Encode())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := ParseSessionFilter(q); err != nil || got != f {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestAFilterIsRefused(t *testing.T) {
	for name, query := range map[string]string{
		"with a key that nobody knows": "who=ann",
		"with a key twice":             "node=a&node=b",
		"with a node that is none":     "node=%2a",
		"with a time that is none":     "since=yesterday",
		"with a time before 1970":      "since=-1",
		"with a truth that is none":    "live=perhaps",
		"with an empty identity":       "identity=",
	} {
		t.Run(name, func(t *testing.T) {
			q, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			if f, err := ParseSessionFilter(q); fault.ReasonOf(err) != fault.BadRequest {
				t.Errorf("got %+v, %v", f, err)
			}
		})
	}
}

func FuzzParseSessionFilter(f *testing.F) {
	f.Add("identity=ann@example.com&live=true&limit=5")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		filter, err := ParseSessionFilter(q)
		if err != nil {
			return
		}
		if again, err := ParseSessionFilter(filter.Query()); err != nil || again != filter {
			t.Errorf("%q reads as %+v, and that as %+v, %v", query, filter, again, err)
		}
	})
}
