package people

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/ca/internal/idtoken"
	"github.com/sallyport-ssh/sallyport/ca/internal/refusals"
	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// world is a people's door on a test's CA.
type world struct {
	*testca.CA
	t      *testing.T
	url    string
	people *people
	log    *bytes.Buffer
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	ca := testca.New(t)
	server := httptest.NewUnstartedServer(nil)
	address := &url.URL{Scheme: "http", Host: server.Listener.Addr().String()}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c := Config{
		Store: ca.Store, Directory: ca.Directory, Issuer: ca.Issuer, Holders: ca.Holders,
		Refusals:  refusals.New(ca.Store, slog.New(slog.DiscardHandler)),
		Tokens:    idtoken.New(idtoken.Config{Log: slog.New(slog.DiscardHandler), Now: time.Now}),
		SessionCA: ca.Public(cert.SessionProfile), URL: address,
		Admins: Named{Groups: []string{"platform"}}, Auditors: Named{Identities: []string{"eve@example.com"}},
		AuditLog:      ca.AuditLog(),
		LoginLifetime: 8 * time.Hour, RenewWithin: time.Hour,
		Keep: ca.Keep(t.TempDir()), Executable: executable, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	w := &world{CA: ca, t: t, url: address.String(), people: newPeople(c), log: &log}
	handler, err := door.New(w.people.routes(), w.people.gate, c.Log)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = handler
	server.Start()
	t.Cleanup(server.Close)
	return w
}

func (w *world) as(p *testca.Person) *wire.Client { return p.Client(w.t, w.url) }

func (w *world) do(p *testca.Person, method, path string, in, out any) error {
	w.t.Helper()
	return w.as(p).Do(w.t.Context(), method, path, in, out)
}

// send makes a request with any body, proven by p unless p is nil, and returns
// what went wrong.
func (w *world) send(p *testca.Person, method, path string, body []byte) error {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if p != nil {
		if err := wire.Prove(r, body, p.Key, p.Certificate, time.Now()); err != nil {
			w.t.Fatal(err)
		}
	}
	return w.round(r)
}

func (w *world) round(r *http.Request) error {
	w.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return nil
	}
	if ct := resp.Header.Get("Content-Type"); ct != wire.ContentProblem {
		w.t.Errorf("%s %s answers an error as %s", r.Method, r.URL.Path, ct)
	}
	var p wire.Problem
	if err := wire.Decode(resp.Body, 1<<16, &p); err != nil {
		w.t.Fatal(err)
	}
	return &fault.Error{Kind: fault.KindOfStatus(resp.StatusCode), Reason: fault.Reason(p.Reason), Text: p.Detail, Next: p.Next}
}

// filled is a route's path with something in its blanks.
func filled(path string) string {
	return strings.NewReplacer("{id}", "7kq2-m9x4d", "{name}", "web-1").Replace(path)
}

// The table of routes is walked, so that a route that is added tomorrow is
// tested tomorrow.
func TestEveryRoute(t *testing.T) {
	w := newWorld(t)
	ann, ada := w.Login("ann@example.com", "eng"), w.Login("ada@example.com", "platform")
	want := func(t *testing.T, err error, reason fault.Reason) {
		t.Helper()
		if fault.ReasonOf(err) != reason {
			t.Errorf("got %v (%s), want %s", err, fault.ReasonOf(err), reason)
		}
	}
	for _, r := range w.people.routes() {
		path := filled(r.Path)
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			if r.Who != door.Anyone {
				want(t, w.send(nil, r.Method, path, nil), fault.ProofInvalid)
			}
			if r.Who == door.Admin {
				want(t, w.send(ann, r.Method, path, nil), fault.NotAdmin)
			}
			large := bytes.Repeat([]byte(" "), int(r.Limit)+1)
			if r.Limit == 0 {
				want(t, w.send(ada, r.Method, path, large), fault.BadRequest)
				return
			}
			want(t, w.send(ada, r.Method, path, large), fault.TooLarge)
			want(t, w.send(ada, r.Method, path, []byte(`{"nobody_knows_this": 1}`)), fault.BadRequest)
			want(t, w.send(ada, r.Method, path, []byte(`{} {}`)), fault.BadRequest)
			want(t, w.send(ada, r.Method, path, nil), fault.BadRequest)
		})
	}
}

