package recording

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestASummaryTellsWhatASessionWasAbout(t *testing.T) {
	r, err := joined(nil, nil, tailOf(plain, sample(), 1, len(sample())))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Summarize(r)
	if err != nil {
		t.Fatal(err)
	}
	if s.Meta.Identity != "you@example.com" || s.Frames != uint64(len(sample())) || s.End == nil || s.End.Reason != EndClosed || len(s.Notices) != 1 {
		t.Errorf("%+v", s)
	}
	if len(s.Requests.List) != 1 || s.Requests.List[0].Answer == nil || s.Requests.List[0].Answer.OK || s.Requests.List[0].Request.String() != "tcpip-forward 0.0.0.0:8080" {
		t.Errorf("global requests: %+v", s.Requests.List)
	}
	if len(s.Channels) != 2 {
		t.Fatalf("%d channels", len(s.Channels))
	}
	shell, exec := s.Channels[0], s.Channels[1]
	// "é" was echoed, "secret" and its Enter were not.
	if shell.Lines != 0 || len(shell.Silences) != 1 || shell.Silences[0].Bytes != 7 || shell.Silences[0].At != sample()[14].At {
		t.Errorf("typed: %d lines, %+v", shell.Lines, shell.Silences)
	}
	if exec.Transfer == nil || exec.Transfer.Tool != "exec" || exec.Operations != 1 || exec.Files != 1 {
		t.Errorf("carried: %+v, %d, %d", exec.Transfer, exec.Operations, exec.Files)
	}
	if s.Counts != (Counts{Commands: 1, Files: 1}) {
		t.Errorf("%+v", s.Counts)
	}
	if shell.What() != "shell" || !shell.Terminal || shell.Columns != 120 || shell.Rows != 36 || shell.Term != "xterm-256color" || shell.Input.Bytes != 9 || shell.Closed != 0 {
		t.Errorf("shell: %+v", shell)
	}
	if exec.What() != "exec tar c /srv" || exec.ExitStatus == nil || *exec.ExitStatus != 3 || exec.Closed == 0 || exec.Stderr.Bytes != 24 {
		t.Errorf("exec: %+v", exec)
	}
	if f := exec.Output; f.Kept != 640 || f.Bytes != 5000 || f.AtMost != 5000 || !bytes.Equal(f.SHA256, bytes.Repeat([]byte{7}, 32)) {
		t.Errorf("output of exec: %+v", f)
	}
}

// TestTypedLinesAreCountedAndTheirSilencesKept as a proxy writes them: text under
// the veil, Enter in clear, and what was echoed revealed later.
func TestTypedLinesAreCountedAndTheirSilencesKept(t *testing.T) {
	var frames []Frame
	add := func(kind Kind, payload string) uint64 {
		n := uint64(len(frames))
		frames = append(frames, Frame{Number: n, At: time.Duration(n) * time.Second, Channel: 1, Kind: kind, Payload: []byte(payload)})
		return n
	}
	reveal := func(runs ...Run) { add(KindReveal, string(AppendReveal(nil, runs))) }
	b, _ := json.Marshal(Request{From: Client, Type: "pty-req", Data: wireData("xterm", 80, 24, 0, 0, "")})
	add(KindOpen, "{}")
	add(KindRequest, string(b))
	sudo := add(KindVeiled, "sudo -i")
	reveal(Run{Frame: sudo, Bytes: []byte("sudo -i")})
	add(KindInput, "\r")
	silent := add(KindVeiled, "hunter2")
	add(KindInput, "\r")
	half := add(KindVeiled, "exit")
	reveal(Run{Frame: half, Bytes: []byte("ex")})
	add(KindInput, "\x7f")
	add(KindVeiled, "!")
	add(KindInput, "\r")
	pasted := add(KindVeiled, "a\rb\rc")
	reveal(Run{Frame: pasted, Offset: 1, Bytes: []byte("\r")}, Run{Frame: pasted, Offset: 3, Bytes: []byte("\r")})
	reveal(Run{Frame: pasted, Bytes: []byte("a")}, Run{Frame: pasted, Offset: 2, Bytes: []byte("b")}, Run{Frame: pasted, Offset: 4, Bytes: []byte("c")})
	reveal(Run{Frame: 4, Bytes: []byte("x")}) // of a frame that is not veiled: nobody's
	s, err := Summarize((*list)(&frames))
	if err != nil {
		t.Fatal(err)
	}
	c := s.Channels[0]
	want := []Silence{{time.Duration(silent) * time.Second, 7}, {time.Duration(half+3) * time.Second, 3}}
	if c.Lines != 5 || !slices.Equal(c.Silences, want) || s.Counts.Commands != 5 {
		t.Errorf("%d lines, %v, want %v", c.Lines, c.Silences, want)
	}
}

