package signin

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

const back = "127.0.0.1:40000"

func testIssuer() *Issuer {
	return &Issuer{issuer: "https://login.example.com", host: "login.example.com"}
}

// visit is a browser at the loopback page.
func visit(l *loopback, method, host, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = host
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w
}

func TestTheLoopbackPageGoesOnWaitingAfter(t *testing.T) {
	for name, c := range map[string]struct {
		method, host, target string
		status               int
	}{
		"another path":                {"GET", back, "/favicon.ico", 404},
		"another method":              {"POST", back, "/callback?state=s&code=c", 404},
		"a prefetch of the head":      {"HEAD", back, "/callback?state=s&code=c", 404},
		"a name that was rebound":     {"GET", "evil.example.com:40000", "/callback?state=s&code=c", 404},
		"another port":                {"GET", "127.0.0.1:1", "/callback?state=s&code=c", 404},
		"no state":                    {"GET", back, "/callback?code=c", 400},
		"another login's state":       {"GET", back, "/callback?state=t&code=c", 400},
		"a longer state":              {"GET", back, "/callback?state=ss&code=c", 400},
		"a refusal without our state": {"GET", back, "/callback?error=access_denied", 400},
		"no query that can be read":   {"GET", back, "/callback?%zz", 400},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoopback(back, "s", testIssuer())
			if w := visit(l, c.method, c.host, c.target); w.Code != c.status {
				t.Errorf("status %d, want %d", w.Code, c.status)
			}
			select {
			case r := <-l.result:
				t.Fatalf("it took %+v", r)
			default:
			}
			l.answer(nil)
			if w := visit(l, "GET", back, "/callback?state=s&code=right"); w.Code != 200 {
				t.Errorf("the right answer after it: status %d", w.Code)
			}
			if r := <-l.result; r.code != "right" || r.err != nil {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestTheLoopbackPageTakesOneAnswer(t *testing.T) {
	l := newLoopback(back, "s", testIssuer())
	l.answer(nil)
	var all sync.WaitGroup
	var mu sync.Mutex
	status := map[int]int{}
	for range 20 {
		all.Go(func() {
			w := visit(l, "GET", back, "/callback?state=s&code=c")
			mu.Lock()
			defer mu.Unlock()
			status[w.Code]++
		})
	}
	all.Wait()
	if status[http.StatusOK] != 1 || status[http.StatusConflict] != 19 {
		t.Errorf("by status: %v", status)
	}
}

func TestWhatTheIssuerSaysAtTheLoopbackPage(t *testing.T) {
	for name, c := range map[string]struct {
		query  string
		names  bool
		reason fault.Reason
		says   string
	}{
		"a code":                                      {"code=c", false, "", ""},
		"a code, and who it is from":                  {"code=c&iss=https://login.example.com", true, "", ""},
		"a code of another issuer":                    {"code=c&iss=https://login.example.org", false, fault.TokenIssuer, "another issuer"},
		"a code of nobody, where issuers sign":        {"code=c", true, fault.TokenIssuer, "another issuer"},
		"no code":                                     {"", false, fault.IssuerRefused, "login.example.com"},
		"that the person may not":                     {"error=access_denied", false, fault.IssuerRefused, "did not let you in"},
		"that the client is unknown":                  {"error=unauthorized_client", false, fault.IssuerRefused, "does not know this client"},
		"that it is not well":                         {"error=temporarily_unavailable", false, fault.IssuerAway, "problem of its own"},
		"something new":                               {"error=interaction_required", false, fault.IssuerRefused, "interaction_required"},
		"something that is meant for other eyes":      {"error=%3Cscript%3E", false, fault.IssuerRefused, "no reason given"},
		"a refusal and a code, of which one is false": {"error=access_denied&code=c", false, fault.IssuerRefused, "did not let you in"},
	} {
		t.Run(name, func(t *testing.T) {
			i := testIssuer()
			i.names = c.names
			l := newLoopback(back, "s", i)
			l.answer(nil)
			visit(l, "GET", back, "/callback?state=s&"+c.query)
			r := <-l.result
			if fault.ReasonOf(r.err) != c.reason || (r.err == nil) == (r.code == "") {
				t.Fatalf("got %+v", r)
			}
			if r.err != nil && !strings.Contains(fault.Of(r.err).Text, c.says) {
				t.Errorf("it says %q", fault.Of(r.err).Text)
			}
		})
	}
}

func TestThePageSpeaksThePersonsLanguage(t *testing.T) {
	for accept, want := range map[string]string{
		"":                         "You are signed in",
		"en-GB,en;q=0.9":           "You are signed in",
		"zh-CN,zh;q=0.9,en;q=0.8":  "登录成功",
		"zh-TW":                    "登录成功",
		"ZH":                       "登录成功",
		"en;q=0.5, zh;q=0.8":       "登录成功",
		"de-DE,de;q=0.9":           "You are signed in",
		"de, zh;q=0.4, en;q=0.3":   "登录成功",
		"zh;q=0, en;q=0.1":         "You are signed in",
		"zh;q=x":                   "You are signed in",
		strings.Repeat("zh,", 999): "登录成功",
		"*":                        "You are signed in",
	} {
		l := newLoopback(back, "s", testIssuer())
		l.answer(nil)
		w := visit(l, "GET", back, "/callback?state=s&code=c", "Accept-Language", accept)
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.40q: %s", accept, w.Body)
		}
	}
}

func TestThePageSaysWhatTheTerminalSays(t *testing.T) {
	l := newLoopback(back, "s", testIssuer())
	l.answer(fault.New(fault.Denied, fault.TokenClaims, "you are in no group <b>here</b>").Then("ask an admin").Because(errors.New("secret cause")))
	w := visit(l, "GET", back, "/callback?state=s&code=abcdef")
	body := w.Body.String()
	for _, want := range []string{"The login did not work", "you are in no group &lt;b&gt;here", "ask an admin"} {
		if !strings.Contains(body, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	for _, never := range []string{"secret cause", "abcdef", "http://", "https://", "<script", "src="} {
		if strings.Contains(body, never) {
			t.Errorf("it says %q", never)
		}
	}
	if w.Code != http.StatusForbidden || w.Header().Get("Referrer-Policy") != "no-referrer" || w.Header().Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// FuzzCallback: whatever a browser brings, the page answers and takes one answer
// at most.
func FuzzCallback(f *testing.F) {
	f.Add("state=s&code=c", "en")
	f.Add("state=s&error=access_denied&error_description=%00", "zh;q=0.5")
	f.Add("state=s&state=t;code", ";q=,,;;q=1")
	f.Fuzz(func(t *testing.T, query, accept string) {
		l := newLoopback(back, "s", testIssuer())
		l.answer(nil)
		r := &http.Request{Method: "GET", Host: back, URL: &url.URL{Path: callbackPath, RawQuery: query}, Header: http.Header{"Accept-Language": {accept}}}
		w := httptest.NewRecorder()
		l.ServeHTTP(w, r)
		took := len(l.result) == 1
		if took != (r.URL.Query().Get("state") == "s") {
			t.Fatalf("%q: took an answer: %v", query, took)
		}
		if w.Code != 200 && w.Code != 400 {
			t.Fatalf("%q: status %d", query, w.Code)
		}
	})
}
