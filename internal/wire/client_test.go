package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestNewClientRefuses(t *testing.T) {
	for name, url := range map[string]string{
		"nothing":                                "",
		"a bare name":                            "access.example.com",
		"another scheme":                         "ftp://access.example.com",
		"no host":                                "https:///v1",
		"plain HTTP":                             "http://access.example.com",
		"plain HTTP to a private address":        "http://10.0.0.1",
		"a name that begins like loopback":       "http://127.0.0.1.example.com",
		"a name that begins like 127":            "http://127.example.com",
		"a name that ends like localhost":        "http://evil-localhost",
		"a password":                             "https://you:secret@access.example.com",
		"a query":                                "https://access.example.com?x=1",
		"a fragment":                             "https://access.example.com#x",
		"something that no parser takes for one": "https://[::1",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewClient(url); fault.ReasonOf(err) != fault.BadRequest {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, url := range []string{"https://access.example.com", "https://access.example.com/", "http://localhost:8080", "http://127.0.0.1:8080", "http://127.9.9.9", "http://[::1]:80"} {
		c, err := NewClient(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
		} else if want := strings.TrimRight(url, "/"); c.URL() != want {
			t.Errorf("URL is %s", c.URL())
		}
	}
}

func TestTheZeroClientRefuses(t *testing.T) {
	for _, c := range []*Client{nil, {}} {
		if err := c.Do(t.Context(), http.MethodGet, PathHealth, nil, nil); fault.ReasonOf(err) != fault.CAAway {
			t.Errorf("got %v", err)
		}
	}
}

// serve answers every request with h, and returns a client for it.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAFaultCrossesTheWireWhole(t *testing.T) {
	sent := fault.New(fault.Denied, fault.NoRole, "no role gives you root on %s", "web-1").Then("run: sallyport request").Because(errors.New("secret cause"))
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { WriteProblem(w, sent) })
	err := c.Do(t.Context(), http.MethodGet, PathNodes, nil, nil)
	got := fault.Of(err)
	if got.Kind != sent.Kind || got.Reason != sent.Reason || got.Text != sent.Text || got.Next != sent.Next || got.Err != nil {
		t.Errorf("got %+v", got)
	}
}

func TestAFaultDoesNotSteerTheTerminal(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		WriteProblem(w, fault.New(fault.Denied, fault.NoRole, "no \x1b[2J role\nfor 数据库\r").Then("run:\x07 it"))
	})
	got := fault.Of(c.Do(t.Context(), http.MethodGet, PathNodes, nil, nil))
	if got.Text != "no \uFFFD[2J role\nfor 数据库\uFFFD" || got.Next != "run:\uFFFD it" {
		t.Errorf("%q, %q", got.Text, got.Next)
	}
}

func TestWhatIsNoAnswerOfACA(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a load balancer's page": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			io.WriteString(w, "<html>bad gateway")
		},
		"an error without a reason": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"detail":"no"}`)
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example.com"+r.URL.Path, http.StatusTemporaryRedirect)
		},
		"an answer that is no JSON": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "<html>welcome")
		},
		"an answer that breaks off": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"name":`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out Discovery
			err := serve(t, h).Do(t.Context(), http.MethodGet, PathDiscovery, nil, &out)
			if fault.ReasonOf(err) != fault.CAAway || fault.Of(err).Kind != fault.Unavailable {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAServerThatIsGoneIsNamed(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	c, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Do(t.Context(), http.MethodGet, PathDiscovery, nil, nil)
	if fault.ReasonOf(err) != fault.CAAway || !strings.Contains(fault.Of(err).Text, strings.TrimPrefix(server.URL, "http://")) {
		t.Errorf("got %v", err)
	}
}

func TestASlowCAIsAwayAndAnImpatientCallerIsNot(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	slow := serve(t, hang)
	slow.limit = 20 * time.Millisecond
	if err := slow.Do(t.Context(), http.MethodGet, PathHealth, nil, nil); fault.ReasonOf(err) != fault.CAAway {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := serve(t, hang).Do(ctx, http.MethodGet, PathHealth, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAStreamIsBoundedByItsContextAlone(t *testing.T) {
	more := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first ")
		w.(http.Flusher).Flush()
		<-more
		io.WriteString(w, "last")
	})
	c.limit = time.Nanosecond // of a Do; a stream has none
	body, err := c.Stream(t.Context(), PathRecording)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	close(more)
	if text, err := io.ReadAll(body); err != nil || string(text) != "first last" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAProvenClientSignsWhatItSends(t *testing.T) {
	signer, certificate := newLogin(t, 1)
	var host string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		p, err := ReadProof(r)
		if err == nil {
			_, err = p.Verify(r, body, host, time.Now())
		}
		if err != nil {
			WriteProblem(w, err)
			return
		}
		io.WriteString(w, `{"revision":8}`)
	})
	host = strings.TrimPrefix(c.URL(), "http://")
	var out Policy
	if err := c.WithProof(signer, certificate).Do(t.Context(), http.MethodPut, PathPolicy+"?x=a%20b", ApplyPolicy{Base: 7}, &out); err != nil || out.Revision != 8 {
		t.Errorf("revision %d, %v", out.Revision, err)
	}
	if err := c.Do(t.Context(), http.MethodPut, PathPolicy, ApplyPolicy{Base: 7}, &out); fault.ReasonOf(err) != fault.ProofInvalid {
		t.Errorf("without a proof: %v", err)
	}
}
