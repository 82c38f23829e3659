package ca

import (
	"context"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// flow is a client of the real provider, as `sallyport login` is one.
type flow struct {
	t   *testing.T
	idp *rig.Provider
	oauth2.Config
}

func newFlow(t *testing.T, idp *rig.Provider) *flow {
	t.Helper()
	var p *oidc.Provider
	rig.Eventually(t, 20*time.Second, "the provider answers", func() (ok bool) {
		var err error
		p, err = oidc.NewProvider(t.Context(), idp.Issuer)
		return err == nil
	})
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams // a public client
	return &flow{t, idp, oauth2.Config{
		ClientID: "sallyport", Endpoint: endpoint,
		Scopes: []string{"openid", "profile", "email", "groups", "offline_access"},
	}}
}

// code signs name in with a browser, a code, PKCE and p's nonce.
func (f *flow) code(name string, p *person) *oauth2.Token {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	codes := make(chan string, 1)
	back := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case codes <- r.URL.Query().Get("code"):
		default:
		}
	})}
	go back.Serve(l)
	defer back.Close()
	f.RedirectURL = "http://" + l.Addr().String() + "/callback"
	verifier := oauth2.GenerateVerifier()
	if err := f.idp.SignIn(name, f.AuthCodeURL("state", oidc.Nonce(p.nonce()), oauth2.S256ChallengeOption(verifier))); err != nil {
		f.t.Fatal(err)
	}
	token, err := f.Exchange(f.t.Context(), <-codes, oauth2.VerifierOption(verifier))
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func (f *flow) device(name string) *oauth2.Token {
	f.t.Helper()
	d, err := f.DeviceAuth(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.idp.Allow(name, d.VerificationURI, d.UserCode); err != nil {
		f.t.Fatal(err)
	}
	token, err := f.DeviceAccessToken(f.t.Context(), d)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func (f *flow) refresh(old *oauth2.Token) *oauth2.Token {
	f.t.Helper()
	token, err := f.TokenSource(context.Background(), &oauth2.Token{RefreshToken: old.RefreshToken}).Token()
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// ask makes the login request for a token of the provider.
func (p *person) ask(t *testing.T, token *oauth2.Token, salt []byte) wire.LoginRequest {
	t.Helper()
	raw, _ := token.Extra("id_token").(string)
	r := p.request(t, raw)
	r.NonceSalt, r.AccessToken = salt, token.AccessToken
	return r
}

func (in *installation) send(path string, request any) (out wire.LoginResponse, err error) {
	err = in.client().Do(in.ctx(), "POST", path, request, &out)
	return out, err
}

func TestPeopleOfARealProviderLogIn(t *testing.T) {
	t.Parallel()
	hidden, unverified := rig.Someone("cat", "hidden"), rig.Someone("dan", "eng")
	hidden.GroupsAt, unverified.Unverified = "userinfo", true
	idp := rig.IDP(t, rig.Someone("ann", "eng", "ops"), rig.Someone("bob", "eng"), hidden, unverified)
	in := install(t, idp.Issuer).start()
	f := newFlow(t, idp)

	ann := newPerson(t)
	first := f.code("ann", ann)
	got, err := in.send(wire.PathLogin, ann.ask(t, first, ann.salt))
	if err != nil {
		t.Fatal(err)
	}
	if got.Identity != "ann@example.com" || !slices.Equal(got.Groups, []string{"eng", "ops"}) {
		t.Errorf("ann is %s of %v", got.Identity, got.Groups)
	}
	t.Run("once with a token", func(t *testing.T) {
		if _, err := in.send(wire.PathLogin, ann.ask(t, first, ann.salt)); fault.ReasonOf(err) != fault.TokenReplayed {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not with a token that was stolen", func(t *testing.T) {
		thief := newPerson(t)
		if _, err := in.send(wire.PathLogin, thief.ask(t, f.code("ann", newPerson(t)), thief.salt)); fault.ReasonOf(err) != fault.TokenNonce {
			t.Errorf("got %v", err)
		}
	})
	t.Run("with groups that userinfo alone tells", func(t *testing.T) {
		cat := newPerson(t)
		got, err := in.send(wire.PathLogin, cat.ask(t, f.code("cat", cat), cat.salt))
		if err != nil || !slices.Equal(got.Groups, []string{"hidden"}) {
			t.Errorf("got %v, %v", got.Groups, err)
		}
	})
	t.Run("not with an address that nobody verified", func(t *testing.T) {
		dan := newPerson(t)
		if _, err := in.send(wire.PathLogin, dan.ask(t, f.code("dan", dan), dan.salt)); fault.ReasonOf(err) != fault.TokenClaims {
			t.Errorf("got %v", err)
		}
	})
	t.Run("by the device flow", func(t *testing.T) {
		bob := newPerson(t)
		got, err := in.send(wire.PathLogin, bob.ask(t, f.device("bob"), nil))
		if err != nil || got.Identity != "bob@example.com" {
			t.Errorf("got %v, %v", got.Identity, err)
		}
	})
	t.Run("again by a refresh, in the groups of that moment", func(t *testing.T) {
		idp.SetPeople(rig.Someone("ann", "eng"), rig.Someone("bob", "eng"))
		renew := wire.RenewRequest{LoginRequest: ann.ask(t, f.refresh(first), nil), Certificate: got.Certificate}
		again, err := in.send(wire.PathRenew, renew)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(again.Groups, []string{"eng"}) {
			t.Errorf("ann is still of %v", again.Groups)
		}
		if _, err := in.send(wire.PathRenew, renew); fault.ReasonOf(err) != fault.TokenReplayed {
			t.Errorf("the same refresh twice: %v", err)
		}
	})
	t.Run("not by somebody else's refresh", func(t *testing.T) {
		bob := newPerson(t)
		renew := wire.RenewRequest{LoginRequest: ann.ask(t, f.refresh(f.code("bob", bob)), nil), Certificate: got.Certificate}
		if _, err := in.send(wire.PathRenew, renew); fault.ReasonOf(err) != fault.TokenOtherIdentity {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheIssuerMayBeDownWhenTheCAStarts(t *testing.T) {
	t.Parallel()
	idp := rig.IDP(t, rig.Someone("ann", "eng"))
	idp.Stop()
	in := install(t, idp.Issuer).start()
	ann := newPerson(t)
	_, err := in.send(wire.PathLogin, ann.request(t, unsignedFor(idp.Issuer)))
	if f := fault.Of(err); f.Reason != fault.IssuerAway || f.Kind != fault.Unavailable {
		t.Errorf("while it is down: %v", err)
	}
	if err := in.client().Do(in.ctx(), "GET", wire.PathDiscovery, nil, nil); err != nil {
		t.Errorf("everything else works: %v", err)
	}
	idp.Start()
	f := newFlow(t, idp)
	rig.Eventually(t, 20*time.Second, "ann can log in", func() bool {
		p := newPerson(t)
		_, err := in.send(wire.PathLogin, p.ask(t, f.code("ann", p), p.salt))
		return err == nil
	})
}
