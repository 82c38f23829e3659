package policy

import (
	"encoding/json"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// FuzzClaims: whatever an issuer sends, nothing panics, and what is no object
// opens nothing.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{`{"department":"web","level":[2,"3",true,null,{}]}`, `{"a":1e999}`, `null`, `{}{}`, `[`, `{"a":"\ud800"}`} {
		f.Add(s)
	}
	p := mustLoad(f, town)
	f.Fuzz(func(t *testing.T, text string) {
		d := p.Decide(Subject{Identity: "ana@example.com", Claims: json.RawMessage(text)}, bare, "ana")
		if whole := text == "" || json.Valid([]byte(text)) && claimsAreObject(text); d.Granted() && !whole {
			t.Fatalf("%q was granted", text)
		} else if !d.Granted() && d.Denial.Reason != fault.NoRole {
			t.Fatalf("%q: %+v", text, d.Denial)
		}
	})
}

func claimsAreObject(text string) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}
