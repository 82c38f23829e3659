package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

const origin = "access.example.com/log"

// world is a log that a hand-made CA shows, and an auditor. The real CA's side is
// tested in ca, and both together in internal/e2e.
type world struct {
	t      *testing.T
	key    ed25519.PrivateKey
	vkey   string
	author string
	url    string
	home   string

	mu     sync.Mutex
	leaves [][]byte
	cut    int            // bytes after which an answer with events breaks off; 0: never
	asked  map[string]int // requests by path
	forge  func(path string, data []byte) []byte
	refuse bool // the auditor is none
}

func newWorld(t *testing.T) *world {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, key: private, author: "ann", home: t.TempDir(), asked: map[string]int{}}
	if w.vkey, err = audit.VerifierKey(origin, public); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// log adds events.
func (w *world) log(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		i := len(w.leaves)
		e := audit.Event{Kind: audit.SessionDenied, At: 1_792_800_000_000_000 + int64(i)*1e6, Outcome: audit.Refused, Reason: "no_role",
			Identity: "ann@example.com", Login: "root", Node: "web-1", Text: "no role gives <root> & co to " + w.author}
		leaf, err := e.Leaf()
		if err != nil {
			w.t.Fatal(err)
		}
		w.leaves = append(w.leaves, leaf)
	}
}

// tree is that of the first n events, with its tiles.
func (w *world) tree(n int) (*audit.Edge, map[audit.Tile][]byte) {
	edge, tiles := &audit.Edge{}, map[audit.Tile][]byte{}
	for _, leaf := range w.leaves[:n] {
		edge.Push(audit.LeafHash(leaf), func(t audit.Tile, hashes []byte) error { tiles[t] = hashes; return nil })
	}
	return edge, tiles
}

func (w *world) checkpoint(n int) []byte {
	edge, _ := w.tree(n)
	note, err := audit.Checkpoint{Origin: origin, Size: int64(n), Root: edge.Root()}.Sign(w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	return note
}

func (w *world) tile(t audit.Tile) []byte {
	if t.Entries {
		var bundle []byte
		for i := range t.Width {
			bundle, _ = audit.AppendEntry(bundle, w.leaves[int(t.First())+i])
		}
		return bundle
	}
	edge, tiles := w.tree(len(w.leaves))
	full := t
	full.Width = audit.TileWidth
	data := tiles[full]
	if data == nil {
		_, data = edge.Partial(t.Level)
	}
	return data[:t.Width*32]
}

func (w *world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[r.URL.Path]++
	var data []byte
	switch path := r.URL.Path; {
	case path == wire.PathLog+"checkpoint":
		data = w.checkpoint(len(w.leaves))
	case strings.HasPrefix(path, wire.PathLog):
		t, err := audit.ParseTile(strings.TrimPrefix(path, wire.PathLog))
		if err != nil {
			w.t.Errorf("asked for %s", path)
			return
		}
		data = w.tile(t)
	case strings.HasPrefix(path, wire.PathAuditEntries):
		if w.refuse {
			wire.WriteProblem(out, fault.New(fault.Denied, fault.NotAuditor, "you are no auditor here"))
			return
		}
		t, err := audit.ParseTile("tile/" + strings.TrimPrefix(path, wire.PathAuditEntries))
		n, errN := strconv.Atoi(r.URL.Query().Get("events"))
		if err != nil || errN != nil || int(t.First())+n != len(w.leaves) {
			w.t.Errorf("asked for %s", r.URL)
			return
		}
		for ; n > 0; n -= audit.TileWidth {
			t.Width = min(n, audit.TileWidth)
			data = append(data, w.tile(t)...)
			t.Index++
		}
		if w.cut > 0 && w.cut < len(data) {
			out.Header().Set("Content-Length", strconv.Itoa(len(data)))
			data = data[:w.cut]
		}
	case path == wire.PathAudit:
		w.list(out, r)
		return
	case path == wire.PathAuditProof:
		index, _ := strconv.ParseInt(r.URL.Query().Get("index"), 10, 64)
		edge, _ := w.tree(len(w.leaves))
		c := audit.Checkpoint{Origin: origin, Size: edge.Size(), Root: edge.Root()}
		proof, err := c.ProveInclusion(index, func(t audit.Tile) ([]byte, error) { return w.tile(t), nil })
		if err != nil {
			w.t.Error(err)
		}
		answer := wire.AuditProof{Entry: wire.AuditEntry{Index: index, Event: w.leaves[index]}, Checkpoint: string(w.checkpoint(len(w.leaves)))}
		for _, h := range proof {
			answer.Hashes = append(answer.Hashes, h[:])
		}
		data = plainJSON(answer)
	}
	if w.forge != nil {
		data = w.forge(r.URL.Path, data)
	}
	out.Write(data)
}

// list answers as PathAudit does; its only filter is from.
func (w *world) list(out http.ResponseWriter, r *http.Request) {
	f, err := wire.ParseAuditFilter(r.URL.Query())
	if err != nil {
		wire.WriteProblem(out, err)
		return
	}
	page := wire.AuditPage{Entries: []wire.AuditEntry{}, Size: int64(len(w.leaves))}
	for i := f.From; i < page.Size; i++ {
		page.Entries = append(page.Entries, wire.AuditEntry{Index: i, Event: w.leaves[i]})
	}
	if !f.Oldest {
		for i, j := 0, len(page.Entries)-1; i < j; i, j = i+1, j-1 {
			page.Entries[i], page.Entries[j] = page.Entries[j], page.Entries[i]
		}
	}
	out.Write(plainJSON(page))
}

// run runs a command as main does, and returns what it prints and its status.
func (w *world) run(args ...string) (stdout, stderr string, status int) {
	w.t.Helper()
	var out bytes.Buffer
	stderr, status = w.runTo(w.t.Context(), &out, args...)
	return out.String(), stderr, status
}

func (w *world) runTo(ctx context.Context, stdout io.Writer, args ...string) (stderr string, status int) {
	var errs bytes.Buffer
	env := cli.Env{Stdin: strings.NewReader(""), Stdout: stdout, Stderr: &errs, Getenv: func(name string) string {
		if name == "HOME" {
			return w.home
		}
		return ""
	}}
	connect := func(context.Context, cli.Env) (*wire.Client, error) { return wire.NewClient(w.url) }
	status = cli.Report(env, Commands(connect)["audit"](ctx, env, args))
	return errs.String(), status
}

// must runs a command that works.
func (w *world) must(args ...string) string {
	w.t.Helper()
	out, errs, status := w.run(args...)
	if status != 0 {
		w.t.Fatalf("audit %v: status %d\n%s%s", args, status, out, errs)
	}
	return out
}

// fails runs a command that ends with status and says text.
func (w *world) fails(text string, args ...string) {
	w.t.Helper()
	out, errs, status := w.run(args...)
	if status == 0 || !strings.Contains(errs, text) || strings.Contains(out, "verified.") {
		w.t.Errorf("audit %v: status %d, want %q\n%s%s", args, status, text, out, errs)
	}
}

func (w *world) file(name string, data []byte) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) dir() string { return filepath.Join(w.t.TempDir(), "log") }

func changed(t *testing.T, path string, change func([]byte) []byte) (undo func()) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(bytes.Clone(data)), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// plainJSON leaves the events in v as they are.
func plainJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func mustTile(path string) audit.Tile {
	t, err := audit.ParseTile(path)
	if err != nil {
		panic(err)
	}
	return t
}
