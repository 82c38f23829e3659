package wire

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestAnAuditFilterComesBackAsItWasSent(t *testing.T) {
	for _, f := range []AuditFilter{
		{},
		{Oldest: true, From: 7, Wait: 50},
		{Identity: "ann@example.com", Login: "root", Node: "web-1", Kind: []string{"session_denied", "login_refused"}, Reason: "no_role",
			Since: 1, Until: 2, Before: 3, Limit: 4},
	} {
		got, err := ParseAuditFilter(f.Query())
		if diff := cmp.Diff(f, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
}

func TestAnAuditFilterIsRefused(t *testing.T) {
	for name, query := range map[string]string{
		"with a key that nobody knows": "who=ann",
		"with a key twice":             "node=a&node=b",
		"with a node that is none":     "node=%2a",
		"with a time that is none":     "since=yesterday",
		"with a time before 1970":      "since=-1",
		"with a kind that is none":     "kind=session_denied,%25",
		"with no kind":                 "kind=",
		"with a reason that is none":   "reason=No%20role",
		"with a truth that is none":    "oldest=perhaps",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := ParseAuditFilter(q); fault.ReasonOf(err) != fault.BadRequest {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func FuzzParseAuditFilter(f *testing.F) {
	f.Add("identity=ann@example.com&kind=session_denied,login_refused&from=5")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		filter, err := ParseAuditFilter(q)
		if err != nil {
			return
		}
		again, err := ParseAuditFilter(filter.Query())
		if diff := cmp.Diff(filter, again); err != nil || diff != "" {
			t.Errorf("%v (-first +second)\n%s", err, diff)
		}
	})
}
