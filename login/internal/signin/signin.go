// Package signin gets an ID token for the person at the keyboard, or for a
// workload: authorization code with PKCE on a loopback port, the device flow, a
// refresh, a token that stands in a file.
//
// # Promises
//
// The token is asked for with a nonce that commits to the login key, where the
// flow can carry one. A code that arrives at the loopback port is taken once, with
// the state of this login, from the issuer that was asked (RFC 8252, RFC 9207).
// Nothing is sent to an issuer over plain HTTP, loopback excepted, and no token or
// code appears in argv, in a log or in an error's text.
//
// The authorization URL does stand in argv of the program that opens the browser,
// where other accounts of the machine may read it. It has the state and the
// challenge, not the verifier: who copies it cannot redeem the person's code.
// They could finish the login in the person's place, under their own name; the
// terminal says whose name that was.
//
// # What it does not do
//
// It does not verify ID tokens: the CA does, and nothing here depends on what they
// say.
package signin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Limit is how long a person has in front of their browser.
const Limit = 5 * time.Minute

// callLimit bounds one request to the issuer.
const callLimit = 15 * time.Second

// Tokens is what a sign-in gives.
type Tokens struct {
	ID     string
	Access string // for userinfo; may be empty
	// Salt is the nonce's, empty for flows that carry none.
	Salt []byte
	// Refresh gets more of them while the SSO session lives; may be empty.
	Refresh string
	// RefreshUntil is when Refresh ends; zero if the issuer does not say.
	RefreshUntil time.Time
}

// Issuer is an OIDC issuer as its own discovery document describes it. Make it
// with Discover.
type Issuer struct {
	config oauth2.Config
	issuer string
	host   string // as people see it
	http   *http.Client
	names  bool // it names itself in authorization responses (RFC 9207)

	revocation string // endpoint of RFC 7009; may be empty
}

