package idtoken

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// algorithms are asymmetric ones alone. HS256 is the classic confusion: the
// "secret" would be the public key, which everybody has.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512,
	oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

const (
	askTimeout  = 10 * time.Second // for one question to an issuer
	minBackoff  = time.Second
	maxBackoff  = 30 * time.Second
	answerLimit = 1 << 20 // bytes of an issuer's answer
)

// issuer is one OpenID Connect provider, found (discovery) when it is first
// needed and answers.
type issuer struct {
	url    string
	client *http.Client
	log    *slog.Logger

	mu      sync.Mutex
	found   *found
	seeking chan struct{} // closed when the attempt under way ends; nil without one
	err     error         // of the last attempt
	tried   time.Time     // when it ended
}

// found is what discovery brings.
type found struct {
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	client   *http.Client
}

func newIssuer(url string, c Config) *issuer {
	client := &http.Client{Timeout: askTimeout}
	if c.Client != nil {
		*client = *c.Client
	}
	client.Transport = &asking{next: client.Transport}
	return &issuer{url: url, client: client, log: c.Log.With("issuer", url)}
}

// away is what people read when an issuer does not answer.
func (i *issuer) away(err error) error {
	host := i.url
	if u, err := url.Parse(i.url); err == nil && u.Host != "" {
		host = u.Host
	}
	return fault.New(fault.Unavailable, fault.IssuerAway, "the sign-in service at %s does not answer the CA", host).Then("try again in a minute").Because(err)
}

// seek tries to find the issuer until it answers or ctx ends.
func (i *issuer) seek(ctx context.Context) {
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		if _, err := i.get(ctx); err == nil {
			return
		} else if ctx.Err() == nil {
			i.log.Warn("issuer does not answer", "err", err, "again_in", wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// get returns the issuer's keys and addresses. Everybody who asks while an
// attempt is under way waits for that one; within minBackoff of a failure its
// error is the answer, so that a rush of logins is not a rush on the issuer.
func (i *issuer) get(ctx context.Context) (*found, error) {
	i.mu.Lock()
	if i.found != nil || i.err != nil && time.Since(i.tried) < minBackoff {
		defer i.mu.Unlock()
		return i.found, i.err
	}
	if i.seeking == nil {
		i.seeking = make(chan struct{})
		go i.discover(i.seeking)
	}
	done := i.seeking
	i.mu.Unlock()

	select {
	case <-done:
	case <-ctx.Done():
		return nil, i.away(ctx.Err())
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.found, i.err
}

// discover makes one attempt, apart from any caller's context: who gave up
// waiting must not end it for the others. askTimeout ends it.
func (i *issuer) discover(done chan struct{}) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(context.Background(), i.client), askTimeout)
	defer cancel()
	f, err := i.ask(ctx)

	i.mu.Lock()
	defer i.mu.Unlock()
	i.found, i.err, i.tried, i.seeking = f, err, time.Now(), nil
	close(done)
}

func (i *issuer) ask(ctx context.Context) (*found, error) {
	p, err := oidc.NewProvider(ctx, i.url)
	var mismatch *oidc.IssuerMismatchError
	if errors.As(err, &mismatch) {
		return nil, fault.New(fault.Internal, fault.ConfigInvalid, "the issuer calls itself %s, and is configured as %s", mismatch.Discovered, mismatch.Provided).Because(err)
	}
	if err != nil {
		return nil, i.away(err)
	}
	var document struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := p.Claims(&document); err != nil {
		return nil, i.away(err)
	}
	keyClient := *i.client
	keyClient.Transport = &sparing{next: i.client.Transport}
	keys := &keySet{oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), &keyClient), document.JWKS)}
	// Time is checked by the caller, with the same leeway for every claim; the
	// audience, too, because one issuer may serve people and workloads.
	verifier := oidc.NewVerifier(i.url, keys, &oidc.Config{
		SupportedSigningAlgs: algorithms, SkipClientIDCheck: true, SkipExpiryCheck: true,
	})
	i.log.Info("issuer found", "keys", document.JWKS)
	return &found{provider: p, verifier: verifier, client: i.client}, nil
}

// verify checks signature, algorithm and issuer.
func (i *issuer) verify(ctx context.Context, raw string) (*token, error) {
	f, err := i.get(ctx)
	if err != nil {
		return nil, err
	}
	var keys keysOutcome
	t, err := f.verifier.Verify(context.WithValue(ctx, keysOutcomeKey{}, &keys), raw)
	switch {
	case keys.away != nil:
		return nil, i.away(keys.away)
	case err != nil:
		return nil, fault.New(fault.Unauthentic, fault.TokenInvalid, "the ID token's signature does not verify").Because(err)
	}
	out := &token{IDToken: t, issuer: i, signed: raw[:strings.LastIndexByte(raw, '.')]}
	if err := t.Claims(&out.claims); err != nil {
		return nil, fault.New(fault.Unauthentic, fault.TokenInvalid, "the ID token's claims cannot be read").Because(err)
	}
	return out, nil
}

// userinfo asks for the claims of sub with the person's access token.
func (i *issuer) userinfo(ctx context.Context, accessToken, sub string) (claims, error) {
	f, err := i.get(ctx)
	if err != nil {
		return nil, err
	}
	var answer status
	ctx = context.WithValue(oidc.ClientContext(ctx, f.client), statusKey{}, &answer)
	info, err := f.provider.UserInfo(ctx, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: accessToken}))
	switch {
	case err != nil && answer/100 == 4:
		return nil, fault.New(fault.Unauthentic, fault.TokenInvalid, "the sign-in service refused the access token").Because(err)
	case err != nil:
		return nil, i.away(err)
	case info.Subject != sub:
		// OpenID Connect Core, section 5.3.2: such claims must not be used.
		return nil, fault.New(fault.Unauthentic, fault.TokenClaims, "the access token is somebody else's")
	}
	var c claims
	if err := info.Claims(&c); err != nil {
		return nil, i.away(err)
	}
	return c, nil
}
