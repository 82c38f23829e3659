package ca

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/signer"
	"github.com/sallyport-ssh/sallyport/ca/internal/testissuer"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

const witnessKey = "witness.example.org+b6efb787+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"

func TestAnAuditConfigurationIsRefused(t *testing.T) {
	witness := "{url: https://witness.example.org, key: " + witnessKey + "}"
	for name, row := range map[string]struct{ text, says string }{
		"with an origin that is none":               {"audit: {origin: two words}\n", "no name of a log"},
		"with readers that are none":                {"audit: {entries: everybody}\n", "neither auditors nor anyone"},
		"with a witness without an address":         {"audit: {witnesses: [{key: " + witnessKey + "}]}\n", "no address of a witness"},
		"with a witness without a key":              {"audit: {witnesses: [{url: https://witness.example.org}]}\n", "no verifier key of a witness"},
		"with a log's key for a witness's":          {"audit: {witnesses: [{url: https://x.org, key: access.example.com/log+d897c4a4+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c}]}\n", "no verifier key of a witness"},
		"with a witness twice":                      {"audit: {witnesses: [" + witness + ", " + witness + "]}\n", "listed twice"},
		"with a quorum that cannot be had":          {"audit: {witnesses: [" + witness + "], quorum: 2}\n", "cannot be had"},
		"with a quorum before zero":                 {"audit: {quorum: -1}\n", "cannot be had"},
		"with a key that the audit section has not": {"audit: {keys: x}\n", "unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := load(t, minimal+row.text); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %v, want %q", err, row.says)
			}
		})
	}
	if c, err := load(t, minimal+"audit: {witnesses: ["+witness+"], quorum: 1}\n"); err != nil || c.origin() != "127.0.0.1:8440/log" || c.Audit.Entries != "auditors" {
		t.Errorf("a good one: %+v, %v", c.Audit, err)
	}
}

