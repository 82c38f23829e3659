package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// search asks as somebody, until there is an answer: recordings are indexed
// behind everybody's back.
func search(t *testing.T, who *rig.Home, args ...string) (result wire.SearchResult) {
	t.Helper()
	rig.Eventually(t, 30*time.Second, "the search finds something", func() bool {
		out := who.Must("sallyport", append([]string{"sessions", "search", "--json"}, args...)...)
		result = wire.SearchResult{}
		if err := json.Unmarshal([]byte(out), &result); err != nil {
			t.Fatal(err)
		}
		return len(result.Hits) > 0
	})
	return result
}

// TestAnAuditorFindsWhatWasSaid: commands, output and names of files, and from a
// hit to its moment.
func TestAnAuditorFindsWhatWasSaid(t *testing.T) {
	session := sealedSession(t, "echo quince-$((40+2))-marmalade")
	ada := world.Home("ada")

	hit := search(t, ada, `"quince 42 marmalade"`, "--node", "web-1").Hits[0]
	if string(hit.Session) != session || hit.Kind != "output" || hit.Identity != "ann@example.com" || hit.Text != "quince-42-marmalade" {
		t.Errorf("the hit is %+v, and the session %s", hit, session)
	}
	if hit := search(t, ada, "quince", "--kind", "command").Hits[0]; string(hit.Session) != session || !strings.Contains(hit.Text, "echo quince") {
		t.Errorf("the command's hit is %+v", hit)
	}
	shown := ada.Must("sallyport", "sessions", "search", "quince 42")
	_, play, found := strings.Cut(shown, "sallyport play ")
	if !found || !strings.HasPrefix(play, session+" --at ") {
		t.Fatalf("the search shows\n%s", shown)
	}
	at := strings.Fields(play)[2]
	if out := ada.Must("sallyport", "play", session, "--at", at, "--speed", "100"); !strings.Contains(out, "quince-42-marmalade") {
		t.Errorf("play --at %s shows\n%s", at, out)
	}

	// People find their own sessions, and nobody else's.
	if own := search(t, ann, "quince").Hits; len(own) == 0 {
		t.Error("ann does not find her own session")
	}
	if r := ann.Run("sallyport", "sessions", "search", "quince", "--identity", "ada@example.com"); r.Status == 0 {
		t.Errorf("ann searches in ada's sessions: %s", r)
	}
	// What auditors ask is in the log.
	if log := ada.Must("sallyport", "audit", "ls", "--kind", "recording_searched"); !strings.Contains(log, "quince") {
		t.Errorf("the log does not say what was searched:\n%s", log)
	}
	for _, bad := range []string{"", "--", "a*"} {
		if r := ada.Run("sallyport", "sessions", "search", "--", bad); r.Status == 0 {
			t.Errorf("%q was searched: %s", bad, r)
		}
	}
}