func TestOperationsAsPeopleReadThem(t *testing.T) {
	status := uint32(1)
	for _, test := range []struct {
		what fmt.Stringer
		want string
	}{
		{FileOp{Op: "write", Path: []byte("/srv/x"), Write: 4, SHA256: []byte{0xab}}, "write /srv/x, wrote 4 bytes, SHA-256 ab"},
		{FileOp{Op: "read", Path: []byte("/srv/\x1b[2J"), Read: 1, Open: true}, `read "/srv/\x1b[2J", read 1 byte, never closed`},
		{FileOp{Op: "rename", Path: []byte("a"), Target: []byte("b")}, "rename a to b"},
		{FileOp{Op: "remove", Path: []byte("/etc/shadow"), Code: 3, Text: []byte("Permission denied")}, "remove /etc/shadow, refused: Permission denied (3)"},
		{FileOp{Op: "\xff"}, `"\xff" ""`},
		{Transfer{Tool: "scp", Direction: "up", Paths: [][]byte{[]byte("/srv")}, Input: 9, Output: 1, Files: 2, Exit: &status}, "scp up /srv: 9 bytes from the client, 1 byte from the node, files: 2, exit status 1"},
		{Transfer{Tool: "forward", To: "db:5432"}, "forward to db:5432: 0 bytes from the client, 0 bytes from the node"},
		{Silence{Bytes: 7}, "7 bytes typed without echo"},
	} {
		if got := test.what.String(); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}

func TestWhatACrashCutHasALowerAndAnUpperBound(t *testing.T) {
	frames := sample()
	last := slices.IndexFunc(frames, func(f Frame) bool { return f.Kind == KindBulk })
	r, err := joined(nil, nil, tailOf(plain, frames, 1, last+1))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Summarize(r)
	if err != nil {
		t.Fatal(err)
	}
	if f := s.Channels[1].Output; f.Bytes != 640 || f.AtMost != 640+1<<20 || s.End != nil {
		t.Errorf("%+v, end %v", f, s.End)
	}
}

func TestRequestsAsPeopleReadThem(t *testing.T) {
	for _, test := range []struct {
		typ  string
		data []byte
		want string
	}{
		{"pty-req", wireData("xterm", 80, 24, 0, 0, ""), "pty-req xterm 80x24"},
		{"window-change", wireData(132, 43, 0, 0), "window-change 132x43"},
		{"exec", wireData("uname"), "exec uname"},
		{"exec", wireData("echo \x1b]0;x\x07\r\nrm -rf /"), `exec "echo \x1b]0;x\a\r\nrm -rf /"`},
		{"exec", wireData("\xff\xfe"), `exec "\xff\xfe"`},
		{"exec", wireData("\u202etxt.exe"), `exec "\u202etxt.exe"`},
		{"subsystem", wireData("sftp"), "subsystem sftp"},
		{"env", wireData("LANG", "C"), "env LANG=C"},
		{"signal", wireData("INT"), "signal INT"},
		{"exit-status", wireData(255), "exit-status 255"},
		{"tcpip-forward", wireData("::1", 80), "tcpip-forward [::1]:80"},
		{"exec", []byte("\xff\xff\xff\xffx"), "exec with malformed data"},
		{"exit-status", nil, "exit-status with malformed data"},
		{"something@example.com", []byte("anything"), "something@example.com"},
	} {
		r := Request{From: Client, Type: test.typ, Data: test.data}
		if got := r.String(); got != test.want {
			t.Errorf("%q %q: %s, want %s", test.typ, test.data, got, test.want)
		}
	}
	for _, test := range []struct {
		typ  string
		data []byte
		want string
	}{
		{"session", nil, "session"},
		{"direct-tcpip", wireData("db.internal", 5432, "127.0.0.1", 40000), "direct-tcpip to db.internal:5432"},
		{"direct-streamlocal@openssh.com", wireData("/run/x.sock", "", 0), "direct-streamlocal@openssh.com to /run/x.sock"},
		{"forwarded-tcpip", wireData("0.0.0.0", 80, "192.0.2.1", 4000), "forwarded-tcpip at 0.0.0.0:80 from 192.0.2.1:4000"},
		{"direct-tcpip", wireData("x"), "direct-tcpip with malformed data"},
	} {
		if got := (Open{Type: test.typ, Data: test.data}).String(); got != test.want {
			t.Errorf("%q: %s, want %s", test.typ, got, test.want)
		}
	}
}

func TestSizesThatNoTerminalHasAreNone(t *testing.T) {
	for _, data := range [][]byte{nil, wireData(80), wireData(0, 24, 0, 0), wireData(80, 1<<31-1, 0, 0), wireData(10001, 24, 0, 0)} {
		if c, r, ok := (Request{Type: "window-change", Data: data}).Size(); ok {
			t.Errorf("%x: %dx%d", data, c, r)
		}
	}
}

// TestBytesSurviveJSON: what a peer sent is any bytes at all.
func TestBytesSurviveJSON(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	b, err := json.Marshal(Request{Type: Printable([]byte("x\xff\n")), Data: all})
	if err != nil {
		t.Fatal(err)
	}
	var r Request
	if err := (Frame{Kind: KindRequest, Payload: b}).Decode(&r); err != nil || !bytes.Equal(r.Data, all) || r.Type != `"x\xff\n"` {
		t.Errorf("%v %q %x", err, r.Type, r.Data)
	}
}

func TestAnswersGoToTheOldestThatWaits(t *testing.T) {
	var e Events
	for i := range 5 {
		e.add(0, Request{From: Client, Type: fmt.Sprint("r", i%2), WantReply: i != 0})
	}
	for _, to := range []string{"r1", "r1", "r0", "r0"} {
		e.answer(Answer{From: Node, To: to, OK: true, Text: []byte(to)})
	}
	for i, q := range e.List {
		if answered := q.Answer != nil; answered != (i != 0) {
			t.Errorf("request %d: answered %v", i, answered)
		}
	}
}
