package audit

import (
	"database/sql"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to write in the CA's database as its owner

	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// house is a CA as a process, which can be killed.
type house struct {
	t              *testing.T
	dir, url, conf string
	run            *rig.Process
}

func newHouse(t *testing.T, issuer string) *house {
	t.Helper()
	dir, listen := t.TempDir(), rig.FreeAddr(t)
	h := &house{t: t, dir: dir, url: "http://" + listen, conf: filepath.Join(dir, "ca.yaml")}
	lines := []string{
		"url: " + h.url, "listen: " + listen, "parts:", "  listen: " + rig.FreeAddr(t), "data: " + filepath.Join(dir, "data"),
		"oidc:", "  issuer: " + issuer, "  client_id: sallyport", "auditors:", "  identities: [eve@example.com]",
		"audit:", "  origin: " + origin,
	}
	if err := os.WriteFile(h.conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(rig.Binary(t), "ca", "init", "--config", h.conf).CombinedOutput(); err != nil || !strings.Contains(string(out), origin+"+") {
		t.Fatalf("ca init: %v\n%s", err, out)
	}
	h.start()
	return h
}

func (h *house) start() {
	h.t.Helper()
	h.run = rig.Start(h.t, exec.Command(rig.Binary(h.t), "ca", "run", "--config", h.conf))
	rig.Eventually(h.t, 30*time.Second, "the CA answers", func() bool {
		select {
		case <-h.run.Done():
			h.t.Fatalf("the CA ended:\n%s", h.run.Log)
		default:
		}
		return strings.Contains(h.health(), `"status":"ok"`)
	})
}

func (h *house) health() string {
	resp, err := http.Get(h.url + wire.PathHealth)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b := make([]byte, 1000)
	n, _ := resp.Body.Read(b)
	return string(b[:n])
}

// owner runs SQL as the owner of the database, whom no trigger stops.
func (h *house) owner(statements ...string) {
	h.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.dir, "data", "ca.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT name FROM sqlite_master WHERE type = 'trigger'`)
	if err != nil {
		h.t.Fatal(err)
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			h.t.Fatal(err)
		}
		statements = append([]string{`DROP TRIGGER ` + name}, statements...)
	}
	rows.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			h.t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestAtTheRealCA: an auditor, whom nobody at the CA has to help.
func TestAtTheRealCA(t *testing.T) {
	t.Parallel()
	idp := rig.IDP(t, rig.Someone("eve", "security"), rig.Someone("ann", "eng"))
	h := newHouse(t, idp.Issuer)
	eve := rig.NewHome(t, filepath.Join(t.TempDir(), "eve"), idp.Browser("eve"))
	ann := rig.NewHome(t, filepath.Join(t.TempDir(), "ann"), idp.Browser("ann"))
	eve.Must("sallyport", "login", h.url)
	ann.Must("sallyport", "login", h.url)

	if out := eve.Must("sallyport", "audit", "ls", "--who", "ann@example.com"); !strings.Contains(out, "login_granted") || strings.Contains(out, "eve@") {
		t.Errorf("ls says\n%s", out)
	}
	if r := ann.Run("sallyport", "audit", "ls"); r.Status == 0 || !strings.Contains(r.Stderr, "ann@example.com is no auditor") {
		t.Errorf("to who is no auditor ls says %d\n%s", r.Status, r.Stderr)
	}
	copied := filepath.Join(t.TempDir(), "log")
	signed := func(what string, holds func(string) bool) (out string) {
		t.Helper()
		rig.Eventually(t, 10*time.Second, what, func() bool {
			r := eve.Run("sallyport", "audit", "fetch", copied)
			out = r.Stdout + r.Stderr
			return r.Status == 0 && holds(out)
		})
		return out
	}
	signed("there is a checkpoint", func(string) bool { return true })
	if out := eve.Must("sallyport", "audit", "verify", copied); !strings.HasSuffix(out, "verified.\n") || !strings.Contains(out, origin) {
		t.Errorf("verify says\n%s", out)
	}
	older := filepath.Join(t.TempDir(), "older")
	note, err := os.ReadFile(filepath.Join(copied, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(older, note, 0o600); err != nil {
		t.Fatal(err)
	}

	// The CA is killed while people log in, and comes back.
	for range 3 {
		ann.Must("sallyport", "login", h.url)
		h.run.Kill()
		h.start()
	}
	ann.Must("sallyport", "login", h.url)
	signed("the copy goes on", func(out string) bool { return !strings.Contains(out, ", 0 of them new") })
	if out := eve.Must("sallyport", "audit", "verify", copied, "--from", older); !strings.Contains(out, "begins with all of the checkpoint of ") {
		t.Errorf("verify says\n%s", out)
	}
	proof := filepath.Join(t.TempDir(), "proof")
	eve.Must("sallyport", "audit", "prove", "1", "-o", proof)
	if out := eve.Must("sallyport", "audit", "verify", proof); !strings.Contains(out, "in the log, under the checkpoint of ") {
		t.Errorf("verify says\n%s", out)
	}

	// The owner of the database hides who logged in.
	h.owner(`UPDATE events SET leaf = replace(leaf, 'ann@example.com', 'bob@example.com')`)
	fresh := filepath.Join(t.TempDir(), "fresh")
	if r := eve.Run("sallyport", "audit", "fetch", fresh); r.Status == 0 {
		t.Errorf("a changed log is copied:\n%s", r.Stdout)
	}
	rig.Eventually(t, 20*time.Second, "the CA says that its log is damaged", func() bool { return strings.Contains(h.health(), `"audit_log":"damaged"`) })
	if out := eve.Must("sallyport", "audit", "verify", copied); !strings.Contains(out, "verified.") {
		t.Errorf("the copy from before is\n%s", out)
	}
}
