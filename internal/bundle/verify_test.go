package bundle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// reread is b as somebody gets it: from its file.
func reread(t testing.TB, b *Bundle) *Bundle {
	t.Helper()
	got, err := unpack(packed(t, b))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func verified(t testing.TB, b *Bundle, keys Trust, o recording.Opener) Report {
	t.Helper()
	r, err := Verify(b, keys, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEvidenceHoldsThatNobodyTouched(t *testing.T) {
	h, f := newHouse(t), newFacts(t)
	r := verified(t, reread(t, h.evidence(f)), h.trust(), nil)
	if !r.Holds() {
		t.Fatalf("%+v", r.Findings)
	}
	about, log := r.Recording, r.Log
	if r.Session != testSession || about.Identity != testIdentity || about.Login != "postgres" || about.Node != "db-1" ||
		about.Serial != 88214 || about.LoginSerial != 88213 || about.Proxy != "p-2" || about.Revision != 61 ||
		about.Commands != 41 || about.Files != 1 || about.Frames != 9 || about.Lasted != 420 || about.Cut || about.Encrypted {
		t.Errorf("%+v", about)
	}
	if log.Origin != h.origin || log.Size != 15 || log.Granted != 4 || log.Sealed != 13 || log.Entries != 5 {
		t.Errorf("%+v", log)
	}
}

// TestEncryptedEvidenceIsVerifiedWithoutItsKey, and opened with it.
func TestEncryptedEvidenceIsVerifiedWithoutItsKey(t *testing.T) {
	auditor, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	h, f := newHouse(t), newFacts(t)
	f.auditor = auditor
	b := reread(t, h.evidence(f))
	if r := verified(t, b, h.trust(), nil); !r.Holds() || !r.Recording.Encrypted || r.Recording.Opened {
		t.Errorf("without its key: %+v, %+v", r.Findings, r.Recording)
	}
	if r := verified(t, b, h.trust(), identityOf(t, auditor)); !r.Holds() || !r.Recording.Opened {
		t.Errorf("with its key: %+v, %+v", r.Findings, r.Recording)
	}
}

// TestASealThatWasRefusedIsNoSeal: the log may tell of one, and evidence holds.
func TestASealThatWasRefusedIsNoSeal(t *testing.T) {
	h, f := newHouse(t), newFacts(t)
	f.story = func(all []audit.Event) []audit.Event {
		refused := audit.Event{Kind: audit.RecordingSealed, At: all[1].At, Outcome: audit.Refused, Reason: "seal_refused", Session: testSession}
		return slices.Insert(all, 2, refused)
	}
	if r := verified(t, reread(t, h.evidence(f)), h.trust(), nil); !r.Holds() {
		t.Errorf("%+v", r.Findings)
	}
}

// tampering is one row: what somebody does, and what of it is said.
type tampering struct {
	facts func(*house, *facts)          // before it is recorded
	after func(*house, *facts, *Bundle) // with the bundle
	keys  func(*Trust)                  // of the auditor
	where string
	flaw  Flaw
	what  string
}

func TestTamperingIsNamed(t *testing.T) {
	swap := func(kind audit.Kind, change func(*audit.Event)) func(*house, *facts) {
		return func(_ *house, f *facts) {
			f.story = func(all []audit.Event) []audit.Event {
				for i := range all {
					if all[i].Kind == kind {
						change(&all[i])
					}
				}
				return all
			}
		}
	}
	without := func(kind audit.Kind) func(*house, *facts, *Bundle) {
		return func(_ *house, _ *facts, b *Bundle) {
			var rest []Entry
			for _, e := range b.Entries {
				if !bytes.Contains(e.Event, []byte(`"kind":"`+string(kind)+`"`)) {
					rest = append(rest, e)
				}
			}
			b.Entries = rest
		}
	}
	recordingOf := func(b *Bundle) []byte {
		file := make([]byte, b.Recording.Size())
		if _, err := b.Recording.ReadAt(file, 0); err != nil {
			t.Fatal(err)
		}
		return file
	}
	// other is evidence of another session of the same house.
	other := func(h *house, f *facts) *Bundle {
		g := newFacts(t)
		g.meta.Session, g.session.Session = "8ab3-k2m4n", "8ab3-k2m4n"
		g.host, g.proxy = f.host, f.proxy
		return h.evidence(g)
	}
	foreign := func(list *[]string) {
		*list = []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(newKey(t).PublicKey())))}
	}
	for name, c := range map[string]tampering{
		"a byte of the recording is flipped": {
			after: func(_ *house, _ *facts, b *Bundle) {
				file := recordingOf(b)
				file[len(file)/2] ^= 1
				b.Recording = bytes.NewReader(file)
			}, where: "recording", flaw: Damaged, what: ""},
		"the recording is cut at the end of a block": {
			after: func(h *house, f *facts, b *Bundle) {
				file := recordingOf(b)
				opened, err := recording.OpenAt(bytes.NewReader(file), int64(len(file)), nil)
				if err != nil {
					t.Fatal(err)
				}
				b.Recording = bytes.NewReader(file[:opened.Chain().Bytes])
			}, where: "recording", flaw: Damaged, what: "seal"},
		"the recording is another session's": {
			after: func(h *house, f *facts, b *Bundle) { b.Recording = other(h, f).Recording },
			where: "recording", flaw: Mixed, what: "8ab3-k2m4n"},
		"recording and certificates are another session's": {
			after: func(h *house, f *facts, b *Bundle) {
				o := other(h, f)
				o.Entries, o.Checkpoint = b.Entries, b.Checkpoint
				*b = *o
			}, where: "log entry 4 (session_granted)", flaw: Mixed, what: string(testSession)},
		"the log's entries are another session's": {
			after: func(h *house, f *facts, b *Bundle) {
				o := other(h, f)
				b.Entries, b.Checkpoint = o.Entries, o.Checkpoint
			},
			where: "(session_granted)", flaw: Mixed, what: "8ab3-k2m4n"},
		"the login certificate is another one": {
			after: func(h *house, f *facts, b *Bundle) { f.login.Serial++; b.LoginCertificate = issue(t, f.login, h.user) },
			where: memberLogin, flaw: Mixed, what: "not the certificate that is sealed"},
		"the session certificate is another one": {
			after: func(h *house, f *facts, b *Bundle) {
				f.session.Serial++
				b.SessionCertificate = issue(t, f.session, h.session)
			},
			where: memberSession, flaw: Mixed, what: "not the certificate that is sealed"},
		"the host certificate is another proxy's": {
			after: func(h *house, f *facts, b *Bundle) {
				f.host.Proxy = "p-3"
				b.HostCertificate = issue(t, f.host, h.host)
			},
			where: memberHost, flaw: Mixed, what: "not the certificate that is sealed"},
		"an entry's text is changed": {
			after: func(_ *house, _ *facts, b *Bundle) {
				b.Entries[1].Event = bytes.Replace(b.Entries[1].Event, []byte("postgres"), []byte("postgras"), 1)
			}, where: "log entry 4", flaw: Unlogged, what: "its proof does not lead to the checkpoint of 15 events"},
		"an entry has the proof of another": {
			after: func(_ *house, _ *facts, b *Bundle) { b.Entries[1].Hashes = b.Entries[2].Hashes },
			where: "log entry 4", flaw: Unlogged, what: "its proof does not lead"},
		"an entry stands at another's index": {
			after: func(_ *house, _ *facts, b *Bundle) { b.Entries[1].Index++ },
			where: "log entry 5", flaw: Unlogged, what: "its proof does not lead"},
		"an entry is beyond the log": {
			after: func(_ *house, _ *facts, b *Bundle) { b.Entries[4].Index = 1 << 40 },
			where: "log entry 1099511627776", flaw: Unlogged, what: "is not among the 15"},
		"the checkpoint is an older one": {
			after: func(h *house, _ *facts, b *Bundle) { b.Checkpoint = h.checkpoint(12) },
			where: "log entry 13", flaw: Unlogged, what: "12"},
		"the checkpoint is signed by another log": {
			after: func(h *house, f *facts, b *Bundle) {
				o := newHouse(t)
				o.leaves, o.hashes = h.leaves, h.hashes
				b.Checkpoint = o.checkpoint(15)
			}, where: "checkpoint", flaw: Foreign, what: "no trusted key"},
		"the checkpoint is changed": {
			after: func(_ *house, _ *facts, b *Bundle) {
				b.Checkpoint = strings.Replace(b.Checkpoint, "\n15\n", "\n16\n", 1)
			},
			where: "checkpoint", flaw: Foreign, what: "is not what"},
		"there is no checkpoint": {
			after: func(_ *house, _ *facts, b *Bundle) { b.Checkpoint = "" },
			where: "checkpoint", flaw: Foreign, what: "no signed checkpoint"},
		"the seal's entry is left out":    {after: without(audit.RecordingSealed), where: "log", flaw: Left, what: "recording_sealed"},
		"the grant's entry is left out":   {after: without(audit.SessionGranted), where: "log", flaw: Left, what: "session_granted"},
		"the start's entry is left out":   {after: without(audit.RecordingStarted), where: "log", flaw: Left, what: "recording_started"},
		"the end's entry is left out":     {after: without(audit.SessionEnded), where: "log", flaw: Left, what: "session_ended"},
		"all entries are left out":        {after: func(_ *house, _ *facts, b *Bundle) { b.Entries = nil }, where: "log", flaw: Left, what: "session_granted"},
		"the log knows another recording": {facts: swap(audit.RecordingSealed, func(e *audit.Event) { e.Recording.Digest = make([]byte, 32) }), where: "(recording_sealed)", flaw: Mixed, what: "its recording ends with 000000000000"},
		"the log knows another seal":      {facts: swap(audit.RecordingSealed, func(e *audit.Event) { e.Recording.Seal = make([]byte, 32) }), where: "(recording_sealed)", flaw: Mixed, what: "its seal is"},
		"the log knows no digest":         {facts: swap(audit.RecordingSealed, func(e *audit.Event) { e.Recording = nil }), where: "(recording_sealed)", flaw: Mixed, what: "ends with nothing"},
		"the log knows another beginning": {facts: swap(audit.RecordingStarted, func(e *audit.Event) { e.Recording.Header = make([]byte, 32) }), where: "(recording_started)", flaw: Mixed, what: "begins with 000000000000"},
		"the log knows more frames":       {facts: swap(audit.RecordingSealed, func(e *audit.Event) { e.Recording.Frames++ }), where: "(recording_sealed)", flaw: Mixed, what: "frames 10"},
		"the log knows a longer file":     {facts: swap(audit.RecordingSealed, func(e *audit.Event) { e.Recording.Bytes++ }), where: "(recording_sealed)", flaw: Mixed, what: "bytes"},
		"the log refused the seal":        {facts: swap(audit.RecordingSealed, func(e *audit.Event) { e.Outcome = audit.Refused }), where: "log", flaw: Left, what: "recording_sealed"},
		"the log knows another proxy key": {facts: swap(audit.RecordingSealed, func(e *audit.Event) { e.Recording.SealedBy = "SHA256:x" }), where: "(recording_sealed)", flaw: Mixed, what: "sealed by"},
		"the log granted it to another":   {facts: swap(audit.SessionGranted, func(e *audit.Event) { e.Identity = "eve@example.com" }), where: "(session_granted)", flaw: Mixed, what: "identity eve@example.com"},
		"the log granted another login":   {facts: swap(audit.SessionGranted, func(e *audit.Event) { e.Login = "root" }), where: "(session_granted)", flaw: Mixed, what: "login root"},
		"the log granted another node":    {facts: swap(audit.SessionGranted, func(e *audit.Event) { e.Node = "db-2" }), where: "(session_granted)", flaw: Mixed, what: "node db-2"},
		"the log granted other roles":     {facts: swap(audit.SessionGranted, func(e *audit.Event) { e.Roles = []string{"admin"} }), where: "(session_granted)", flaw: Mixed, what: "roles admin"},
		"the log granted by other policy": {facts: swap(audit.SessionGranted, func(e *audit.Event) { e.Revision = 60 }), where: "(session_granted)", flaw: Mixed, what: "policy 60"},
		"the log granted another serial":  {facts: swap(audit.SessionGranted, func(e *audit.Event) { e.Certificate.Serial++ }), where: "(session_granted)", flaw: Mixed, what: "serial 88215"},
		"the log granted another key":     {facts: swap(audit.SessionGranted, func(e *audit.Event) { e.Certificate.Key = "SHA256:x" }), where: "(session_granted)", flaw: Mixed, what: "key SHA256:x"},
		"the log granted no certificate":  {facts: swap(audit.SessionGranted, func(e *audit.Event) { e.Certificate = nil }), where: "(session_granted)", flaw: Mixed, what: "names no certificate"},
		"the log knows another login":     {facts: swap(audit.SessionGranted, func(e *audit.Event) { e.Certificate.LoginSerial++ }), where: "(session_granted)", flaw: Mixed, what: "login serial"},
		"the sign-in is another's":        {facts: swap(audit.LoginGranted, func(e *audit.Event) { e.Identity = "eve@example.com" }), where: "(login_granted)", flaw: Mixed, what: "identity eve@example.com"},
		"the sign-in is another one":      {facts: swap(audit.LoginGranted, func(e *audit.Event) { e.Certificate.Serial-- }), where: "(login_granted)", flaw: Mixed, what: "serial 88212"},
		"another node ended":              {facts: swap(audit.SessionEnded, func(e *audit.Event) { e.Node = "db-2" }), where: "(session_ended)", flaw: Mixed, what: "node db-2"},
		"the grant is of another day": {facts: func(_ *house, f *facts) {
			f.story = func(all []audit.Event) []audit.Event {
				for i := range all[1:] {
					all[i+1].At += (24 * time.Hour).Microseconds()
				}
				return all
			}
		}, where: "(session_granted)", flaw: Untimely, what: "it was written"},
		"the seal is told twice": {facts: func(_ *house, f *facts) {
			f.story = func(all []audit.Event) []audit.Event { return append(all, all[4]) }
		}, where: "log", flaw: Disorder, what: "2 entries recording_sealed"},
		"the grant comes last": {facts: func(_ *house, f *facts) {
			f.story = func(all []audit.Event) []audit.Event { return append(append(all[:1:1], all[2:]...), all[1]) }
		}, where: "", flaw: Disorder, what: "before the session was granted"},
		"the seal comes before the start": {facts: func(_ *house, f *facts) {
			f.story = func(all []audit.Event) []audit.Event { all[2], all[4] = all[4], all[2]; return all }
		}, where: "(recording_sealed)", flaw: Disorder, what: "before the recording began"},
		"an entry is earlier than the one before": {facts: swap(audit.RecordingSealed, func(e *audit.Event) { e.At = micros(0) }),
			where: "(recording_sealed)", flaw: Disorder, what: "earlier than the entry before"},
		"another user CA is trusted":    {keys: func(k *Trust) { foreign(&k.UserCA) }, where: "recording", flaw: Foreign, what: "login certificate"},
		"another session CA is trusted": {keys: func(k *Trust) { foreign(&k.SessionCA) }, where: "recording", flaw: Foreign, what: "session certificate"},
		"another host CA is trusted":    {keys: func(k *Trust) { foreign(&k.HostCA) }, where: "recording", flaw: Foreign, what: "its certificate does not hold"},
		"no user CA is trusted":         {keys: func(k *Trust) { k.UserCA = nil }, where: "keys", flaw: Foreign, what: "no key of the user CA"},
		"no session CA is trusted":      {keys: func(k *Trust) { k.SessionCA = nil }, where: "keys", flaw: Foreign, what: "no key of the session CA"},
		"no host CA is trusted":         {keys: func(k *Trust) { k.HostCA = nil }, where: "keys", flaw: Foreign, what: "no key of the host CA"},
		"nothing is trusted":            {keys: func(k *Trust) { *k = Trust{} }, where: "checkpoint", flaw: Foreign, what: "no verifier key"},
		"another log is trusted":        {keys: func(k *Trust) { k.Log = newHouse(t).trust().Log }, where: "checkpoint", flaw: Foreign, what: "no trusted key"},
		"a witness has not seen it": {keys: func(k *Trust) {
			k.Log.Witnesses, k.Log.Quorum = []string{witnessKey(t, "witness.example.org")}, 1
		}, where: "checkpoint", flaw: Foreign, what: "cosignatures of 0 witnesses, and not of 1"},
		"the seal is by another key than the proxy's": {facts: func(_ *house, f *facts) { f.proxy = newKey(t) },
			where: "recording", flaw: Foreign, what: "signature is wrong"},
		"the seal is by another proxy": {facts: func(_ *house, f *facts) { f.host.Proxy = "p-3" },
			where: "recording", flaw: Foreign, what: "is not proxy"},
		"the seal is by a stand-in's certificate": {facts: func(_ *house, f *facts) {
			f.host.Name, f.host.Node, f.host.Principals = "db-1", testNode, []string{"db-1"}
			f.host.ValidAfter = f.host.ValidBefore - 3600
		}, where: "recording", flaw: Foreign, what: "own"},
		"the login certificate is another's": {facts: func(_ *house, f *facts) { f.login.Identity = "eve@example.com" },
			where: "recording", flaw: Foreign, what: "eve@example.com"},
		"the session certificate is for another login": {facts: func(_ *house, f *facts) { f.session.Login = "root" },
			where: "recording", flaw: Foreign, what: "root"},
		"the login certificate had ended": {facts: func(_ *house, f *facts) { f.login.ValidBefore = began.Add(-30 * time.Minute).Unix() },
			where: "recording", flaw: Foreign, what: "ended"},
	} {
		t.Run(name, func(t *testing.T) {
			h, f := newHouse(t), newFacts(t)
			if c.facts != nil {
				c.facts(h, f)
			}
			b := h.evidence(f)
			if c.after != nil {
				c.after(h, f, b)
			}
			keys := h.trust()
			if c.keys != nil {
				c.keys(&keys)
			}
			r := verified(t, reread(t, b), keys, nil)
			if r.Holds() {
				t.Fatal("nobody noticed")
			}
			for _, found := range r.Findings {
				if strings.Contains(found.Where, c.where) && found.Flaw == c.flaw && strings.Contains(found.What, c.what) {
					return
				}
			}
			t.Errorf("it is not named: %+v", r.Findings)
		})
	}
}

