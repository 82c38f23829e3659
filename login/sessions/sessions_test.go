package sessions

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

const session = "7kq2-m9x4d"

// start of the recorded session, far enough back to be shown as a date.
var start = time.Date(2026, 3, 2, 14, 2, 11, 0, time.Local)

// recorded is a session with a shell, a command, a file's copy and a forward that
// was refused.
func recorded() []byte {
	h, p := begin(recording.Meta{Session: session, Identity: "you@example.com", Login: "deploy", Node: "web-1", Proxy: "p-1",
		Client: "192.0.2.7:51234", Way: "connect", Roles: []string{"web-deploy"}, Revision: 61, Started: start.UnixMicro()})
	n, at := uint64(1), time.Second // frame 0 stands in the header
	frame := func(kind recording.Kind, channel uint32, payload []byte) {
		p.Add(recording.Frame{Number: n, At: at, Channel: channel, Kind: kind, Payload: payload})
		n++
		at += time.Second
	}
	event := func(kind recording.Kind, channel uint32, e any) {
		b, err := json.Marshal(e)
		if err != nil {
			panic(err)
		}
		frame(kind, channel, b)
	}
	frame(recording.KindNotice, 0, []byte("This session is recorded.\n"))
	event(recording.KindRequest, 0, recording.Request{From: recording.Client, Type: "tcpip-forward", WantReply: true, Data: data("0.0.0.0", 8080)})
	event(recording.KindAnswer, 0, recording.Answer{From: recording.Proxy, To: "tcpip-forward", Reason: "channel_not_allowed"})
	event(recording.KindOpen, 1, recording.Open{From: recording.Client, Type: "session"})
	event(recording.KindRequest, 1, recording.Request{From: recording.Client, Type: "pty-req", Data: data("xterm", 80, 24, 0, 0, "")})
	event(recording.KindRequest, 1, recording.Request{From: recording.Client, Type: "shell"})
	frame(recording.KindOutput, 1, []byte("$ "))
	frame(recording.KindInput, 1, []byte("l"))
	frame(recording.KindOutput, 1, []byte("l\xff\x1b]52;c;eA==\x07\r\n")) // at 9 s
	event(recording.KindOpen, 2, recording.Open{From: recording.Client, Type: "session"})
	event(recording.KindRequest, 2, recording.Request{From: recording.Client, Type: "exec", Data: data("cat \x1b[2Jbig")})
	frame(recording.KindOutput, 2, []byte("head"))
	event(recording.KindBulk, 2, recording.Bulk{Of: recording.KindOutput, Kept: 4, Bytes: 536870912, SHA256: bytes.Repeat([]byte{0xab}, 32), Final: true})
	event(recording.KindBulk, 2, recording.Bulk{Of: recording.KindInput, Kept: 0, Bytes: 1 << 20, Ahead: 1 << 20, SHA256: bytes.Repeat([]byte{0xcd}, 32)})
	event(recording.KindRequest, 2, recording.Request{From: recording.Node, Type: "exit-status", Data: data(3)})
	frame(recording.KindClose, 2, []byte(recording.Node))
	frame(recording.KindClose, 2, []byte(recording.Client))
	event(recording.KindOpen, 3, recording.Open{From: recording.Client, Type: "direct-tcpip", Data: data("10.0.0.5", 5432, "127.0.0.1", 4000)})
	event(recording.KindAnswer, 3, recording.Answer{From: recording.Proxy, To: "open", Reason: "channel_not_allowed"})
	event(recording.KindEnd, 0, recording.End{Reason: recording.EndClosed})
	return p.Block(h.Append(nil))
}

// begin starts a recording in clear.
func begin(m recording.Meta) (recording.Header, *recording.Packer) {
	h, err := recording.NewHeader(m, recording.ContentKey{}, nil)
	if err != nil {
		panic(err)
	}
	p := &recording.Packer{}
	if err := p.Start(h, recording.ContentKey{}, h.Chain()); err != nil {
		panic(err)
	}
	return h, p
}

func data(fields ...any) []byte {
	var b []byte
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(f))
		}
	}
	return b
}

// run carries out a command against a CA that answers with handler.
func run(t *testing.T, handler http.Handler, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	connect := func(context.Context, cli.Env) (*wire.Client, error) { return wire.NewClient(server.URL) }
	var out, errs bytes.Buffer
	env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
	err = Commands(connect)[name](t.Context(), env, args)
	return out.String(), errs.String(), err
}

// ca serves the recorded session.
func ca() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathRecording, func(w http.ResponseWriter, r *http.Request) { w.Write(recorded()) })
	return mux
}

