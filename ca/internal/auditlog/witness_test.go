package auditlog

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// handWitness answers what a test says; litewitness, in strangers_test.go, is the
// one that is right.
type handWitness struct {
	key ed25519.PrivateKey
	url string

	mu     sync.Mutex
	answer func(w http.ResponseWriter, old string, note []byte)
	asked  int
}

func newHandWitness(t *testing.T) *handWitness {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &handWitness{key: key}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

const witnessName = "hand.example.org"

func (h *handWitness) typed() []byte { return append([]byte{4}, h.key.Public().(ed25519.PublicKey)...) }

func (h *handWitness) hash() []byte {
	sum := sha256.Sum256(append([]byte(witnessName+"\n"), h.typed()...))
	return sum[:4]
}

func (h *handWitness) vkey() string {
	return fmt.Sprintf("%s+%x+%s", witnessName, h.hash(), base64.StdEncoding.EncodeToString(h.typed()))
}

func (h *handWitness) cosign(note []byte) string {
	text, _, _ := strings.Cut(string(note), "\n\n")
	sig := binary.BigEndian.AppendUint64(h.hash(), 1_800_000_000)
	sig = append(sig, ed25519.Sign(h.key, []byte("cosignature/v1\ntime 1800000000\n"+text+"\n"))...)
	return "— " + witnessName + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}

func (h *handWitness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	head, note, _ := strings.Cut(string(body), "\n\n")
	old, _, _ := strings.Cut(head, "\n")
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	h.answer(w, strings.TrimPrefix(old, "old "), []byte(note))
}

func (h *handWitness) set(answer func(w http.ResponseWriter, old string, note []byte)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

func conflict(size string) func(http.ResponseWriter, string, []byte) {
	return func(w http.ResponseWriter, _ string, _ []byte) {
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, size)
	}
}

// TestAWitnessThatIsWrongIsNotStored, stalls nothing, and is asked again.
func TestAWitnessThatIsWrongIsNotStored(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(h *handWitness) func(http.ResponseWriter, string, []byte){
		"is broken": func(*handWitness) func(http.ResponseWriter, string, []byte) {
			return func(w http.ResponseWriter, _ string, _ []byte) { http.Error(w, "no", http.StatusInternalServerError) }
		},
		"does not know us": func(*handWitness) func(http.ResponseWriter, string, []byte) {
			return func(w http.ResponseWriter, _ string, _ []byte) { http.Error(w, "no", http.StatusNotFound) }
		},
		"says nothing": func(*handWitness) func(http.ResponseWriter, string, []byte) {
			return func(http.ResponseWriter, string, []byte) {}
		},
		"says garbage": func(*handWitness) func(http.ResponseWriter, string, []byte) {
			return func(w http.ResponseWriter, _ string, _ []byte) { io.WriteString(w, "hello\n") }
		},
		"signs another note": func(h *handWitness) func(http.ResponseWriter, string, []byte) {
			return func(w http.ResponseWriter, _ string, _ []byte) { io.WriteString(w, h.cosign([]byte("another\n\n"))) }
		},
		"is somebody else": func(*handWitness) func(http.ResponseWriter, string, []byte) {
			return func(w http.ResponseWriter, _ string, n []byte) { io.WriteString(w, newHandWitness(t).cosign(n)) }
		},
		"wants another size":  func(*handWitness) func(http.ResponseWriter, string, []byte) { return conflict("3\n") },
		"has another log":     func(*handWitness) func(http.ResponseWriter, string, []byte) { return conflict("10\n") },
		"wants no size":       func(*handWitness) func(http.ResponseWriter, string, []byte) { return conflict("-3\n") },
		"wants half a number": func(*handWitness) func(http.ResponseWriter, string, []byte) { return conflict("3x") },
	} {
		t.Run(name, func(t *testing.T) {
			w, h := newWorld(t), newHandWitness(t)
			witness, err := audit.ParseWitness(h.vkey())
			if err != nil {
				t.Fatal(err)
			}
			l := w.log()
			l.Trust, l.Witnesses = w.key.trust(t, []string{h.vkey()}, 0), []Witness{{h.url, witness}}
			w.append(10)
			w.step(l)
			signed, _ := l.current()
			h.set(answer(h))
			if _, err := l.cosign(t.Context(), l.Witnesses[0], signed, 0); err == nil {
				t.Error("it is taken")
			}
			if c, err := w.store.LatestCheckpoint(t.Context()); err != nil || c.Cosignatures != "" {
				t.Errorf("%q is stored (%v)", c.Cosignatures, err)
			}
			h.set(func(w http.ResponseWriter, _ string, n []byte) { io.WriteString(w, h.cosign(n)) })
			if size, err := l.cosign(t.Context(), l.Witnesses[0], signed, 3); err != nil || size != 10 {
				t.Errorf("when it is right: %d, %v", size, err)
			}
			if c, err := l.Checkpoint(t.Context()); err != nil || len(c.Witnesses) != 1 {
				t.Errorf("its cosignature is not shown: %v", err)
			}
		})
	}
}

// TestAWitnessThatHasSeenMoreIsToldOf: the database was restored from a backup.
func TestAWitnessThatHasSeenMoreIsToldOf(t *testing.T) {
	t.Parallel()
	w, h := newWorld(t), newHandWitness(t)
	witness, err := audit.ParseWitness(h.vkey())
	if err != nil {
		t.Fatal(err)
	}
	l := w.log()
	l.Trust, l.Witnesses = w.key.trust(t, []string{h.vkey()}, 0), []Witness{{h.url, witness}}
	w.append(10)
	w.step(l)
	signed, _ := l.current()
	h.set(conflict("2000\n"))
	if size, err := l.cosign(t.Context(), l.Witnesses[0], signed, 0); err != nil || size != 2000 {
		t.Errorf("%d, %v", size, err)
	}
}

// TestAWitnessThatHangsStallsNothing: not the log, and not the end of the CA.
func TestAWitnessThatHangsStallsNothing(t *testing.T) {
	t.Parallel()
	w, h := newWorld(t), newHandWitness(t)
	witness, err := audit.ParseWitness(h.vkey())
	if err != nil {
		t.Fatal(err)
	}
	hang := make(chan struct{})
	defer close(hang)
	h.set(func(http.ResponseWriter, string, []byte) { <-hang })
	l := w.log()
	l.Log = slog.New(slog.DiscardHandler)
	l.Trust, l.Witnesses = w.key.trust(t, []string{h.vkey()}, 1), []Witness{{h.url, witness}}
	stop := w.run(l)
	for i := range int64(2) {
		w.append(1)
		rig.Eventually(t, 10*time.Second, "it is signed", func() bool { signed, _ := l.current(); return signed.Size == i+1 })
	}
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it ends after %v", took)
	}
}
