package rig

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	_ "modernc.org/sqlite" // litewitness's database
)

// transparency builds programs of the module of that name, once each.
var transparency struct {
	sync.Mutex
	dir   string
	built map[string]string
}

func transparencyTool(t T, pkg string) string {
	t.Helper()
	transparency.Lock()
	defer transparency.Unlock()
	if path := transparency.built[pkg]; path != "" {
		return path
	}
	if transparency.dir == "" {
		dir, err := os.MkdirTemp("", "sallyport-transparency-")
		if err != nil {
			t.Fatalf("make directory: %v", err)
		}
		transparency.dir, transparency.built = dir, map[string]string{}
	}
	path := filepath.Join(transparency.dir, filepath.Base(pkg))
	if err := GoBuild(filepath.Join(Root(), "internal/rig/transparency"), pkg, path); err != nil {
		t.Fatalf("%v", err)
	}
	transparency.built[pkg] = path
	return path
}

// RemoveTransparency removes what was built; for TestMain.
func RemoveTransparency() { os.RemoveAll(transparency.dir) }

// Witness is a running litewitness (filippo.io/torchwood), a C2SP witness that
// nobody here wrote.
type Witness struct {
	URL string
	Key string // its verifier key

	t    T
	args []string
	run  *Process
}

// StartWitness starts a witness of one log, which is known to it by its verifier
// key.
func StartWitness(t T, origin, vkey string) *Witness {
	t.Helper()
	dir, name := t.TempDir(), "witness.example.org/rig"
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatalf("make the witness's key: %v", err)
	}
	fingerprint, socket := witnessAgent(t, private)
	addr := FreeAddr(t)
	w := &Witness{URL: "http://" + addr, Key: witnessKey(name, public), t: t, args: []string{
		"-name", name, "-key", fingerprint, "-ssh-agent", socket, "-listen", addr, "-db", filepath.Join(dir, "witness.db"),
	}}
	w.Start()
	// witnessctl, which does this, cannot be built: a module of its is gone.
	w.Stop()
	db, err := sql.Open("sqlite", filepath.Join(dir, "witness.db"))
	if err != nil {
		t.Fatalf("open the witness's database: %v", err)
	}
	defer db.Close()
	empty := sha256.Sum256(nil)
	for _, row := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO log (origin, tree_size, tree_hash) VALUES ($1, 0, $2)`, []any{origin, base64.StdEncoding.EncodeToString(empty[:])}},
		{`INSERT INTO key (origin, key) VALUES ($1, $2)`, []any{origin, vkey}},
	} {
		if _, err := db.Exec(row.text, row.args...); err != nil {
			t.Fatalf("tell the witness of the log: %v", err)
		}
	}
	w.Start()
	return w
}

// Start brings the witness up, with what it remembers.
func (w *Witness) Start() {
	w.t.Helper()
	w.run = Start(w.t, exec.Command(transparencyTool(w.t, "filippo.io/torchwood/cmd/litewitness"), w.args...))
	Eventually(w.t, 20*time.Second, "the witness answers", func() bool {
		select {
		case <-w.run.Done():
			w.t.Fatalf("the witness ended: %s", w.run.Log)
		default:
		}
		resp, err := http.Get(w.URL + "/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
}

// Stop ends it.
func (w *Witness) Stop() {
	w.t.Helper()
	w.run.Kill()
}

// witnessKey is a verifier key of type 4 (C2SP tlog-cosignature).
func witnessKey(name string, key ed25519.PublicKey) string {
	typed := append([]byte{4}, key...)
	hash := sha256.Sum256(append([]byte(name+"\n"), typed...))
	return fmt.Sprintf("%s+%x+%s", name, hash[:4], base64.StdEncoding.EncodeToString(typed))
}

// witnessAgent is an ssh-agent with one key: litewitness takes it from nowhere
// else.
func witnessAgent(t T, key ed25519.PrivateKey) (fingerprint, socket string) {
	t.Helper()
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatalf("give the agent its key: %v", err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatalf("make the witness's key: %v", err)
	}
	dir, err := os.MkdirTemp("", "w") // a socket's path is short
	if err != nil {
		t.Fatalf("make directory: %v", err)
	}
	socket = filepath.Join(dir, "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatalf("listen as an agent: %v", err)
	}
	t.Cleanup(func() { l.Close(); os.RemoveAll(dir) })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); agent.ServeAgent(ring, conn) }()
		}
	}()
	return ssh.FingerprintSHA256(public), socket
}

// Fsck checks a log that is served at url with Tessera's fsck, which nobody here
// wrote: every tile, every event, and the checkpoint. It returns what that says.
func Fsck(t T, url, vkey string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log.pub")
	if err := os.WriteFile(file, []byte(vkey), 0o600); err != nil {
		t.Fatalf("write the log's key: %v", err)
	}
	cmd := exec.Command(transparencyTool(t, "github.com/transparency-dev/tessera/cmd/fsck"),
		"--storage_url", url, "--public_key", file, "--ui=false", "--logtostderr")
	text, err := cmd.CombinedOutput()
	// It ends with status 0 also when it found something.
	if err == nil && !bytes.Contains(text, []byte("Successfully fsck'd log")) || bytes.Contains(text, []byte("fsck failed")) {
		err = errors.New("fsck found something")
	}
	return string(text), err
}
