package idtoken

import (
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/ca/internal/testissuer"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

func mustTemplate(t *testing.T, text string) Template {
	t.Helper()
	name, err := ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAWorkloadLogsInByItsRules(t *testing.T) {
	people, ci := testissuer.New(t), testissuer.New(t)
	c := ordinary(people)
	c.Workloads = []Workload{{
		Issuer: ci.URL, Audience: "https://access.example.com", Name: mustTemplate(t, "ci:{{repository}}"),
		Rules:  map[string][]string{"repository_owner": {"example"}, "ref": {"refs/heads/main", "refs/tags/*"}},
		Groups: []string{"ci"},
	}}
	v := New(c)
	job := map[string]any{
		"aud": "https://access.example.com", "sub": "repo:example/shop:ref:refs/heads/main", "repository": "example/shop",
		"repository_owner": "example", "ref": "refs/heads/main", "email": nil, "groups": []string{"platform"},
	}
	for name, row := range map[string]struct {
		change map[string]any
		reason fault.Reason
	}{
		"as it is":                        {nil, ""},
		"on a tag":                        {map[string]any{"ref": "refs/tags/v1"}, ""},
		"on another branch":               {map[string]any{"ref": "refs/heads/evil"}, fault.TokenClaims},
		"on a tag with more path":         {map[string]any{"ref": "refs/tags/a/b"}, fault.TokenClaims},
		"of another owner":                {map[string]any{"repository_owner": "evil"}, fault.TokenClaims},
		"without a claim that rules name": {map[string]any{"ref": nil}, fault.TokenClaims},
		"with a claim of another shape":   {map[string]any{"ref": []string{"refs/heads/main"}}, fault.TokenClaims},
		"for another audience":            {map[string]any{"aud": "https://example.com"}, fault.TokenAudience},
		"with the people's client id":     {map[string]any{"aud": testissuer.ClientID}, fault.TokenAudience},
		"without a name":                  {map[string]any{"repository": nil}, fault.TokenClaims},
		"with a name that is two":         {map[string]any{"repository": "a,b"}, fault.TokenClaims},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			token := ci.Sign(testissuer.With(testissuer.With(ci.Claims(""), job), row.change))
			who, err := v.Login(t.Context(), l.deviceRequest(token), l.key.PublicKey())
			if fault.ReasonOf(err) != row.reason {
				t.Fatalf("got %v, want %q", err, row.reason)
			}
			if err == nil && (who.Name != "ci:example/shop" || strings.Join(who.Groups, " ") != "ci") {
				t.Errorf("got %+v: its groups are those that the configuration gives", who)
			}
		})
	}
}

func TestAWorkloadWithoutRulesIsNobody(t *testing.T) {
	people, ci := testissuer.New(t), testissuer.New(t)
	c := ordinary(people)
	c.Workloads = []Workload{{Issuer: ci.URL, Audience: "a", Name: mustTemplate(t, "ci:{{sub}}")}}
	l := newLaptop(t)
	token := ci.Sign(testissuer.With(ci.Claims(""), map[string]any{"aud": "a"}))
	if _, err := New(c).Login(t.Context(), l.deviceRequest(token), l.key.PublicKey()); fault.ReasonOf(err) != fault.TokenClaims {
		t.Errorf("got %v", err)
	}
}

func TestATemplateIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                              "",
		"without a claim":                    "ci:everybody",
		"without a prefix":                   "{{repository}}",
		"with a prefix that a claim chooses": "{{a}}:{{b}}",
		"with a prefix of nothing":           ":{{a}}",
		"with a brace that stays open":       "ci:{{repository",
		"with an empty claim":                "ci:{{ }}",
		"with claims side by side":           "ci:{{a}}{{b}}",
		"with a space":                       "ci: {{a}}",
		"with a comma":                       "ci:{{a}},root",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseTemplate(text); err == nil {
				t.Errorf("%q is taken", text)
			}
		})
	}
}

func TestATemplateCannotBeReadInTwoWays(t *testing.T) {
	name := mustTemplate(t, "ci:{{a}}/{{b}}")
	fill := func(a, b string) (id.Identity, error) {
		return name.fill(claims{"a": []byte(`"` + a + `"`), "b": []byte(`"` + b + `"`)})
	}
	if got, err := fill("x", "y"); err != nil || got != "ci:x/y" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, pair := range [][2]string{{"x/y", "z"}, {"x", "y/z"}} {
		if got, err := fill(pair[0], pair[1]); err == nil {
			t.Errorf("%q and %q become %q", pair[0], pair[1], got)
		}
	}
}

func FuzzParseTemplate(f *testing.F) {
	for _, seed := range []string{"ci:{{repository}}", "k8s:{{a.b}}/{{c}}", "{{", "}}:{{a}}"} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		name, err := ParseTemplate(text)
		if err != nil {
			return
		}
		c := claims{}
		for _, claim := range name.claims {
			c[claim] = []byte(`"` + value + `"`)
		}
		got, err := name.fill(c)
		if err == nil && !strings.HasPrefix(string(got), name.Prefix()) {
			t.Errorf("%q has not the prefix %q", got, name.Prefix())
		}
	})
}

func FuzzClaimedIssuer(f *testing.F) {
	f.Add("e30.e30.")
	f.Add("e30.eyJpc3MiOiJodHRwczovL2V4YW1wbGUuY29tIn0.x")
	f.Fuzz(func(_ *testing.T, raw string) { claimedIssuer(raw) })
}