// TestKeysFromBeforeTheLogGetOneForIt: until then the CA says what to do.
func TestKeysFromBeforeTheLogGetOneForIt(t *testing.T) {
	in := install(t, "https://login.example.com")
	keys := filepath.Join(in.dir, "data", "keys")
	for _, name := range []string{"log.pub", "log.age"} {
		if err := os.Remove(filepath.Join(keys, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := run(t, "run", "--config", in.config)
	if f := fault.Of(err); f.Reason != fault.ConfigInvalid || !strings.Contains(f.Next, "sallyport ca init") {
		t.Errorf("without it the CA says %v, next %q", err, f.Next)
	}
	if out := in.must("init", "--origin", "access.example.com/log"); !strings.Contains(out, "Added the audit log's key") || !strings.Contains(out, "access.example.com/log+") {
		t.Errorf("init says\n%s", out)
	}
	after, err := signer.ReadPublicKeys(keys)
	if err != nil || string(after.KnownHosts("*")) != string(in.trust.KnownHosts("*")) {
		t.Errorf("the other keys are not what they were: %v", err)
	}
	if out := in.must("keys"); !strings.Contains(out, after.Log) {
		t.Errorf("keys says\n%s", out)
	}
	if _, _, err := run(t, "init", "--config", in.config); fault.Of(err).Kind != fault.Conflict {
		t.Errorf("init a second time: %v", err)
	}
}

func TestALogKeepsItsName(t *testing.T) {
	in := install(t, "https://login.example.com")
	text, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in.config, append(text, "audit: {origin: elsewhere.example.com/log}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "run"} {
		_, errs, err := run(t, command, "--config", in.config)
		if err == nil || !strings.Contains(errs+err.Error(), "and origin says elsewhere.example.com/log") {
			t.Errorf("%s: %v\n%s", command, err, errs)
		}
	}
}

// logTrust is by what discovery says that the log is known.
func (in *installation) logTrust() *audit.Trust {
	in.t.Helper()
	var d wire.Discovery
	if err := in.client().Do(in.ctx(), "GET", wire.PathDiscovery, nil, &d); err != nil {
		in.t.Fatal(err)
	}
	trust, err := audit.NewTrust(d.Log.Keys, d.Log.Witnesses, d.Log.Quorum)
	if err != nil || d.Log.Keys[0] != in.trust.Log || trust.Origin() != d.Log.Origin {
		in.t.Fatalf("discovery has %+v: %v", d.Log, err)
	}
	return trust
}

func (in *installation) get(path string) ([]byte, error) {
	resp, err := http.Get(in.url + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// TestTwoCAsThatAreKilledSignOneLog: each with its own signer process, at any
// moment; then every checkpoint that was ever seen is a beginning of the last.
func TestTwoCAsThatAreKilledSignOneLog(t *testing.T) {
	t.Parallel()
	i := testissuer.New(t)
	more := []string{"database: " + rig.Postgres(t).URL, "log: {level: warn}"}
	one := install(t, i.URL, more...)
	two := configure(t, i.URL, append(more, "keys: {dir: "+filepath.Join(one.dir, "data", "keys")+", passphrase_file: "+filepath.Join(one.dir, "data", "passphrase")+"}")...)
	two.trust = one.trust
	ctx, stop := context.WithCancel(t.Context())
	h := &harvest{refused: map[fault.Reason]int{}}
	var running sync.WaitGroup
	notes := map[string]bool{}
	var mu sync.Mutex
	for _, in := range []*installation{one, two} {
		running.Go(func() { h.logIn(ctx, t, i, in.url) })
		running.Go(func() {
			for ctx.Err() == nil {
				if note, err := in.get(wire.PathLog + "checkpoint"); err == nil && strings.HasPrefix(string(note), "127.0.0.1") {
					mu.Lock()
					notes[string(note)] = true
					mu.Unlock()
				}
			}
		})
	}
	for range 4 {
		for _, in := range []*installation{one, two} {
			before := h.size()
			p := in.spawn()
			rig.Eventually(t, 30*time.Second, "logins", func() bool { return h.size() >= before+20 })
			p.Kill()
		}
	}
	one.spawn()
	rig.Eventually(t, 30*time.Second, "the CA answers, and there are checkpoints", func() bool {
		_, err := one.get(wire.PathHealth)
		mu.Lock()
		defer mu.Unlock()
		return err == nil && len(notes) >= 5
	})
	stop()
	running.Wait()

	trust := one.logTrust()
	var seen []audit.Signed
	for note := range notes {
		signed, err := trust.Open([]byte(note))
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, signed)
	}
	note, err := one.get(wire.PathLog + "checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	last, err := trust.Open(note)
	if err != nil {
		t.Fatal(err)
	}
	// A CA that has just been started says for a moment that its log is not open.
	read := func(tile audit.Tile) (hashes []byte, err error) {
		rig.Eventually(t, 30*time.Second, "the log is open", func() bool {
			hashes, err = one.get(wire.PathLog + tile.Path())
			return err == nil && !strings.Contains(string(hashes), string(fault.StoreAway))
		})
		return hashes, err
	}
	for _, old := range seen {
		proof, err := last.ProveConsistency(min(old.Size, last.Size), read)
		if err == nil {
			err = last.CheckConsistency(old.Checkpoint, proof)
		}
		if err != nil {
			t.Errorf("%d to %d: %v", old.Size, last.Size, err)
		}
	}
	if health, err := one.get(wire.PathHealth); err != nil || !strings.Contains(string(health), `"audit_log":"ok"`) {
		t.Errorf("%s, %v", health, err)
	}
}

// TestTheEvidenceOfASession: its person and auditors get every leaf of it, and
// the login's, all under one checkpoint.
func TestTheEvidenceOfASession(t *testing.T) {
	t.Parallel()
	i := testissuer.New(t)
	in := install(t, i.URL).start()
	in.enroll(wire.PartAgent, "web-1", "--label", "tier=web")
	proxy := in.enroll(wire.PartProxy, "p1")
	ann := in.login(i, nil)
	in.policy(i, webRole)
	var open wire.OpenResponse
	if err := proxy.Do(in.ctx(), "POST", wire.PathProxyOpen, in.openRequest(ann, "deploy", "web-1"), &open); err != nil {
		t.Fatal(err)
	}
	path := strings.Replace(wire.PathProxyEnd, "{id}", string(open.Session), 1)
	if err := proxy.Do(in.ctx(), "POST", path, wire.EndRequest{End: "closed", Accepted: true}, nil); err != nil {
		t.Fatal(err)
	}
	bob := in.login(i, map[string]any{"sub": "bob", "email": "bob@example.com"})
	auditor := in.login(i, map[string]any{"sub": "eve", "email": "eve@example.com", "groups": []string{"security"}})
	path = strings.Replace(wire.PathRecordingProof, "{id}", string(open.Session), 1)
	if err := in.as(bob).Do(in.ctx(), "GET", path, nil, nil); fault.ReasonOf(err) != fault.NotFound {
		t.Errorf("to somebody else: %v", err)
	}
	for _, who := range []*person{ann, auditor} {
		var e wire.Evidence
		if err := in.as(who).Do(in.ctx(), "GET", path, nil, &e); err != nil {
			t.Fatal(err)
		}
		trust, err := audit.NewTrust(e.Log.Keys, e.Log.Witnesses, e.Log.Quorum)
		if err != nil {
			t.Fatal(err)
		}
		under, err := trust.Open([]byte(e.Checkpoint))
		if err != nil {
			t.Fatal(err)
		}
		var kinds []audit.Kind
		for _, p := range e.Proofs {
			proof := audit.Proof{}
			for _, h := range p.Hashes {
				proof = append(proof, audit.Hash(h))
			}
			if err := under.CheckInclusion(p.Entry.Index, p.Entry.Event, proof); err != nil {
				t.Error(err)
			}
			event, err := audit.Entry{Index: p.Entry.Index, Leaf: p.Entry.Event}.Event()
			if err != nil || event.Identity != "ann@example.com" {
				t.Errorf("%s: %v", p.Entry.Event, err)
			}
			kinds = append(kinds, event.Kind)
		}
		if e.Session.ID != open.Session || len(kinds) < 3 || kinds[0] != audit.LoginGranted || kinds[1] != audit.SessionGranted || !slices.Contains(kinds, audit.SessionEnded) {
			t.Errorf("session %s, %v", e.Session.ID, kinds)
		}
	}
}