func TestWhatIsNoRouteIsStillAnsweredAsACA(t *testing.T) {
	w := newWorld(t)
	for _, r := range [][2]string{{"GET", "/"}, {"GET", "/v1/login"}, {"PUT", wire.PathNodes}, {"GET", "/v2/nodes"}} {
		if err := w.send(nil, r[0], r[1], nil); fault.ReasonOf(err) != fault.NotFound {
			t.Errorf("%s %s: %v", r[0], r[1], err)
		}
	}
}

func TestAProofIsRefused(t *testing.T) {
	w := newWorld(t)
	ann := w.Login("ann@example.com", "eng")
	other := testca.Key(t)
	prove := func(change func(*http.Request)) func() error {
		return func() error {
			r, _ := http.NewRequestWithContext(t.Context(), "GET", w.url+wire.PathNodes, nil)
			if err := wire.Prove(r, nil, ann.Key, ann.Certificate, time.Now()); err != nil {
				t.Fatal(err)
			}
			change(r)
			return w.round(r)
		}
	}
	at := func(now time.Time) func() error {
		return prove(func(r *http.Request) { wire.Prove(r, nil, ann.Key, ann.Certificate, now) })
	}
	for name, row := range map[string]struct {
		reason fault.Reason
		send   func() error
	}{
		"as it is":          {"", prove(func(*http.Request) {})},
		"for another query": {fault.ProofInvalid, prove(func(r *http.Request) { r.URL.RawQuery = "x=1" })},
		"for another path":  {fault.ProofInvalid, prove(func(r *http.Request) { r.URL.Path = wire.PathSessions })},
		"for another host": {fault.ProofInvalid, prove(func(r *http.Request) {
			u := *r.URL
			q := r.Clone(r.Context())
			q.URL = &u
			q.URL.Host = "evil.example.com"
			wire.Prove(q, nil, ann.Key, ann.Certificate, time.Now())
			r.Header = q.Header
		})},
		"by another key":                     {fault.ProofInvalid, prove(func(r *http.Request) { wire.Prove(r, nil, other, ann.Certificate, time.Now()) })},
		"with a plain key for a certificate": {fault.ProofInvalid, prove(func(r *http.Request) { wire.Prove(r, nil, ann.Key, ann.Key.PublicKey().Marshal(), time.Now()) })},
		"with another scheme":                {fault.ProofInvalid, prove(func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") })},
		"from a clock a minute behind":       {"", at(time.Now().Add(-time.Minute))},
		"from a clock a minute ahead":        {"", at(time.Now().Add(time.Minute))},
		"from a clock ten minutes behind":    {fault.ClockSkew, at(time.Now().Add(-10 * time.Minute))},
		"from a clock ten minutes ahead":     {fault.ClockSkew, at(time.Now().Add(10 * time.Minute))},
		"with a certificate of another CA": {fault.CertificateInvalid, prove(func(r *http.Request) {
			wire.Prove(r, nil, ann.Key, w.Forge(other, *ann.Parsed(t)).Marshal(), time.Now())
		})},
		"with a certificate that was made up": {fault.CertificateInvalid, prove(func(r *http.Request) {
			wire.Prove(r, nil, ann.Key, w.Forge(w.Keys[cert.LoginProfile], *ann.Parsed(t)).Marshal(), time.Now())
		})},
		"with a certificate that was not hers": {fault.ProofInvalid, prove(func(r *http.Request) { wire.Prove(r, nil, ann.Key, w.Login("ada@example.com").Certificate, time.Now()) })},
	} {
		t.Run(name, func(t *testing.T) {
			if err := row.send(); fault.ReasonOf(err) != row.reason {
				t.Errorf("got %v (%s), want %q", err, fault.ReasonOf(err), row.reason)
			}
		})
	}
}

func TestAProvenRequestCountsOnce(t *testing.T) {
	w := newWorld(t)
	ada := w.Login("ada@example.com", "platform")
	token := []byte(`{"part":"agent","names":["web-1"],"uses":1,"seconds":60}`)
	for name, row := range map[string]struct {
		method, path string
		body         []byte
	}{
		"one that reads":  {"GET", wire.PathNodes, nil},
		"one that writes": {"POST", wire.PathAdminTokens, token},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := http.NewRequestWithContext(t.Context(), row.method, w.url+row.path, bytes.NewReader(row.body))
			if err := wire.Prove(r, row.body, ada.Key, ada.Certificate, time.Now()); err != nil {
				t.Fatal(err)
			}
			again := r.Clone(t.Context())
			again.Body = io.NopCloser(bytes.NewReader(row.body))
			if err := w.round(r); err != nil {
				t.Fatal(err)
			}
			if err := w.round(again); fault.ReasonOf(err) != fault.TokenReplayed {
				t.Errorf("the second time: %v", err)
			}
		})
	}
	var tokens []wire.JoinToken
	if err := w.do(ada, "GET", wire.PathAdminTokens, nil, &tokens); err != nil || len(tokens) != 1 {
		t.Errorf("the replay made a token: %v, %v", tokens, err)
	}
}

