package auditlog

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func TestMain(m *testing.M) {
	status := m.Run()
	rig.RemoveTransparency()
	os.Exit(status)
}

// serve shows l as C2SP tlog-tiles has it, as the people's door does.
func serve(t *testing.T, l *Log) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/log/")
		var data []byte
		if path == "checkpoint" {
			signed, err := l.Checkpoint(r.Context())
			if err != nil {
				http.Error(w, err.Error(), http.StatusNotFound)
				return
			}
			data = signed.Note
		} else {
			tile, err := audit.ParseTile(path)
			read := l.Tile
			if tile.Entries {
				read = l.Bundle
			}
			if err == nil {
				data, err = read(r.Context(), tile)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusNotFound)
				return
			}
		}
		w.Write(data)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/log/"
}

// TestAStrangersProgramVerifiesTheLog: Tessera's fsck reads every tile and event.
func TestAStrangersProgramVerifiesTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.log()
	for _, n := range []int{1, 255, 44, 70_000} {
		w.append(n)
		w.step(l)
		if says, err := rig.Fsck(t, serve(t, l), w.vkey()); err != nil {
			t.Fatalf("after %d more: %v\n%s", n, err, says)
		}
	}
	w.owner(`UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND idx = 7`)
	if says, err := rig.Fsck(t, serve(t, l), w.vkey()); err == nil {
		t.Errorf("it takes a tile of zeros:\n%s", says)
	}
}

// TestAStrangersWitnessCosigns: litewitness, which is away for a while, and sees
// a log that forks.
func TestAStrangersWitnessCosigns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := rig.StartWitness(t, origin, w.vkey())
	witness, err := audit.ParseWitness(stranger.Key)
	if err != nil {
		t.Fatal(err)
	}
	l := w.log()
	l.Trust = w.key.trust(t, []string{stranger.Key}, 1)
	l.Witnesses = []Witness{{URL: stranger.URL, Key: witness}}
	stop := w.run(l)
	seen := func(what string, size int64) {
		t.Helper()
		rig.Eventually(t, 30*time.Second, what, func() bool {
			signed, err := l.Checkpoint(t.Context())
			if err != nil || signed.Size < size {
				return false
			}
			_, err = l.Trust.Open(signed.Note)
			return err == nil
		})
	}
	w.append(5)
	seen("the witness has cosigned", 5)
	w.append(1000)
	seen("the witness has cosigned a larger one", 1005)

	stranger.Stop()
	w.append(300)
	rig.Eventually(t, 10*time.Second, "it is signed without the witness", func() bool { signed, _ := l.current(); return signed.Size == 1305 })
	if signed, err := l.Checkpoint(t.Context()); err != nil || signed.Size != 1005 {
		t.Errorf("the world is shown %d, which nobody has witnessed: %v", signed.Size, err)
	}
	stranger.Start()
	seen("the witness has cosigned after it was away", 1305)

	// A new process knows nothing of what the witness has seen.
	stop()
	w.append(1)
	again := w.log()
	again.Trust, again.Witnesses = l.Trust, l.Witnesses
	w.run(again)
	l = again
	seen("the witness has cosigned for a CA that was started anew", 1306)

	// Another history under the same key: the witness does not cosign it.
	other := newWorld(t)
	other.key = &key{private: w.key.private}
	fork := other.log()
	fork.Trust, fork.Witnesses = l.Trust, l.Witnesses
	other.append(2000)
	other.step(fork)
	signed, _ := fork.current()
	if _, err := fork.cosign(t.Context(), fork.Witnesses[0], signed, 0); err == nil {
		t.Error("the witness cosigns a fork")
	}
}
