package idtoken

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Limits of what is kept of a token.
const (
	maxClaims = 32 << 10 // bytes of JSON
	maxGroups = 2000
	maxGroup  = 256 // bytes
)

// claims are a token's, by name, each as it was written.
type claims map[string]json.RawMessage

// protocol are claims that speak of the token and not of its subject. They differ
// from token to token and say nothing that a role could want.
var protocol = []string{
	"exp", "iat", "nbf", "nonce", "jti", "sid", "at_hash", "c_hash", "s_hash",
	"auth_time", "rat", "azp", "aio", "uti", "rh", "session_state",
}

// token is an ID token whose signature, algorithm and issuer are verified.
type token struct {
	*oidc.IDToken
	issuer *issuer
	signed string // what the signature covers: header and payload, encoded
	claims claims
}

func (t *token) hasAudience(want string) bool {
	return want != "" && slices.Contains(t.Audience, want)
}

// checkTime: OpenID Connect Core, section 3.1.3.7, points 9 and 10.
func (t *token) checkTime(now time.Time) error {
	begin := t.IssuedAt
	if notBefore, ok := t.claims.time("nbf"); ok && notBefore.After(begin) {
		begin = notBefore
	}
	switch {
	case t.Subject == "" || !t.claims.has("iat") || !t.claims.has("exp"):
		return fault.New(fault.Unauthentic, fault.TokenInvalid, "the ID token lacks sub, iat or exp")
	case begin.After(now.Add(Leeway)):
		return fault.New(fault.Unauthentic, fault.ClockSkew, "the sign-in service's clock is %s ahead of the CA's", begin.Sub(now).Round(time.Second)).
			Then("compare the clocks of both machines")
	case now.After(t.Expiry.Add(Leeway)):
		return fault.New(fault.Unauthentic, fault.TokenExpired, "the ID token expired %s ago", now.Sub(t.Expiry).Round(time.Second)).Then("run: sallyport login")
	}
	return nil
}

// text returns a claim that is a string; "" if it is absent or anything else.
func (c claims) text(name string) string {
	var s string
	if json.Unmarshal(c[name], &s) != nil {
		return ""
	}
	return s
}

// isTrue: some issuers write email_verified as a string.
func (c claims) isTrue(name string) bool {
	var b bool
	return json.Unmarshal(c[name], &b) == nil && b || c.text(name) == "true"
}

// time returns a NumericDate (RFC 7519, section 2).
func (c claims) time(name string) (time.Time, bool) {
	var seconds float64
	if c[name] == nil || json.Unmarshal(c[name], &seconds) != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// at returns the claim called name, or, if there is none and name has dots, what
// stands there in nested objects ("realm_access.roles").
func (c claims) at(name string) json.RawMessage {
	if v, ok := c[name]; ok {
		return v
	}
	head, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	var inner claims
	if json.Unmarshal(c[head], &inner) != nil {
		return nil
	}
	return inner.at(rest)
}

// has says whether the claim is there; null is not.
func (c claims) has(name string) bool {
	v := c.at(name)
	return v != nil && string(v) != "null"
}

// groups reads a list of strings, or one string. An absent claim is no groups. A
// claim of another shape is refused and not read as none: roles may deny by
// group.
func (c claims) groups(name string) ([]string, error) {
	if name == "" || !c.has(name) {
		return nil, nil
	}
	raw := c.at(name)
	var one string
	if json.Unmarshal(raw, &one) == nil {
		raw, _ = json.Marshal([]string{one})
	}
	var list []string
	err := json.Unmarshal(raw, &list)
	if err == nil && len(list) > maxGroups {
		err = fmt.Errorf("%d groups", len(list))
	}
	for _, g := range list {
		if g == "" || len(g) > maxGroup || !utf8.ValidString(g) || strings.ContainsFunc(g, unicode.IsControl) {
			err = errors.Join(err, fmt.Errorf("group %q", g))
		}
	}
	if err != nil {
		return nil, refuseClaims("the claim %q is not a list of group names", name).Because(err)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// add takes from more what c does not say itself: the ID token is signed,
// userinfo is not.
func (c claims) add(more claims) {
	for name, v := range more {
		if _, ok := c[name]; !ok {
			c[name] = v
		}
	}
}

// keep returns the claims that speak of the subject, as one JSON object.
func (c claims) keep() (json.RawMessage, error) {
	for _, name := range protocol {
		delete(c, name)
	}
	data, err := json.Marshal(c)
	if err == nil && len(data) > maxClaims {
		err = fmt.Errorf("%d bytes", len(data))
	}
	if err != nil {
		return nil, refuseClaims("the ID token has more claims than are kept").Because(err)
	}
	return data, nil
}

func refuseClaims(format string, args ...any) *fault.Error {
	return fault.New(fault.Denied, fault.TokenClaims, format, args...)
}
