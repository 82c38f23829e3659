package audit

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestThePageIsRight: the example in CHECKPOINTS.md is what this package writes
// and reads, and its events are events.
func TestThePageIsRight(t *testing.T) {
	page, err := os.ReadFile("CHECKPOINTS.md")
	if err != nil {
		t.Fatal(err)
	}
	page = bytes.ReplaceAll(page, []byte("\n    "), []byte("\n")) // its blocks are indented
	log := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	w := testWitness{"witness.example.org", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))}
	vkey, err := VerifierKey(testOrigin, log.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	leaves := []string{
		`{"kind":"ca_started","at":1795478400000000,"outcome":"success","actor":"ca"}`,
		`{"kind":"session_denied","at":1795478460000000,"outcome":"refused","reason":"no_role","identity":"ann@example.com","login":"root","node":"web-1"}`,
		`{"kind":"login_ended","at":1795478520000000,"outcome":"success","actor":"ann@example.com","identity":"ann@example.com"}`,
	}
	edge := &Edge{}
	for i, leaf := range leaves {
		if _, err := (Entry{int64(i), []byte(leaf)}).Event(); err != nil {
			t.Error(err)
		}
		if err := edge.Push(LeafHash([]byte(leaf)), nil); err != nil {
			t.Fatal(err)
		}
	}
	c := Checkpoint{testOrigin, edge.Size(), edge.Root()}
	note, err := c.Sign(log)
	if err != nil {
		t.Fatal(err)
	}
	signed := string(note) + string(w.cosign(note, 1795478521))
	tile, hashes := edge.Partial(0)
	proof, err := c.ProveInclusion(1, func(Tile) ([]byte, error) { return hashes, nil })
	if err != nil {
		t.Fatal(err)
	}
	trust, err := NewTrust([]string{vkey}, []string{w.vkey()}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Open([]byte(signed)); err != nil {
		t.Error(err)
	}
	want := []string{strings.Join(leaves, "\n"), vkey, w.vkey(), signed, tile.Path()}
	for i := range leaves {
		want = append(want, fmt.Sprintf("%x", hashes[32*i:32*i+32]))
	}
	for _, h := range proof {
		want = append(want, fmt.Sprintf("%x", h[:]))
	}
	for _, text := range want {
		if !bytes.Contains(page, []byte(text)) {
			t.Errorf("the page does not say\n%s", text)
		}
	}
}
