package sessions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/screen"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// reel writes frames of an encrypted recording, one a second.
type reel struct {
	h   recording.Header
	p   *recording.Packer
	out []byte
	n   uint64
	at  time.Duration
	key recording.ContentKey
}

func newReel(t *testing.T, to ...age.Recipient) *reel {
	t.Helper()
	r := &reel{p: &recording.Packer{}, n: 1, key: recording.NewContentKey()}
	meta := recording.Meta{Session: session, Identity: "you@example.com", Login: "deploy", Node: "web-1", Proxy: "p-1", Started: start.UnixMicro()}
	var wrapped bytes.Buffer
	w, err := age.Encrypt(&wrapped, to...)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(r.key[:])
	w.Close()
	if r.h, err = recording.NewHeader(meta, r.key, wrapped.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := r.p.Start(r.h, r.key, r.h.Chain()); err != nil {
		t.Fatal(err)
	}
	r.out = r.h.Append(nil)
	return r
}

func (r *reel) frame(kind recording.Kind, payload []byte) uint64 {
	r.at += time.Second
	if kind == recording.KindVeiled {
		payload = bytes.Clone(payload)
		r.key.Veil().Apply(r.n, payload)
	}
	r.p.Add(recording.Frame{Number: r.n, At: r.at, Channel: 1, Kind: kind, Payload: payload})
	r.n++
	return r.n - 1
}

func (r *reel) event(kind recording.Kind, e any) {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	r.frame(kind, b)
}

// block ends a block; what follows begins with these screens.
func (r *reel) block(screens ...recording.Screen) {
	r.out = r.p.Block(r.out)
	r.p.SetScreens(screens)
}

func (r *reel) begin() {
	r.event(recording.KindOpen, recording.Open{From: recording.Client, Type: "session"})
	r.event(recording.KindRequest, recording.Request{From: recording.Client, Type: "pty-req", Data: data("xterm", 80, 24, 0, 0, "")})
	r.event(recording.KindRequest, recording.Request{From: recording.Client, Type: "shell"})
}

func identity(t *testing.T) (*age.X25519Identity, string) {
	t.Helper()
	k, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(path, []byte(k.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return k, path
}

// auditorsReel has two commands, a password and a copied file.
func auditorsReel(t *testing.T, to age.Recipient) *reel {
	r := newReel(t, to)
	r.begin()
	ls := r.frame(recording.KindVeiled, []byte("lx"))
	r.frame(recording.KindInput, []byte("\x7f"))
	s := r.frame(recording.KindVeiled, []byte("s"))
	r.frame(recording.KindReveal, recording.AppendReveal(nil, []recording.Run{{Frame: ls, Bytes: []byte("lx")}, {Frame: s, Bytes: []byte("s")}}))
	r.frame(recording.KindInput, []byte("\r"))
	r.frame(recording.KindVeiled, []byte("hunter2"))
	r.frame(recording.KindInput, []byte("\r"))
	r.event(recording.KindFile, recording.FileOp{Op: "write", Path: []byte("/srv/x"), Write: 10, SHA256: bytes.Repeat([]byte{1}, 32)})
	r.event(recording.KindTransfer, recording.Transfer{Tool: "forward", To: "10.0.0.5:5432", Input: 5, Output: 6})
	r.event(recording.KindEnd, recording.End{Reason: recording.EndClosed})
	r.block()
	return r
}

func TestShowTellsWhatWasDoneAndNoPassword(t *testing.T) {
	k, path := identity(t)
	r := auditorsReel(t, k.Recipient())
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathRecording, func(w http.ResponseWriter, _ *http.Request) { w.Write(r.out) })
	out, _, err := run(t, mux, "sessions", "show", session, "--identity", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"> ls\n", "(7 bytes typed without echo)\n", "write /srv/x, wrote 10 bytes, SHA-256 0101", "forward to 10.0.0.5:5432: 5 bytes from the client"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "hunter2") {
		t.Error("a password is shown")
	}
	out, _, err = run(t, mux, "sessions", "show", "--json", session, "--identity", path)
	if err != nil || !strings.Contains(out, `"text": "\u003e ls"`) || strings.Contains(out, "hunter2") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAnEncryptedRecordingIsOpenedOrSaysWhatIsMissing(t *testing.T) {
	k, path := identity(t)
	_, other := identity(t)
	r := auditorsReel(t, k.Recipient())
	file := filepath.Join(t.TempDir(), session+".rec")
	if err := os.WriteFile(file, r.out, 0o600); err != nil {
		t.Fatal(err)
	}
	refuse := func(w http.ResponseWriter, _ *http.Request) {
		wire.WriteProblem(w, fault.New(fault.Denied, fault.NotAuditor, "that is for auditors"))
	}
	give := func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(wire.RecordingKey{Key: r.key[:]})
	}
	wrong := func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(wire.RecordingKey{Key: make([]byte, 32)})
	}
	for name, test := range map[string]struct {
		key    http.HandlerFunc
		args   []string
		reason fault.Reason
		text   string
	}{
		"the person's own key":               {refuse, []string{session, "--identity", path}, "", ""},
		"the CA's":                           {give, []string{session}, "", ""},
		"the CA's, where the own is another": {give, []string{session, "--identity", other}, "", ""},
		"a file, with the key":               {refuse, []string{"--file", file, "--identity", path}, "", ""},
		"a file, without":                    {give, []string{"--file", file}, fault.RecordingLocked, "no key at hand opens it"},
		"a CA that refuses":                  {refuse, []string{session}, fault.RecordingLocked, "that is for auditors"},
		"a CA that sends another key":        {wrong, []string{session}, fault.RecordingLocked, "no key at hand opens it"},
		"a file that holds no key":           {give, []string{session, "--identity", file}, fault.BadRequest, "no age identity"},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("GET "+wire.PathRecording, func(w http.ResponseWriter, _ *http.Request) { w.Write(r.out) })
			mux.HandleFunc("POST "+wire.PathRecordingKey, test.key)
			_, _, err := run(t, mux, "sessions", append([]string{"show"}, test.args...)...)
			if test.reason == "" && err != nil {
				t.Fatal(err)
			}
			if test.reason != "" && (fault.ReasonOf(err) != test.reason || !strings.Contains(fault.Of(err).Text, test.text)) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestALockedRecordingIsExportedAsItIs(t *testing.T) {
	k, _ := identity(t)
	r := auditorsReel(t, k.Recipient())
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathRecording, func(w http.ResponseWriter, _ *http.Request) { w.Write(r.out) })
	out, _, err := run(t, mux, "sessions", "export", "--recording", session)
	if err != nil || out != string(r.out) {
		t.Errorf("%d bytes of %d, %v", len(out), len(r.out), err)
	}
}

func TestHoldAndRelease(t *testing.T) {
	var got []string
	mux := http.NewServeMux()
	mux.HandleFunc(wire.PathAdminHold, func(w http.ResponseWriter, r *http.Request) {
		var in wire.SetHold
		json.NewDecoder(r.Body).Decode(&in)
		got = append(got, r.Method+" "+r.PathValue("id")+" "+in.Reason)
		json.NewEncoder(w).Encode(wire.Session{ID: session, Recording: wire.Recording{Retain: start.Unix()}})
	})
	out, _, err := run(t, mux, "sessions", "hold", session, "--reason", "case 12")
	if err != nil || !strings.Contains(out, "is held: case 12") {
		t.Errorf("%q, %v", out, err)
	}
	out, _, err = run(t, mux, "sessions", "release", session)
	if err != nil || !strings.Contains(out, "held no more. Its recording is kept until 2026-03-02") {
		t.Errorf("%q, %v", out, err)
	}
	if _, _, err = run(t, mux, "sessions", "hold", session); fault.ReasonOf(err) != fault.BadRequest {
		t.Errorf("a hold without a reason: %v", err)
	}
	if want := []string{"PUT " + session + " case 12", "DELETE " + session + " "}; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q", got)
	}
}

func TestSeekingShowsTheScreenOfThatMoment(t *testing.T) {
	k, _ := identity(t)
	r := newReel(t, k.Recipient())
	r.begin()
	s := screen.New(80, 24)
	for i := range 400 {
		if i%100 == 0 && i > 0 {
			r.block(recording.Screen{Channel: 1, Columns: 80, Rows: 24, ANSI: s.Snapshot()})
		}
		text := fmt.Appendf(nil, "line %d\r\n", i)
		s.Write(text)
		r.frame(recording.KindOutput, text)
	}
	r.block()
	rec, err := recording.Join(recording.Holding(r.key), bytes.NewReader(r.out))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{350, 120, 20, 399} {
		var out bytes.Buffer
		p := player{rec: rec, channel: 1, out: &out, speed: 1}
		if err := p.seek(time.Duration(at+4) * time.Second); err != nil {
			t.Fatal(err)
		}
		p.stop()
		shown := screen.New(80, 24)
		shown.Write(out.Bytes())
		if got, want := shown.Lines()[22], fmt.Sprintf("line %d", at); got != want && at > 24 {
			t.Errorf("at %d: %q", at, got)
		}
		if n := bytes.Count(out.Bytes(), []byte("line")); n > 130 {
			t.Errorf("at %d: %d lines were drawn", at, n)
		}
	}
}

func TestAFollowerJoinsAndGoesOn(t *testing.T) {
	k, _ := identity(t)
	r := newReel(t, k.Recipient())
	r.begin()
	r.frame(recording.KindOutput, []byte("before\r\n"))
	r.block(recording.Screen{Channel: 1, Columns: 80, Rows: 24, ANSI: []byte("SCREEN ")})
	r.frame(recording.KindOutput, []byte("first "))
	r.block()
	var steps []string
	var out bytes.Buffer
	f := follower{channel: 1, out: &out, screen: true}
	show := func() {
		rec, err := recording.Join(recording.Holding(r.key), bytes.NewReader(bytes.Clone(r.out)))
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		if err := f.show(rec); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, strings.TrimPrefix(out.String(), blank))
	}
	show()
	show()
	r.frame(recording.KindOutput, []byte("second "))
	r.event(recording.KindEnd, recording.End{Reason: recording.EndClosed})
	r.block()
	show()
	if got := strings.Join(steps, "|"); got != "SCREEN first ||second " || f.end == nil {
		t.Errorf("%q, end %v", got, f.end)
	}
}
