package idtoken

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Workload says which tokens of an issuer of workloads count, and what they are
// called here.
type Workload struct {
	Issuer   string
	Audience string
	Name     Template
	// Rules are claims and the values that each may have: literal, or with * for
	// any run of characters but '/'. All must hold; none at all lets every
	// workload of the issuer in, and is refused when the configuration is read.
	Rules map[string][]string
	// Groups are given to whoever matches.
	Groups []string
}

// workload finds the first entry that the token falls under.
func (v *Verifier) workload(t *token) (Who, error) {
	refusal := fault.New(fault.Unauthentic, fault.TokenAudience, "the ID token was issued for somebody else").
		Because(fmt.Errorf("audience %q", t.Audience))
	for _, w := range v.workloads {
		if w.Issuer != t.issuer.url || !t.hasAudience(w.Audience) {
			continue
		}
		if miss := w.misses(t.claims); miss != "" {
			refusal = refuseClaims("no rule for workloads lets this one in").Because(fmt.Errorf("claim %q", miss))
			continue
		}
		name, err := w.Name.fill(t.claims)
		if err != nil {
			return Who{}, refuseClaims("this workload has no usable name: %v", err)
		}
		// The name is bound to its issuer alone: sub tells runs and branches of
		// one workload apart, and the template already says what makes it one.
		return Who{Name: name, Subject: "workload", Groups: w.Groups, Workload: true}, nil
	}
	return Who{}, refusal
}

// misses returns the first claim that a rule refuses, "" if all hold.
func (w Workload) misses(c claims) string {
	if len(w.Rules) == 0 {
		return "(no rules)"
	}
	for claim, allowed := range w.Rules {
		if !anyMatches(allowed, c.scalar(claim)) {
			return claim
		}
	}
	return ""
}

func anyMatches(patterns []string, value string) bool {
	if value == "" {
		return false
	}
	for _, p := range patterns {
		if ok, err := path.Match(p, value); ok && err == nil {
			return true
		}
	}
	return false
}

// scalar returns a string claim, or a number or truth value as it is written.
func (c claims) scalar(name string) string {
	raw := c.at(name)
	var v any
	if raw == nil || json.Unmarshal(raw, &v) != nil {
		return ""
	}
	switch v := v.(type) {
	case string:
		return v
	case bool, float64:
		return string(raw)
	}
	return ""
}

// Template makes a name of claims: "ci:{{repository}}".
type Template struct {
	literals []string // one more than claims
	claims   []string
	text     string
}

// ParseTemplate reads a name template. It has to begin with a literal that ends
// with ':', which keeps the names of its workloads apart from people's and from
// other issuers'.
func ParseTemplate(text string) (Template, error) {
	t := Template{text: text}
	rest := text
	for {
		literal, after, ok := strings.Cut(rest, "{{")
		t.literals = append(t.literals, literal)
		if !ok {
			break
		}
		claim, more, ok := strings.Cut(after, "}}")
		if claim = strings.TrimSpace(claim); !ok || claim == "" || strings.ContainsAny(claim, "{}") {
			return Template{}, fmt.Errorf("%q has a {{ without its }}", text)
		}
		t.claims = append(t.claims, claim)
		rest = more
	}
	if len(t.claims) == 0 {
		return Template{}, fmt.Errorf("%q names every workload alike: use a claim, as in ci:{{repository}}", text)
	}
	if t.Prefix() == "" {
		return Template{}, fmt.Errorf("%q does not begin with a word and a colon, as in ci:{{repository}}", text)
	}
	if slices.Contains(t.between(), "") {
		return Template{}, fmt.Errorf("%q has two claims with nothing between them", text)
	}
	for _, literal := range t.literals {
		if literal != "" {
			if _, err := id.ParseIdentity(literal); err != nil {
				return Template{}, fmt.Errorf("%q: %w", text, err)
			}
		}
	}
	return t, nil
}

// Prefix is what all names of the template begin with, up to its first colon.
func (t Template) Prefix() string {
	if len(t.literals) == 0 {
		return ""
	}
	word, _, ok := strings.Cut(t.literals[0], ":")
	if !ok || word == "" {
		return ""
	}
	return word + ":"
}

func (t Template) String() string { return t.text }

// fill makes the name. A value may not hold what stands between two claims: "a/b"
// and "c" would otherwise read as "a" and "b/c", and one workload as another.
func (t Template) fill(c claims) (id.Identity, error) {
	if len(t.literals) == 0 {
		return "", fmt.Errorf("no template")
	}
	var b strings.Builder
	b.WriteString(t.literals[0])
	for i, claim := range t.claims {
		value := c.scalar(claim)
		if value == "" {
			return "", fmt.Errorf("claim %q is missing", claim)
		}
		for _, between := range t.between() {
			if strings.Contains(value, between) {
				return "", fmt.Errorf("claim %q has %q in it", claim, between)
			}
		}
		b.WriteString(value)
		b.WriteString(t.literals[i+1])
	}
	return id.ParseIdentity(b.String())
}

// between are the literals that part two claims.
func (t Template) between() []string { return t.literals[1 : len(t.literals)-1] }
