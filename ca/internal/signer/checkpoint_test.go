//go:build linux

package signer

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// vkey is a key as the log's verifier key.
func vkey(t testing.TB, key ssh.PublicKey) string {
	t.Helper()
	text, err := audit.VerifierKey(testOrigin, ed25519.PublicKey(key.(ssh.CryptoPublicKey).CryptoPublicKey().(ed25519.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// history is a log of events that say who wrote them, hash by hash.
type history struct {
	t      testing.TB
	hashes []tlog.Hash // as x/mod stores them
	n      int64
}

func newHistory(t testing.TB, n int64, author string) *history {
	h := &history{t: t}
	for ; h.n < n; h.n++ {
		more, err := tlog.StoredHashes(h.n, fmt.Appendf(nil, "%s %d", author, h.n), h)
		if err != nil {
			t.Fatal(err)
		}
		h.hashes = append(h.hashes, more...)
	}
	return h
}

func (h *history) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h.hashes[x]
	}
	return out, nil
}

func (h *history) at(size int64) audit.Checkpoint {
	root, err := tlog.TreeHash(size, h)
	if err != nil {
		h.t.Fatal(err)
	}
	return audit.Checkpoint{Origin: testOrigin, Size: size, Root: root}
}

func (h *history) proof(old, size int64) audit.Proof {
	if old == 0 || old == size {
		return nil
	}
	p, err := tlog.ProveTree(size, old, h)
	if err != nil {
		h.t.Fatal(err)
	}
	return audit.Proof(p)
}

// TestTheSignerSignsOneHistory: what a taken-over CA, or a database that somebody
// wrote in, would have it sign instead.
func TestTheSignerSignsOneHistory(t *testing.T) {
	ours, other := newHistory(t, 300, "us"), newHistory(t, 300, "them")
	foreign := ours.at(200)
	foreign.Origin = "access.example.org/log"
	for _, test := range []struct {
		name   string
		old    int64
		next   audit.Checkpoint
		proof  audit.Proof
		reason fault.Reason // "" is signed, or answered
		last   int64        // that is answered
	}{
		{"one that begins with the last is signed", 100, ours.at(200), ours.proof(100, 200), "", 200},
		{"the last again is signed", 100, ours.at(100), nil, "", 100},
		{"the last again by who has not seen it is signed", 50, ours.at(100), ours.proof(50, 100), "", 100},
		{"from another size than the last is told the last", 50, ours.at(200), ours.proof(50, 200), "", 100},
		{"from nothing is told the last", 0, ours.at(200), nil, "", 100},

		{"a smaller one is told the last", 100, ours.at(99), nil, "", 100},
		{"a smaller one of another history, too", 0, other.at(99), nil, "", 100},
		{"the empty one, too", 0, ours.at(0), nil, "", 100},

		{"another of the same size", 100, other.at(100), nil, fault.LogDamaged, 0},
		{"another history", 100, other.at(200), other.proof(100, 200), fault.LogDamaged, 0},
		{"another history with the proof of ours", 100, other.at(200), ours.proof(100, 200), fault.LogDamaged, 0},
		{"ours without a proof", 100, ours.at(200), nil, fault.LogDamaged, 0},
		{"ours with a proof for another size", 100, ours.at(200), ours.proof(100, 201), fault.LogDamaged, 0},
		{"another log's", 100, foreign, ours.proof(100, 200), fault.LogDamaged, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newTestEngine(t)
			if note, _, err := e.tree.sign(0, ours.at(100), nil); err != nil || note == nil {
				t.Fatal("the first one is not signed", err)
			}
			note, last, err := e.tree.sign(test.old, test.next, test.proof)
			if fault.ReasonOf(err) != test.reason || last != test.last {
				t.Fatalf("last %d, %v", last, err)
			}
			if signed := note != nil; signed != (err == nil && last == test.next.Size) || e.tree.last.Size < 100 {
				t.Errorf("signed %v", signed)
			}
			// Nothing of what was refused is remembered.
			if _, _, err := e.tree.sign(e.tree.last.Size, ours.at(300), ours.proof(e.tree.last.Size, 300)); err != nil {
				t.Errorf("our own history afterwards: %v", err)
			}
		})
	}
}

// TestACheckpointOverTheWire: the CA gets the note of exactly what it asked for,
// and learns what was signed last.
func TestACheckpointOverTheWire(t *testing.T) {
	client, h := start(t, keyFolder(t)), newHistory(t, 300, "us")
	trust, err := audit.NewTrust([]string{client.Keys().Log}, nil, 0)
	if err != nil || trust.Origin() != testOrigin {
		t.Fatal(trust, err)
	}
	note, _, err := client.SignCheckpoint(t.Context(), 0, h.at(10), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := trust.Open(note); err != nil || got.Checkpoint != h.at(10) {
		t.Errorf("%+v, %v", got, err)
	}
	if note, last, err := client.SignCheckpoint(t.Context(), 5, h.at(300), h.proof(5, 300)); note != nil || last != 10 || err != nil {
		t.Errorf("from elsewhere: %q, %d, %v", note, last, err)
	}
	if _, _, err := client.SignCheckpoint(t.Context(), 10, h.at(300), h.proof(10, 300)); err != nil {
		t.Error(err)
	}
	if note, last, err := client.SignCheckpoint(t.Context(), 300, h.at(299), nil); note != nil || last != 300 || err != nil {
		t.Errorf("a smaller one: %q, %d, %v", note, last, err)
	}
	_, _, err = client.SignCheckpoint(t.Context(), 300, newHistory(t, 300, "them").at(300), nil)
	if f := fault.Of(err); f.Reason != fault.LogDamaged || f.Kind != fault.Conflict {
		t.Errorf("another history: %v", err)
	}
	if _, err := client.Sign(t.Context(), loginRequest(newKey25519(t))); err != nil {
		t.Errorf("a certificate after a refusal: %v", err)
	}
	if _, _, err := (&Client{}).SignCheckpoint(t.Context(), 0, h.at(1), nil); fault.ReasonOf(err) != fault.SignerAway {
		t.Errorf("the zero Client: %v", err)
	}
}

// TestTheCATakesNoOtherCheckpoint than the one it asked for.
func TestTheCATakesNoOtherCheckpoint(t *testing.T) {
	e, h := newTestEngine(t), newHistory(t, 20, "us")
	note := func(c audit.Checkpoint) []byte {
		text, err := c.Sign(e.tree.key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, text := range map[string][]byte{
		"another size": note(h.at(11)),
		"garbage":      []byte("garbage"),
		"unsigned":     []byte(h.at(10).Text() + "\n"),
		"half of it":   note(h.at(10))[:40],
	} {
		l, err := hostile(t, e.public, func(kind, []byte) []byte { return appendFrame(nil, msgNote, &noteMsg{1, text}) })
		if err != nil {
			t.Fatal(err)
		}
		client := &Client{link: l, keys: l.keys}
		if got, _, err := client.SignCheckpoint(t.Context(), 0, h.at(10), nil); fault.ReasonOf(err) != fault.LogDamaged || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestTheLogsKeyIsNoCAKey(t *testing.T) {
	c := keyFolder(t)
	keys, err := ReadPublicKeys(c.Keys)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(c.Keys, "log.pub"), vkey(t, keys.Of(cert.HostProfile)[0])+"\n")
	if _, err := ReadPublicKeys(c.Keys); fault.ReasonOf(err) != fault.ConfigInvalid {
		t.Errorf("the host CA's: %v", err)
	}
	write(t, filepath.Join(c.Keys, "log.pub"), vkey(t, newKey25519(t))+"\n")
	source, err := OpenFiles(c.Keys, []byte(testPassphrase))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newLogKey(source); fault.ReasonOf(err) != fault.ConfigInvalid {
		t.Errorf("one that does not belong to the private one: %v", err)
	}
}

// TestAnOlderFolderGetsItsLogKey: it was made before there was an audit log.
func TestAnOlderFolderGetsItsLogKey(t *testing.T) {
	c := keyFolder(t)
	if HasAllButLogKey(c.Keys) || HasAllButLogKey(t.TempDir()) {
		t.Error("a whole folder, or an empty one, lacks its log key alone")
	}
	for _, name := range []string{"log.pub", "log.age"} {
		if err := os.Remove(filepath.Join(c.Keys, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Start(t.Context(), c); fault.Of(err).Next != "run: sallyport ca init" {
		t.Errorf("without it the signer says %v, next %q", err, fault.Of(err).Next)
	}
	if !HasAllButLogKey(c.Keys) {
		t.Fatal("it does not lack it")
	}
	if _, err := AddLogKey(c.Keys, []byte(testPassphrase), "two words"); fault.ReasonOf(err) != fault.BadRequest {
		t.Errorf("a name that is none: %v", err)
	}
	added, err := AddLogKey(c.Keys, []byte(testPassphrase), testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	if client := start(t, c); client.Keys().Log != added.Log || HasAllButLogKey(c.Keys) {
		t.Errorf("the signer has %q, and not %q", client.Keys().Log, added.Log)
	}
}

// FuzzDecodeCheckpoint: what is read is what would be written.
func FuzzDecodeCheckpoint(f *testing.F) {
	h := newHistory(f, 300, "us")
	f.Add(encodeCheckpoint(1, 0, h.at(1), nil)[5:])
	f.Add(encodeCheckpoint(7, 100, h.at(300), h.proof(100, 300))[5:])
	f.Fuzz(func(t *testing.T, data []byte) {
		requestID, old, c, proof, err := decodeCheckpoint(data)
		if err == nil && !bytes.Equal(encodeCheckpoint(requestID, old, c, proof)[5:], data) {
			t.Fatalf("read %x, would write it otherwise", data)
		}
	})
}