// witnessKey is the verifier key of a witness (C2SP signed-note, key type 4).
func witnessKey(t testing.TB, name string) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := append([]byte{4}, public...)
	hash := sha256.Sum256(append([]byte(name+"\n"), key...))
	return fmt.Sprintf("%s+%x+%s", name, hash[:4], base64.StdEncoding.EncodeToString(key))
}

// identityOf is an auditor's key as a file.
func identityOf(t testing.TB, auditor *age.X25519Identity) recording.Opener {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auditor.key")
	if err := os.WriteFile(path, []byte(auditor.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := recording.LoadIdentities(path)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestPromise5_EveryByteOfABundleThatIsFlippedIsNoticed: a change in evidence does
// not go unnoticed, wherever it is.
func TestPromise5_EveryByteOfABundleThatIsFlippedIsNoticed(t *testing.T) {
	h := newHouse(t)
	file := packed(t, h.evidence(newFacts(t)))
	keys := h.trust()
	if b, err := unpack(file); err != nil || !verified(t, b, keys, nil).Holds() {
		t.Fatalf("it does not hold as it is: %v", err)
	}
	text := bytes.Index(file, []byte("WHAT IS IN IT"))
	for i := range file {
		// Text for people is one class of bytes, and a third of the file.
		if i > text && i < text+3000 && i%31 != 0 {
			continue
		}
		file[i] ^= 1 << (i % 8)
		b, err := unpack(file)
		if err == nil {
			if r := verified(t, b, keys, nil); r.Holds() {
				t.Errorf("byte %d: nobody noticed", i)
			}
		}
		file[i] ^= 1 << (i % 8)
	}
}
