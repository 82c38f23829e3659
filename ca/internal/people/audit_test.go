package people

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// logged adds n events and waits until they are under a checkpoint.
func (w *world) logged(n int) (size int64) {
	w.t.Helper()
	for range n {
		err := w.Store.Append(w.t.Context(), audit.Event{Kind: audit.SessionDenied, Outcome: audit.Refused, Reason: "no_role",
			Identity: "ann@example.com", Node: "web-1", Text: "<b>no</b> & no"})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	state, err := w.Store.LogState(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	rig.Eventually(w.t, 10*time.Second, "all is under a checkpoint", func() bool {
		signed, err := w.people.AuditLog.Checkpoint(w.t.Context())
		return err == nil && signed.Size >= state.Size
	})
	return state.Size
}

func (w *world) trust() *audit.Trust {
	w.t.Helper()
	vkey, err := audit.VerifierKey(testca.LogOrigin, w.LogKey.Public().(ed25519.PublicKey))
	if err != nil {
		w.t.Fatal(err)
	}
	trust, err := audit.NewTrust([]string{vkey}, nil, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return trust
}

// get asks as nobody.
func (w *world) get(path string) (data []byte, header http.Header, status int) {
	w.t.Helper()
	resp, err := http.Get(w.url + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err = io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return data, resp.Header, resp.StatusCode
}

// TestTheLogIsForAuditors, and a session's evidence also for its person.
func TestTheLogIsForAuditors(t *testing.T) {
	w := newWorld(t)
	ann, ada, eve := w.Login("ann@example.com"), w.Login("ada@example.com", "platform"), w.Login("eve@example.com")
	w.logged(1)
	for _, path := range []string{wire.PathAudit, wire.PathAuditProof + "?index=0", wire.PathAuditEntries + "entries/000.p/1", wire.PathAuditEntries + "entries/000?events=1"} {
		for _, p := range []*testca.Person{ann, ada} { // an admin is no auditor
			if err := w.send(p, "GET", path, nil); fault.ReasonOf(err) != fault.NotAuditor {
				t.Errorf("%s to %s: %v", path, p.Name, err)
			}
		}
		if err := w.send(nil, "GET", path, nil); fault.ReasonOf(err) != fault.ProofInvalid {
			t.Errorf("%s to nobody: %v", path, err)
		}
		if err := w.send(eve, "GET", path, nil); err != nil {
			t.Errorf("%s to an auditor: %v", path, err)
		}
	}
}

func TestAuditQuestionsAreRefused(t *testing.T) {
	w := newWorld(t)
	eve := w.Login("eve@example.com")
	w.logged(3)
	for path, reason := range map[string]fault.Reason{
		wire.PathAudit + "?who=ann":                           fault.BadRequest,
		wire.PathAudit + "?wait=5":                            fault.BadRequest,
		wire.PathAuditProof:                                   fault.BadRequest,
		wire.PathAuditProof + "?index=-1":                     fault.BadRequest,
		wire.PathAuditProof + "?index=0&size=x":               fault.BadRequest,
		wire.PathAuditProof + "?index=0&size=999":             fault.NotFound,
		wire.PathAuditEntries + "0/000":                       fault.NotFound,
		wire.PathAuditEntries + "entries/0":                   fault.NotFound,
		wire.PathAuditEntries + "entries/000":                 fault.NotFound,
		wire.PathAuditEntries + "entries/001.p/1":             fault.NotFound,
		wire.PathAuditEntries + "entries/000?events=0":        fault.BadRequest,
		wire.PathAuditEntries + "entries/000?events=x":        fault.BadRequest,
		wire.PathAuditEntries + "entries/000?events=99999999": fault.NotFound,
		wire.PathAuditEntries + "entries/000.p/1?events=1":    fault.BadRequest,
		wire.PathLog:                          fault.NotFound,
		wire.PathLog + "checkpoints":          fault.NotFound,
		wire.PathLog + "tile/0/000":           fault.NotFound,
		wire.PathLog + "tile/0/x001/000":      fault.NotFound,
		wire.PathLog + "tile/7/000":           fault.NotFound,
		wire.PathLog + "tile/entries/000.p/1": fault.NotAuditor,
	} {
		if err := w.send(eve, "GET", path, nil); fault.ReasonOf(err) != reason {
			t.Errorf("%s: %v, want %s", path, err, reason)
		}
	}
}

func TestEventsAreListedAsTheyWereLogged(t *testing.T) {
	w := newWorld(t)
	eve := w.Login("eve@example.com")
	size := w.logged(2)
	body, err := w.as(eve).Stream(t.Context(), wire.PathAudit+"?kind=session_denied&oldest=true")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var page wire.AuditPage
	if err := json.NewDecoder(body).Decode(&page); err != nil || len(page.Entries) != 2 || page.Size < size {
		t.Fatalf("%+v, %v", page, err)
	}
	for _, got := range page.Entries {
		want, err := w.Store.Entry(t.Context(), got.Index)
		if err != nil || !bytes.Equal(want.Leaf, got.Event) || !bytes.Contains(got.Event, []byte("<b>no</b> & no")) {
			t.Errorf("%s, and not %s (%v)", got.Event, want.Leaf, err)
		}
	}
}

// TestANewEventEndsTheWait, and one that the filter does not want does not.
func TestANewEventEndsTheWait(t *testing.T) {
	w := newWorld(t)
	eve := w.Login("eve@example.com")
	size := w.logged(1)
	got := make(chan wire.AuditPage, 1)
	go func() {
		var page wire.AuditPage
		f := wire.AuditFilter{Oldest: true, From: size, Wait: 30, Kind: []string{"log_damaged"}}
		if err := w.do(eve, "GET", wire.PathAudit+"?"+f.Query().Encode(), nil, &page); err != nil {
			t.Error(err)
		}
		got <- page
	}()
	size = w.logged(1)
	select {
	case page := <-got:
		t.Fatalf("it ends with %+v", page)
	default:
	}
	if err := w.Store.Append(t.Context(), audit.Event{Kind: audit.LogDamaged, Outcome: audit.Failed, Actor: "ca"}); err != nil {
		t.Fatal(err)
	}
	select {
	case page := <-got:
		if len(page.Entries) != 1 || page.Entries[0].Index != size {
			t.Errorf("%+v", page)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}

func TestAnEventsProofHolds(t *testing.T) {
	w := newWorld(t)
	eve := w.Login("eve@example.com")
	size := w.logged(5)
	var p wire.AuditProof
	if err := w.do(eve, "GET", wire.PathAuditProof+"?index=3", nil, &p); err != nil {
		t.Fatal(err)
	}
	w.holds(p.Checkpoint, p)
	w.logged(300)
	// Under the older checkpoint as well.
	if err := w.do(eve, "GET", wire.PathAuditProof+"?index=3&size="+itoa(size), nil, &p); err != nil {
		t.Fatal(err)
	}
	if signed := w.holds(p.Checkpoint, p); signed.Size != size {
		t.Errorf("under the checkpoint of %d", signed.Size)
	}
}

func itoa(n int64) string { b, _ := json.Marshal(n); return string(b) }

func (w *world) holds(note string, p wire.AuditProof) audit.Signed {
	w.t.Helper()
	signed, err := w.trust().Open([]byte(note))
	if err != nil {
		w.t.Fatal(err)
	}
	proof := audit.Proof{}
	for _, h := range p.Hashes {
		proof = append(proof, audit.Hash(h))
	}
	if err := signed.CheckInclusion(p.Entry.Index, p.Entry.Event, proof); err != nil {
		w.t.Error(err)
	}
	return signed
}

func TestTheLogIsServedAsTiles(t *testing.T) {
	for name, anyone := range map[string]bool{"events for auditors": false, "events for anyone": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.AnyoneReads = anyone })
			w.logged(600)
			note, header, _ := w.get(wire.PathLog + "checkpoint")
			signed, err := w.trust().Open(note)
			if err != nil || header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.Contains(header.Get("Cache-Control"), "no-cache") {
				t.Fatal(err, header)
			}
			edge, err := audit.OpenEdge(signed.Size, func(t audit.Tile) ([]byte, error) { data, _, _ := w.get(wire.PathLog + t.Path()); return data, nil })
			if err != nil || edge.Root() != signed.Root {
				t.Errorf("the tiles do not lead to the checkpoint: %v", err)
			}
			data, header, status := w.get(wire.PathLog + "tile/0/001")
			if status != 200 || len(data) != 8192 || !strings.Contains(header.Get("Cache-Control"), "immutable") || header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("%d, %d bytes, %v", status, len(data), header)
			}
			data, _, status = w.get(wire.PathLog + "tile/entries/001")
			if !anyone {
				if status != http.StatusForbidden {
					t.Errorf("status %d", status)
				}
				return
			}
			tile, _ := audit.ParseTile("tile/entries/001")
			if leaves, err := tile.Leaves(data); err != nil || len(leaves) != 256 {
				t.Errorf("%d events, %v", len(leaves), err)
			}
		})
	}
}

func TestEventsComeInOneAnswer(t *testing.T) {
	w := newWorld(t)
	eve := w.Login("eve@example.com")
	size := w.logged(700)
	body, err := w.as(eve).Stream(t.Context(), wire.PathAuditEntries+"entries/001?events="+itoa(size-256))
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := int64(256); i < size; i++ {
		e, err := w.Store.Entry(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		want, _ = audit.AppendEntry(want, e.Leaf)
	}
	if !bytes.Equal(data, want) {
		t.Errorf("%d bytes, and not %d", len(data), len(want))
	}
}

func TestHealthSpeaksOfTheLog(t *testing.T) {
	w := newWorld(t)
	data, _, status := w.get(wire.PathHealth)
	if status != 200 || !strings.Contains(string(data), `"audit_log":"ok"`) {
		t.Errorf("%d %s", status, data)
	}
}

// FuzzLogPath: no path brings the door down, and what it answers is a tile or a
// problem.
func FuzzLogPath(f *testing.F) {
	for _, path := range []string{"checkpoint", "tile/0/000.p/1", "tile/entries/000", "tile/0/x001/000"} {
		f.Add(path)
	}
	ca := testca.New(f)
	p := newPeople(Config{Store: ca.Store, AuditLog: ca.AuditLog(), Now: time.Now})
	f.Fuzz(func(t *testing.T, path string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://localhost/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path = wire.PathLog + path
		c := &call{Request: r}
		if err := p.logFiles(nobody{}, c); err != nil && fault.ReasonOf(err) == fault.InternalError {
			t.Errorf("%q: %v", path, err)
		}
	})
}

// nobody is a writer whose reader is gone.
type nobody struct{}

func (nobody) Header() http.Header         { return http.Header{} }
func (nobody) Write(b []byte) (int, error) { return len(b), nil }
func (nobody) WriteHeader(int)             {}