func TestALogoutEndsTheCertificateAtOnce(t *testing.T) {
	w := newWorld(t)
	ann := w.Login("ann@example.com", "eng")
	if err := w.do(ann, "POST", wire.PathLogout, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.do(ann, "GET", wire.PathNodes, nil, nil); fault.ReasonOf(err) != fault.CertificateRevoked {
		t.Errorf("after the logout: %v", err)
	}
}

func TestTheLogHoldsNoSecret(t *testing.T) {
	w := newWorld(t)
	ada := w.Login("ada@example.com", "platform")
	var made wire.JoinTokenSecret
	if err := w.do(ada, "POST", wire.PathAdminTokens, wire.NewJoinToken{Part: wire.PartAgent, Names: []string{"x"}, Uses: 1, Seconds: 60}, &made); err != nil {
		t.Fatal(err)
	}
	w.send(nil, "POST", wire.PathLogin, []byte(`{"id_token":"SECRET-TOKEN","public_key":"","proof":""}`))
	w.do(ada, "GET", wire.PathSessions+"?identity=SECRET@example.com", nil, nil)
	log := w.log.String()
	for _, secret := range []string{made.Secret, "SECRET", "Sallyport "} {
		if strings.Contains(log, secret) {
			t.Errorf("%q stands in the log:\n%s", secret, log)
		}
	}
	if !strings.Contains(log, "identity=ada@example.com") || !strings.Contains(log, "reason=key_refused") {
		t.Errorf("the log does not say who and why:\n%s", log)
	}
}

func TestTheAddressBehindALoadBalancerIsTheOneThatItAdds(t *testing.T) {
	for name, row := range map[string]struct {
		behind bool
		header []string
		want   string
	}{
		"without one the header is anybody's word": {false, []string{"192.0.2.1"}, "127.0.0.1"},
		"the last address":                         {true, []string{"10.9.9.9, 192.0.2.1"}, "192.0.2.1"},
		"the last of several headers":              {true, []string{"10.9.9.9", "192.0.2.1"}, "192.0.2.1"},
		"nothing that reads as one":                {true, []string{"unknown"}, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gate{people: &people{Config: Config{BehindProxy: row.behind}}}
			r := httptest.NewRequestWithContext(context.Background(), "GET", "/", nil)
			r.RemoteAddr = "127.0.0.1:5000"
			r.Header["X-Forwarded-For"] = row.header
			if got := g.from(r).String(); got != row.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestReplaysAreForgottenWithTime(t *testing.T) {
	now := time.Unix(1000, 0)
	m := newReplays(func() time.Time { return now })
	for n := range 3 {
		if err := m.use(once(n, 1060)); err != nil {
			t.Fatal(err)
		}
	}
	now = time.Unix(1100, 0)
	if err := m.use(once(9, 1160)); err != nil || len(m.seen) != 1 {
		t.Errorf("%v, and %d are remembered", err, len(m.seen))
	}
}

func once(n int, expires int64) store.Once {
	return store.Once{Kind: "request", Hash: fmt.Append(nil, n), Expires: expires}
}
