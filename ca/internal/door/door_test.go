package door

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// open lets everybody in but those who say that they are a thief.
type open struct{}

func (open) Admit(r *http.Request, who Who, _ func() ([]byte, error)) (string, error) {
	name := r.Header.Get("Name")
	if name == "thief" {
		return name, fault.New(fault.Unauthentic, fault.ProofInvalid, "no")
	}
	return name, nil
}

func (open) Describe(name string) []slog.Attr { return []slog.Attr{slog.String("name", name)} }

type greeting struct {
	Name string `json:"name"`
}

func serve(t *testing.T, d *door[string], routes ...Route[string]) (url string, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	d.gate, d.log = open{}, slog.New(slog.NewTextHandler(log, nil))
	if d.arrive == 0 {
		d.arrive, d.answer = time.Minute, time.Minute
	}
	handler, err := d.table(routes)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL, log
}

func greet(_ *Call[string], in greeting) (greeting, error) { return in, nil }

func TestATableThatIsNotWholeDoesNotStart(t *testing.T) {
	handle := Takes(greet)
	for name, r := range map[string]Route[string]{
		"without who may call": {Method: "POST", Path: "/x", Limit: 1, Handle: handle},
		"without a handler":    {Method: "POST", Path: "/x", Limit: 1, Who: Anyone},
		"without a method":     {Path: "/x", Limit: 1, Who: Anyone, Handle: handle},
		"without a limit":      {Method: "PUT", Path: "/x", Who: Anyone, Handle: handle},
		"with a limit below 0": {Method: "PUT", Path: "/x", Limit: -1, Who: Anyone, Handle: handle},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New([]Route[string]{r}, open{}, slog.Default()); err == nil {
				t.Error("it starts")
			}
		})
	}
}

func ask(t *testing.T, method, url, body string, header ...string) (status int, answer string, p wire.Problem) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 400 {
		if err := wire.Decode(bytes.NewReader(data), 1<<16, &p); err != nil {
			t.Fatalf("%s is no problem: %v", data, err)
		}
	}
	return resp.StatusCode, string(data), p
}

func TestNoHandlerRunsForWhomTheGateRefuses(t *testing.T) {
	ran := false
	url, _ := serve(t, &door[string]{}, Route[string]{Method: "POST", Path: "/x", Who: Anyone, Limit: 10, Handle: Takes(func(*Call[string], greeting) (Nothing, error) {
		ran = true
		return Nothing{}, nil
	})})
	if status, _, p := ask(t, "POST", url+"/x", `{}`, "Name", "thief"); status != 401 || p.Reason != "proof_invalid" || ran {
		t.Errorf("status %d, %+v, ran %v", status, p, ran)
	}
	if status, body, _ := ask(t, "POST", url+"/x", `{}`, "Name", "ann"); status != 204 || body != "" || !ran {
		t.Errorf("status %d, %q, ran %v", status, body, ran)
	}
}

func TestAHandlerThatPanicsIsAnInternalErrorThatSaysNothing(t *testing.T) {
	url, log := serve(t, &door[string]{}, Route[string]{Method: "GET", Path: "/x", Who: Anyone, Handle: Answers(func(*Call[string]) (Nothing, error) {
		panic("the secret is 42")
	})})
	status, body, p := ask(t, "GET", url+"/x", "")
	if status != 500 || p.Reason != "internal_error" || strings.Contains(body, "42") {
		t.Errorf("status %d: %s", status, body)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "42") {
		t.Errorf("the log: %s", log)
	}
}

func TestAnErrorsCauseIsLoggedAndNotShown(t *testing.T) {
	url, log := serve(t, &door[string]{}, Route[string]{Method: "GET", Path: "/x", Who: Anyone, Handle: Answers(func(*Call[string]) (Nothing, error) {
		return Nothing{}, fault.New(fault.Denied, fault.NoRole, "no role").Because(errors.New("the cause"))
	})})
	if _, body, p := ask(t, "GET", url+"/x?secret=1", ""); p.Reason != "no_role" || strings.Contains(body, "cause") {
		t.Errorf("got %s", body)
	}
	if s := log.String(); !strings.Contains(s, "reason=no_role") || !strings.Contains(s, "the cause") || strings.Contains(s, "secret") {
		t.Errorf("the log: %s", s)
	}
}

func TestAStreamThatBreaksOffDoesNotEndAsIfItWereWhole(t *testing.T) {
	url, _ := serve(t, &door[string]{}, Route[string]{Method: "GET", Path: "/x", Who: Anyone, Handle: func(w http.ResponseWriter, _ *Call[string]) error {
		out := Stream(w, "text/plain")
		io.WriteString(out, strings.Repeat("x", 100_000))
		return errors.New("the disk is gone")
	}})
	resp, err := http.Get(url + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes, and no error", n)
	}
}

// A long poll outlives the time that its request had to arrive.
func TestALongPollIsNotEndedByTheTimeThatABodyHas(t *testing.T) {
	d := &door[string]{arrive: 50 * time.Millisecond, answer: time.Minute}
	url, _ := serve(t, d, Route[string]{Method: "GET", Path: "/x", Who: Anyone, Handle: Answers(func(c *Call[string]) (greeting, error) {
		ctx, cancel := context.WithTimeout(c.Context(), 300*time.Millisecond)
		defer cancel()
		<-ctx.Done()
		return greeting{}, c.Context().Err()
	})})
	if status, body, _ := ask(t, "GET", url+"/x", ""); status != 200 {
		t.Errorf("status %d: %s", status, body)
	}
}

func TestABodyThatDoesNotArriveIsGivenUp(t *testing.T) {
	d := &door[string]{arrive: 50 * time.Millisecond, answer: time.Minute}
	url, _ := serve(t, d, Route[string]{Method: "POST", Path: "/x", Who: Anyone, Limit: 100, Handle: Takes(greet)})
	body, writer := io.Pipe() // of which nothing ever comes
	defer writer.Close()
	resp, err := http.Post(url+"/x", "application/json", body)
	if err != nil {
		return // the connection was closed, which is as good
	}
	defer resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("status %d", resp.StatusCode)
	}
}