func TestLSPrintsATable(t *testing.T) {
	var query string
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathSessions, func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		now := time.Now().Unix()
		json.NewEncoder(w).Encode([]wire.Session{
			{ID: "9fw1-c2abc", Identity: "you@example.com", Login: "deploy", Node: "web-1", Started: now - 90},
			{ID: session, Identity: "someone@example.com", Login: "postgres", Node: "db-1", Started: start.Unix(), Ended: start.Unix() + 22*60 + 10, End: "closed", Bytes: 331_493,
				Recording: wire.Recording{State: "sealed", Commands: 41, Files: 1, Held: "case 12"}},
		})
	})
	out, _, err := run(t, mux, "sessions", "ls", "--node", "db-1", "--since", "7d", "-n", "5")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out, "\n")
	for i, want := range []string{
		"SESSION     WHO                  LOGIN     NODE   START             LASTED   COMMANDS  FILES  SEALED",
		"9fw1-c2abc  you@example.com      deploy    web-1  " + time.Now().Add(-90*time.Second).Format("Mon 15:04"),
		"7kq2-m9x4d  someone@example.com  postgres  db-1   2026-03-02 14:02  22m 10s  41        1      ok, held",
	} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d: %q, want %q", i, lines[i], want)
		}
	}
	if !strings.Contains(lines[1], "live") || !strings.Contains(lines[1], "1m 3") {
		t.Errorf("a live session: %q", lines[1])
	}
	if !strings.Contains(query, "node=db-1") || !strings.Contains(query, "limit=5") || !strings.Contains(query, "since=") {
		t.Errorf("asked for %s", query)
	}
	if out, _, err = run(t, mux, "sessions", "ls", "--json"); err != nil || !json.Valid([]byte(out)) || !strings.Contains(out, `"id": "7kq2-m9x4d"`) {
		t.Errorf("%v %s", err, out)
	}
}

func TestShowSaysWhatASessionWasAbout(t *testing.T) {
	out, _, err := run(t, ca(), "sessions", "show", session)
	if err != nil {
		t.Fatal(err)
	}
	want := `session     7kq2-m9x4d
who         you@example.com from 192.0.2.7:51234
where       deploy@web-1, by proxy p-1 (connect)
allowed by  role web-deploy, policy 61
started     Mon 2026-03-02 14:02:11, lasted 20s
ended       closed
frames      21
told        "This session is recorded.\n"
asked       tcpip-forward 0.0.0.0:8080: refused by the proxy (channel_not_allowed)

CHANNEL  WHAT                           START     LASTED  IN       OUT     ERR  END
1        shell (80x24)                  14:02:15  16s     1 B      18 B    0 B  open
2        exec "cat \x1b[2Jbig"          14:02:21  7s      1.0 MB+  537 MB  0 B  exit status 3
3        direct-tcpip to 10.0.0.5:5432  14:02:29  2s      0 B      0 B     0 B  refused (channel_not_allowed)

channel 2  input: cut between 1048576 and 2097152 bytes, 0 kept, sha256 of the first 1048576: ` + strings.Repeat("cd", 32) + `
channel 2  output: 536870912 bytes, 4 kept, sha256 ` + strings.Repeat("ab", 32) + `

TIME      CHANNEL  WHAT
14:02:19  1        > l
14:02:22  2        exec "cat \x1b[2Jbig"
`
	if out != want {
		t.Errorf("%s\nwant\n%s", out, want)
	}
	out, _, err = run(t, ca(), "sessions", "show", "--json", session)
	var v view
	if err != nil || json.Unmarshal([]byte(out), &v) != nil || v.Identity != "you@example.com" || len(v.Channels) != 3 || v.Channels[1].Output.SHA256 != strings.Repeat("ab", 32) || !v.Channels[2].Refused {
		t.Errorf("%v %s", err, out)
	}
}

func TestPlayElsewhereThanAtATerminalWritesTheBytesAtOnce(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{session}, "$ l\xff\x1b]52;c;eA==\x07\r\n"},
		{[]string{"--at", "+8s", session}, "l\xff\x1b]52;c;eA==\x07\r\n"},
		{[]string{"--at", "14:02:20", session}, "l\xff\x1b]52;c;eA==\x07\r\n"},
		{[]string{"--channel", "2", session}, "head"},
	} {
		out, _, err := run(t, ca(), "play", test.args...)
		if err != nil || out != test.want {
			t.Errorf("%v: %q, %v", test.args, out, err)
		}
	}
}

func TestExportsWriteFilesThatAreTheirOwnersAlone(t *testing.T) {
	for args, want := range map[string]string{
		"--asciicast 2": `"version":2`,
		"--asciicast 3": `"version":3`,
		"":              `"version":3`,
		"--text":        "channel 1: shell\n\nThis session is recorded.\n$ l\ufffd\n",
		"--recording":   "SPR\r\n",
	} {
		path := filepath.Join(t.TempDir(), "out")
		_, _, err := run(t, ca(), "sessions", append(append([]string{"export", "-o", path}, strings.Fields(args)...), session)...)
		b, _ := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, %q", args, err, b)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", args, info.Mode(), err)
		}
	}
}

func TestARecordingThatWasSavedIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "evidence")
	if _, _, err := run(t, ca(), "sessions", "export", "--recording", "-o", path, session); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, recorded()) {
		t.Errorf("it is not what the CA sent: %v", err)
	}
	none := http.NotFoundHandler()
	if out, _, err := run(t, none, "sessions", "show", "--file", path); err != nil || !strings.Contains(out, "you@example.com") {
		t.Errorf("show: %v %s", err, out)
	}
	if out, _, err := run(t, none, "play", "--file", path); err != nil || !strings.HasPrefix(out, "$ l") {
		t.Errorf("play: %v %q", err, out)
	}
}

func TestWhatCannotBeAnswered(t *testing.T) {
	damaged := recorded()
	damaged[len(damaged)-50] ^= 1
	path := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	cut := http.NewServeMux()
	cut.HandleFunc("GET "+wire.PathRecording, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		w.Write(recorded())
	})
	other := http.NewServeMux()
	other.HandleFunc("GET "+wire.PathRecording, func(w http.ResponseWriter, r *http.Request) {
		h, _ := begin(recording.Meta{Session: "7kq2-m9x4e", Started: start.UnixMicro()})
		w.Write(h.Append(nil))
	})
	refuses := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		json.NewEncoder(w).Encode(wire.Problem{Status: 403, Detail: "you are no auditor", Reason: string(fault.NotAuditor)})
	})
	for _, test := range []struct {
		name   string
		ca     http.Handler
		args   string
		reason fault.Reason
		text   string
	}{
		{"no session", ca(), "show", fault.BadRequest, "which session?"},
		{"a session that is no name", ca(), "show ../../x", fault.BadRequest, "malformed"},
		{"a session and a file", ca(), "show --file x " + session, fault.BadRequest, "not both"},
		{"a file that is not there", ca(), "show --file /nonexistent", fault.NotFound, "no recording"},
		{"a damaged file", ca(), "show --file " + path, fault.BadRequest, ": its stored bytes were changed"},
		{"a damaged file that is played", ca(), "play --file " + path, fault.BadRequest, "block 0"},
		{"the CA's refusal", refuses, "show " + session, fault.NotAuditor, "you are no auditor"},
		{"a download that breaks off", cut, "show " + session, fault.CAAway, "broke off"},
		{"another session's recording", other, "show " + session, fault.InternalError, "7kq2-m9x4e"},
		{"a channel that does not exist", ca(), "play --channel 9 " + session, fault.NotFound, "no channel 9"},
		{"a speed of nothing", ca(), "play --speed 0 " + session, fault.BadRequest, "--speed"},
		{"a moment that is none", ca(), "play --at noon " + session, fault.BadRequest, "moment"},
		{"two forms of an export", ca(), "export --text --recording " + session, fault.BadRequest, "choose one"},
		{"a version of asciicast that does not exist", ca(), "export --asciicast 4 " + session, fault.BadRequest, "asciicast"},
		{"a time that is none", ca(), "ls --since yesterday", fault.BadRequest, "no time"},
		{"a node that is none", ca(), "ls --node -x", fault.BadRequest, ""},
		{"too many sessions", ca(), "ls -n 1001", fault.BadRequest, "--limit"},
		{"a command that does not exist", ca(), "erase " + session, fault.BadRequest, ""},
	} {
		name, args := "sessions", strings.Fields(test.args)
		if args[0] == "play" {
			name, args = "play", args[1:]
		}
		_, _, err := run(t, test.ca, name, args...)
		if fault.ReasonOf(err) != test.reason || !strings.Contains(fault.Of(err).Show(), test.text) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestADamagedRecordingShowsWhatStandsBefore(t *testing.T) {
	h, p := begin(recording.Meta{Session: session, Identity: "you@example.com", Started: start.UnixMicro()})
	p.Add(recording.Frame{Number: 1, Kind: recording.KindNotice, Payload: []byte("hello")})
	b := p.Block(h.Append(nil))
	p.Add(recording.Frame{Number: 2, Kind: recording.KindEnd, Payload: []byte("{}")})
	b = p.Block(b)
	b[len(b)-1] ^= 1
	path := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := run(t, ca(), "sessions", "show", "--file", path)
	if err == nil || !strings.Contains(out, "you@example.com") || !strings.Contains(err.Error(), "block 1") {
		t.Errorf("%v\n%s", err, out)
	}
}
