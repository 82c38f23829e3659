package idtoken

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Userinfo says when the issuer's userinfo endpoint is asked.
type Userinfo string

const (
	UserinfoAuto   Userinfo = "auto"   // when the ID token has no groups claim
	UserinfoAlways Userinfo = "always" // and a login without an access token is refused
	UserinfoNever  Userinfo = "never"
)

// People says how a token of a person is read.
type People struct {
	Issuer   string
	ClientID string
	// NameClaim is the stable name, GroupsClaim the groups; "" is no groups.
	NameClaim, GroupsClaim string
	// UnverifiedEmail takes a name from the claim email also where the issuer
	// does not say that it verified the address. Whoever can choose an address
	// there can then be anybody.
	UnverifiedEmail bool
	Userinfo        Userinfo
	// MaxAge is how long ago the person may have signed in at the issuer
	// (auth_time); 0 is any time.
	MaxAge time.Duration
	// Device takes tokens without a nonce.
	Device bool
	// Prefixes are those of workloads' names, which no person may have.
	Prefixes []string
}

// person reads a token of the people's issuer, for our client id.
func (v *Verifier) person(ctx context.Context, t *token, accessToken string) (Who, error) {
	p := v.people
	if err := t.checkParty(p.ClientID); err != nil {
		return Who{}, err
	}
	if p.MaxAge > 0 {
		at, ok := t.claims.time("auth_time")
		if !ok || v.now().Sub(at) > p.MaxAge+Leeway {
			return Who{}, fault.New(fault.Unauthentic, fault.TokenExpired, "the sign-in is longer ago than %v", p.MaxAge).Then("run: sallyport login")
		}
	}
	if err := v.askUserinfo(ctx, t, accessToken); err != nil {
		return Who{}, err
	}
	groups, err := t.claims.groups(p.GroupsClaim)
	if err != nil {
		return Who{}, err
	}
	name, err := p.name(t.claims)
	if err != nil {
		return Who{}, err
	}
	return Who{Name: name, Subject: t.Subject, Groups: groups}, nil
}

// checkParty: OpenID Connect Core, section 3.1.3.7, points 4 and 5. A token that
// was issued to another client of the same issuer is that client's to use.
func (t *token) checkParty(clientID string) error {
	party := t.claims.text("azp")
	_, present := t.claims["azp"]
	if present && party != clientID || !present && len(t.Audience) > 1 {
		return fault.New(fault.Unauthentic, fault.TokenAudience, "the ID token was issued to another application")
	}
	return nil
}

// askUserinfo adds the claims of the userinfo endpoint, where they are wanted.
func (v *Verifier) askUserinfo(ctx context.Context, t *token, accessToken string) error {
	p := v.people
	switch p.Userinfo {
	case UserinfoAlways:
		if accessToken == "" {
			return refuseClaims("this CA asks the sign-in service about everybody, and the login came without an access token")
		}
	case UserinfoAuto:
		if accessToken == "" || p.GroupsClaim == "" || t.claims.has(p.GroupsClaim) && t.claims.has(p.NameClaim) {
			return nil
		}
	default:
		return nil
	}
	if t.AccessTokenHash != "" {
		if err := t.VerifyAccessToken(accessToken); err != nil {
			return fault.New(fault.Unauthentic, fault.TokenInvalid, "the access token does not belong to the ID token").Because(err)
		}
	}
	more, err := t.issuer.userinfo(ctx, accessToken, t.Subject)
	if err != nil {
		return err
	}
	t.claims.add(more)
	return nil
}

// name is the identity. It is refused, never repaired: two names that become one
// by repair are one person's access for another.
func (p People) name(c claims) (id.Identity, error) {
	text := c.text(p.NameClaim)
	if text == "" {
		return "", refuseClaims("the ID token has no claim %q to name you by", p.NameClaim)
	}
	if p.NameClaim == "email" && !p.UnverifiedEmail && !c.isTrue("email_verified") {
		return "", refuseClaims("the sign-in service has not verified the address %q", text).Then("verify it there and sign in again")
	}
	name, err := id.ParseIdentity(text)
	if err == nil && slices.ContainsFunc(p.Prefixes, func(prefix string) bool { return strings.HasPrefix(text, prefix) }) {
		err = fmt.Errorf("identity %q has the form of a workload's", text)
	}
	if err != nil {
		return "", refuseClaims("the claim %q is no name that can be used here: %v", p.NameClaim, err)
	}
	return name, nil
}