// Discover asks the issuer of o where its endpoints are.
func Discover(ctx context.Context, o wire.OIDC) (*Issuer, error) {
	host, err := checkURL(o.Issuer)
	if err != nil {
		return nil, err
	}
	i := &Issuer{issuer: o.Issuer, host: host, http: &http.Client{Timeout: callLimit, CheckRedirect: noRedirect}}
	provider, err := oidc.NewProvider(i.context(ctx), o.Issuer)
	var mismatch *oidc.IssuerMismatchError
	switch {
	case ctx.Err() != nil:
		return nil, i.stopped(ctx)
	case errors.As(err, &mismatch):
		return nil, fault.New(fault.Invalid, fault.TokenIssuer, "the issuer at %s is not the one that the CA names", host).
			Then("tell whoever runs the CA").Because(err)
	case err != nil:
		return nil, i.away(err)
	}
	var more struct {
		Names      bool   `json:"authorization_response_iss_parameter_supported"`
		Revocation string `json:"revocation_endpoint"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, i.away(err)
	}
	i.names, i.revocation = more.Names, more.Revocation
	i.config = oauth2.Config{ClientID: o.ClientID, ClientSecret: o.ClientSecret, Endpoint: provider.Endpoint(), Scopes: slices.Clone(o.Scopes)}
	if o.ClientSecret == "" {
		// A public client has nothing to authenticate with (RFC 8252, section
		// 8.4); the library would try it, and a code is good for one try.
		i.config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	if !slices.Contains(i.config.Scopes, oidc.ScopeOpenID) {
		i.config.Scopes = append([]string{oidc.ScopeOpenID}, i.config.Scopes...)
	}
	for _, endpoint := range []string{i.config.Endpoint.AuthURL, i.config.Endpoint.TokenURL, i.config.Endpoint.DeviceAuthURL, i.revocation} {
		if endpoint == "" {
			continue
		}
		if _, err := checkURL(endpoint); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// noRedirect: what is sent, codes and refresh tokens, is for the endpoint that
// discovery named, and discovery for who was asked.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Host is the issuer's host, for people.
func (i *Issuer) Host() string { return i.host }

// HasDevice says whether the issuer knows the device flow.
func (i *Issuer) HasDevice() bool { return i.config.Endpoint.DeviceAuthURL != "" }

// Refresh asks for new tokens with an old refresh token. That the SSO session is
// over is the reason sso_ended. The Tokens' Refresh replaces the old one, which
// many issuers take once.
func (i *Issuer) Refresh(ctx context.Context, token string) (Tokens, error) {
	t, err := i.config.TokenSource(i.context(ctx), &oauth2.Token{RefreshToken: token}).Token()
	if err != nil {
		return Tokens{}, i.refusal(ctx, err)
	}
	return i.tokens(t, nil)
}

// tokens takes a token response apart.
func (i *Issuer) tokens(t *oauth2.Token, salt []byte) (Tokens, error) {
	out := Tokens{Access: t.AccessToken, Refresh: t.RefreshToken, Salt: salt}
	out.ID, _ = t.Extra("id_token").(string)
	// Not in a standard, but what the issuers that say it say.
	if seconds, ok := t.Extra("refresh_expires_in").(float64); ok && seconds > 0 && out.Refresh != "" {
		out.RefreshUntil = time.Now().Add(time.Duration(seconds) * time.Second)
	}
	if out.ID == "" {
		return out, fault.New(fault.Unavailable, fault.IssuerRefused, "%s answered without an ID token", i.host).
			Then("the client needs the scope openid there")
	}
	return out, nil
}

// context carries the HTTP client, as both libraries want it.
func (i *Issuer) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, i.http)
}

func (i *Issuer) away(err error) error {
	return fault.New(fault.Unavailable, fault.IssuerAway, "the issuer at %s does not answer", i.host).
		Then("certificates that you have still work; try again later").Because(err)
}

// refusal turns an error of the token endpoint into a fault.
func (i *Issuer) refusal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return i.stopped(ctx)
	}
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.Response.StatusCode >= 500 {
		return i.away(err)
	}
	return i.refusalCode(answer.ErrorCode).Because(err)
}

// refusalCode says in a person's words what an OAuth error code means (RFC 6749,
// sections 4.1.2.1 and 5.2; RFC 8628, section 3.5).
func (i *Issuer) refusalCode(code string) *fault.Error {
	refused := func(format string, args ...any) *fault.Error {
		return fault.New(fault.Denied, fault.IssuerRefused, format, args...)
	}
	switch code {
	case "access_denied":
		return refused("%s did not let you in", i.host).Then("ask whoever runs it, or sign in as somebody else: sallyport login")
	case "invalid_grant":
		return fault.New(fault.Unauthentic, fault.SSOEnded, "your session at %s is over", i.host).Then("run: sallyport login")
	case "expired_token":
		return ended("the code ran out before anybody entered it")
	case "invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type":
		return refused("%s does not know this client (%s)", i.host, code).Then("tell whoever runs the CA")
	case "temporarily_unavailable", "server_error":
		return fault.New(fault.Unavailable, fault.IssuerAway, "the issuer at %s has a problem of its own", i.host).Then("try again later")
	}
	if !isCode(code) {
		code = "no reason given"
	}
	return refused("%s refused the login (%s)", i.host, code).Then("run: sallyport login")
}

// isCode: what comes through a browser may come from anybody, and is shown only
// if it looks like an error code.
func isCode(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 40
}

// ended is the fault of a login that nobody finished.
func ended(format string, args ...any) *fault.Error {
	return fault.New(fault.Unavailable, fault.SignInEnded, format, args...).Then("run: sallyport login")
}

// errLimit is the cause of a context that ran out before the person was done.
var errLimit = ended("nobody signed in in time")

// stopped says in a person's words why ctx ended: they gave up or were too slow,
// or the issuer was.
func (i *Issuer) stopped(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, context.Canceled):
		return ended("the login was given up")
	case errors.Is(cause, context.DeadlineExceeded):
		return i.away(cause)
	default:
		return cause
	}
}

// checkURL refuses what would be spoken to in clear, and what an opener of URLs
// would take for a file or an option.
func checkURL(raw string) (host string, err error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "", fault.New(fault.Invalid, fault.ConfigInvalid, "%q is not the URL of an issuer", raw).Then("tell whoever runs the CA")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return "", fault.New(fault.Invalid, fault.ConfigInvalid, "the issuer at %s would be spoken to without TLS", u.Host).Then("tell whoever runs the CA")
	}
	return u.Host, nil
}
