package signin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

var publicKey = []byte("the login key's wire form")

func oidcOf(issuer string) wire.OIDC {
	return wire.OIDC{Issuer: issuer, ClientID: "sallyport", Scopes: []string{"openid", "email", "groups", "offline_access"}}
}

func discover(t *testing.T, issuer string) *Issuer {
	t.Helper()
	i, err := Discover(t.Context(), oidcOf(issuer))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// claims reads an ID token without verifying it.
func claims(t *testing.T, token string) (c struct{ Sub, Email, Nonce string }) {
	t.Helper()
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// as is a browser in which ann is at the keyboard.
func as(idp *rig.Provider, name string) Opener {
	return func(url string) error { return idp.SignIn(name, url) }
}

// TestSignInAtARealProvider walks the flows at zitadel's provider, one after the
// other because starting it is what takes time.
func TestSignInAtARealProvider(t *testing.T) {
	t.Parallel()
	idp := rig.IDP(t, rig.Someone("ann", "eng"), rig.Someone("bob"))
	issuer := discover(t, idp.Issuer)
	var first Tokens

	t.Run("by browser, with a nonce that commits to the key", func(t *testing.T) {
		var out bytes.Buffer
		err := issuer.Browser(t.Context(), Browser{PublicKey: publicKey, Open: as(idp, "ann"), Out: &out}, func(_ context.Context, got Tokens) error {
			first = got
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c := claims(t, first.ID)
		if c.Sub != "ann" || c.Nonce != wire.Nonce(publicKey, first.Salt) || len(first.Salt) != wire.NonceSaltSize {
			t.Errorf("claims %+v", c)
		}
		if first.Refresh == "" || first.Access == "" {
			t.Error("no refresh or access token")
		}
		if want := "Opening your browser to sign in at " + strings.TrimPrefix(idp.Issuer, "http://") + " ...\n"; out.String() != want {
			t.Errorf("it said %q", out.String())
		}
	})

	t.Run("again by refresh, twice", func(t *testing.T) {
		second, err := issuer.Refresh(t.Context(), first.Refresh)
		if err != nil {
			t.Fatal(err)
		}
		if c := claims(t, second.ID); c.Sub != "ann" {
			t.Errorf("claims %+v", c)
		}
		if _, err := issuer.Refresh(t.Context(), second.Refresh); err != nil {
			t.Error(err)
		}
	})

	t.Run("not by a refresh token that nobody gave", func(t *testing.T) {
		if _, err := issuer.Refresh(t.Context(), "made-up"); err == nil {
			t.Error("it was taken")
		}
	})

	t.Run("the browser learns that the CA refused", func(t *testing.T) {
		refused := fault.New(fault.Denied, fault.TokenClaims, "you are in no group")
		seen := make(chan error, 1)
		open := func(url string) error { seen <- idp.SignIn("bob", url); return nil }
		err := issuer.Browser(t.Context(), Browser{PublicKey: publicKey, Open: open, Out: &bytes.Buffer{}}, func(context.Context, Tokens) error { return refused })
		if !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
		if page := <-seen; page == nil || !strings.Contains(page.Error(), "you are in no group") {
			t.Errorf("the page says %v", page)
		}
	})

	t.Run("a browser that cannot be started is replaced by the address", func(t *testing.T) {
		out := &address{found: make(chan string, 1)}
		go func() {
			if err := idp.SignIn("ann", <-out.found); err != nil {
				t.Error(err)
			}
		}()
		open := func(string) error { return errors.New("no such program") }
		if err := issuer.Browser(t.Context(), Browser{PublicKey: publicKey, Open: open, Out: out}, func(context.Context, Tokens) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "The browser could not be opened") {
			t.Errorf("it said %q", out.String())
		}
	})

	t.Run("with no browser at all the address is all", func(t *testing.T) {
		out := &address{found: make(chan string, 1)}
		go func() {
			if err := idp.SignIn("ann", <-out.found); err != nil {
				t.Error(err)
			}
		}()
		if err := issuer.Browser(t.Context(), Browser{PublicKey: publicKey, Out: out}, func(context.Context, Tokens) error { return nil }); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("on another device", func(t *testing.T) {
		out := &address{found: make(chan string, 1)}
		go func() {
			url := <-out.found
			if err := idp.Allow("ann", url, out.code()); err != nil {
				t.Error(err)
			}
		}()
		got, err := issuer.Device(t.Context(), Device{Out: out})
		if err != nil {
			t.Fatal(err)
		}
		if c := claims(t, got.ID); c.Sub != "ann" || len(got.Salt) > 0 {
			t.Errorf("claims %+v, salt %x", c, got.Salt)
		}
	})

	t.Run("not on a device that was refused", func(t *testing.T) {
		out := &address{found: make(chan string, 1)}
		go func() {
			url := <-out.found
			if err := idp.Deny("ann", url, out.code()); err != nil {
				t.Error(err)
			}
		}()
		if _, err := issuer.Device(t.Context(), Device{Out: out}); fault.ReasonOf(err) != fault.IssuerRefused {
			t.Errorf("got %v", err)
		}
	})

	t.Run("Ctrl-C gives up either flow", func(t *testing.T) {
		for name, flow := range map[string]func(context.Context) error{
			"browser": func(ctx context.Context) error {
				return issuer.Browser(ctx, Browser{PublicKey: publicKey, Out: &bytes.Buffer{}}, nil)
			},
			"device": func(ctx context.Context) error {
				_, err := issuer.Device(ctx, Device{Out: &bytes.Buffer{}})
				return err
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- flow(ctx) }()
			cancel()
			if err := <-ended; fault.ReasonOf(err) != fault.SignInEnded {
				t.Errorf("%s: %v", name, err)
			}
		}
	})

	t.Run("nobody who is too slow is waited for", func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errLimit)
		defer cancel()
		err := issuer.Browser(ctx, Browser{PublicKey: publicKey, Out: &bytes.Buffer{}}, nil)
		if f := fault.Of(err); f.Reason != fault.SignInEnded || f.Text != "nobody signed in in time" || f.Next != "run: sallyport login" {
			t.Errorf("got %+v", f)
		}
	})

	t.Run("an issuer that is gone is named", func(t *testing.T) {
		idp.Stop()
		for name, call := range map[string]func() error{
			"discovery": func() error { _, err := Discover(t.Context(), oidcOf(idp.Issuer)); return err },
			"refresh":   func() error { _, err := issuer.Refresh(t.Context(), first.Refresh); return err },
		} {
			err := call()
			if fault.ReasonOf(err) != fault.IssuerAway || !strings.Contains(fault.Of(err).Text, issuer.Host()) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// address is a terminal on which a person finds the address and the code.
type address struct {
	rig.Log
	found chan string
}

var (
	anyURL  = regexp.MustCompile(`\n  (http\S+)\n`)
	anyCode = regexp.MustCompile(`enter the code:\n  (\S+)\n`)
)

func (a *address) Write(b []byte) (int, error) {
	n, err := a.Log.Write(b)
	if m := anyURL.FindStringSubmatch(a.String()); m != nil {
		select {
		case a.found <- m[1]:
		default:
		}
	}
	return n, err
}

func (a *address) code() string { return anyCode.FindStringSubmatch(a.String())[1] }

// oddIssuer answers as no good provider does; its routes are by path.
func oddIssuer(t *testing.T, routes map[string]http.HandlerFunc) (url string) {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for path, h := range routes {
		mux.HandleFunc(path, h)
	}
	if routes[wellKnown] == nil {
		mux.HandleFunc(wellKnown, document(func(doc map[string]string) {}))
	}
	return server.URL
}

const wellKnown = "/.well-known/openid-configuration"

// document is a discovery document with a change.
func document(change func(map[string]string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		issuer := "http://" + r.Host
		doc := map[string]string{"issuer": issuer, "authorization_endpoint": issuer + "/auth", "token_endpoint": issuer + "/token",
			"device_authorization_endpoint": issuer + "/device", "jwks_uri": issuer + "/keys"}
		change(doc)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(doc)
	}
}

// says answers every request alike.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

func TestDiscoverRefuses(t *testing.T) {
	with := func(h http.HandlerFunc) string { return oddIssuer(t, map[string]http.HandlerFunc{wellKnown: h}) }
	for name, c := range map[string]struct {
		issuer string
		reason fault.Reason
	}{
		"no issuer":             {"", fault.ConfigInvalid},
		"an issuer without TLS": {"http://login.example.com", fault.ConfigInvalid},
		"a document that is elsewhere": {with(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}), fault.IssuerAway},
		"a file":                        {"file:///etc/passwd", fault.ConfigInvalid},
		"a name that starts like home":  {"http://127.0.0.1.example.com", fault.ConfigInvalid},
		"a document that is none":       {with(says(200, "<html>")), fault.IssuerAway},
		"a server that has none":        {with(says(404, "")), fault.IssuerAway},
		"a document of another issuer":  {with(document(func(d map[string]string) { d["issuer"] = "https://evil.example.com" })), fault.TokenIssuer},
		"a sign-in page without TLS":    {with(document(func(d map[string]string) { d["authorization_endpoint"] = "http://evil.example.com/auth" })), fault.ConfigInvalid},
		"a sign-in page that is a file": {with(document(func(d map[string]string) { d["authorization_endpoint"] = "file:///bin/sh" })), fault.ConfigInvalid},
		"a sign-in page like an option": {with(document(func(d map[string]string) { d["authorization_endpoint"] = "--exec=sh" })), fault.ConfigInvalid},
		"a token endpoint without TLS":  {with(document(func(d map[string]string) { d["token_endpoint"] = "http://evil.example.com/token" })), fault.ConfigInvalid},
		"a device page without TLS":     {with(document(func(d map[string]string) { d["device_authorization_endpoint"] = "http://evil.example.com" })), fault.ConfigInvalid},
		"a place to revoke without TLS": {with(document(func(d map[string]string) { d["revocation_endpoint"] = "http://evil.example.com" })), fault.ConfigInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Discover(t.Context(), oidcOf(c.issuer)); fault.ReasonOf(err) != c.reason {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWhatARefreshThatFailsMeans(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		reason fault.Reason
	}{
		"the session is over":         {says(400, `{"error":"invalid_grant"}`), fault.SSOEnded},
		"the client is gone":          {says(401, `{"error":"invalid_client"}`), fault.IssuerRefused},
		"the issuer is broken":        {says(500, `{"error":"invalid_grant"}`), fault.IssuerAway},
		"the issuer is a page":        {says(200, `<html>`), fault.IssuerAway},
		"there is no ID token":        {says(200, `{"access_token":"a","token_type":"Bearer"}`), fault.IssuerRefused},
		"there is no sense in it":     {says(400, `{"error":"\u001b[31m"}`), fault.IssuerRefused},
		"there is no access token":    {says(200, `{"id_token":"a.b.c"}`), fault.IssuerAway},
		"it is refused without words": {says(403, ``), fault.IssuerRefused},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := discover(t, oddIssuer(t, map[string]http.HandlerFunc{"/token": c.answer}))
			_, err := issuer.Refresh(t.Context(), "old")
			if fault.ReasonOf(err) != c.reason || strings.Contains(fault.Of(err).Show(), "\x1b") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestARefreshThatIsSlowIsTheIssuersFault(t *testing.T) {
	issuer := discover(t, oddIssuer(t, map[string]http.HandlerFunc{"/token": func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then does the server see that the client has gone
		<-r.Context().Done()
	}}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := issuer.Refresh(ctx, "old"); fault.ReasonOf(err) != fault.IssuerAway {
		t.Errorf("got %v", err)
	}
}

func TestARefreshKeepsTheTokenThatTheIssuerDoesNotReplace(t *testing.T) {
	issuer := discover(t, oddIssuer(t, map[string]http.HandlerFunc{
		"/token": says(200, `{"access_token":"a","token_type":"Bearer","id_token":"a.b.c","refresh_expires_in":3600}`)}))
	got, err := issuer.Refresh(t.Context(), "old")
	if err != nil || got.Refresh != "old" || time.Until(got.RefreshUntil).Round(time.Minute) != time.Hour {
		t.Errorf("%+v, %v", got, err)
	}
}
