package outlet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/siem"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

// childEnv makes the test's own program a CA that does nothing but deliver, to
// be killed.
const childEnv = "SALLYPORT_TEST_OUTLET"

func TestMain(m *testing.M) {
	if arg := os.Getenv(childEnv); arg != "" {
		var c childArgs
		if err := json.Unmarshal([]byte(arg), &c); err != nil {
			panic(err)
		}
		c.run()
		return
	}
	goleak.VerifyTestMain(m)
}

type childArgs struct {
	URL    string
	Holder string
	Config Config
}

func (c childArgs) run() {
	s, err := store.Open(context.Background(), store.Config{URL: c.URL})
	if err != nil {
		panic(err)
	}
	o, err := New(c.Config, c.Holder, siem.Encoder{}, s, slog.Default())
	if err != nil {
		panic(err)
	}
	o.hurry()
	fmt.Println("ready")
	o.Run(context.Background())
}

func (c childArgs) start(t *testing.T) *exec.Cmd {
	t.Helper()
	arg, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(arg))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func kill(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

// hurry shortens the times, so that a test need not wait for them.
func (o *Outlet) hurry() {
	o.lease, o.shortest, o.longest = time.Second, 5*time.Millisecond, 50*time.Millisecond
}

// fixture is a log that grows.
type fixture struct {
	*testing.T
	store *store.Store
	size  int64
}

func newFixture(t *testing.T, url string) *fixture {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &fixture{T: t, store: s}
}

// happen appends n events, each with its index as its count.
func (f *fixture) happen(n int) {
	f.Helper()
	for range n {
		if err := f.store.Append(context.Background(), audit.Event{Kind: audit.SessionDenied, Outcome: audit.Refused, Count: f.size}); err != nil {
			f.Fatal(err)
		}
		f.size++
	}
}

func (f *fixture) outlet(c Config, holder string) *Outlet {
	f.Helper()
	o, err := New(c, holder, siem.Encoder{Origin: "test"}, f.store, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		f.Fatal(err)
	}
	o.hurry()
	return o
}

// run delivers until the returned function is called.
func (f *fixture) run(c Config, holder string) (stop func()) {
	f.Helper()
	o := f.outlet(c, holder)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); o.Run(ctx) }()
	return func() { cancel(); <-done }
}

func (f *fixture) eventually(what string, is func() bool) {
	f.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(deadline) {
			f.Fatal("waited in vain: " + what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// received are the indexes of the lines of text; it fails where one is torn.
func (f *fixture) received(text []byte) (list []int64) {
	f.Helper()
	for _, line := range bytes.SplitAfter(text, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var l struct {
			Index int64
			Event audit.Event
		}
		if err := json.Unmarshal(line, &l); err != nil || l.Event.Count != l.Index || line[len(line)-1] != '\n' {
			f.Fatalf("line %q: %v", line, err)
		}
		list = append(list, l.Index)
	}
	return list
}

// inOrder holds list to the promise: each event at least once, and none before
// the one that precedes it in the log.
func (f *fixture) inOrder(list []int64) {
	f.Helper()
	var next int64
	for i, index := range list {
		if index > next {
			f.Fatalf("event %d came before %d, as number %d of %v", index, next, i, list)
		}
		next = max(next, index+1)
	}
	if next != f.size {
		f.Fatalf("%d events came of %d", next, f.size)
	}
}

func sqlite(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "ca.db") }

// receiver is a webhook's other end.
type receiver struct {
	*httptest.Server
	// fail may answer the nth message in place of the receiver.
	fail func(n int, w http.ResponseWriter) (failed bool)

	mu     sync.Mutex
	n      int
	bodies []byte
	ids    []string
}

const secret = "a secret of the webhook, long enough"

func newReceiver(t *testing.T, fail func(int, http.ResponseWriter) bool) *receiver {
	r := &receiver{fail: fail}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if err != nil || r.fail != nil && r.fail(r.n, w) {
		return
	}
	id, at := q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp")
	if q.Header.Get("webhook-signature") != "v1,"+sign([]byte(secret), id, at, body) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.ids = append(r.ids, id)
	r.bodies = append(r.bodies, body...)
}

func (r *receiver) text() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.bodies)
}

func (r *receiver) messages() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.ids...)
}

func (r *receiver) config(t *testing.T) Config {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Config{Name: "hook", Webhook: &Webhook{URL: r.URL, SecretFile: path}}
}
