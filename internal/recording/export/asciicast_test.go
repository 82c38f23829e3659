package export

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// session has what is hard: a rune over two frames, bytes that are no UTF-8, a
// rune that never ends, resizes, input, a notice, an exit status.
func session() *script {
	s := newScript().terminal(120, 36)
	s.wait(time.Second).frame(recording.KindNotice, 0, []byte("This session is recorded.\n"))
	s.wait(300*time.Millisecond).out("$ ").frame(recording.KindInput, 1, []byte("h"))
	s.wait(1234 * time.Microsecond).out("h\xc3").wait(time.Microsecond).out("\xa9llo <&> \"\\ \u2028\x00\x1b[1m\r\n")
	s.wait(time.Second).request(recording.Client, "window-change", 80, 24, 0, 0)
	s.wait(time.Second).out("\xff\xfe ok \xe2\x82").wait(time.Second).out("\xac \xf0\x9f")
	s.request(recording.Node, "exit-status", 3)
	return s.event(recording.KindEnd, 0, recording.End{Reason: recording.EndClosed})
}

const sessionText = "This session is recorded.\r\n$ héllo <&> \"\\ \u2028\x00\x1b[1m\r\n\ufffd\ufffd ok € \ufffd"

func cast(t testing.TB, s *script, o Options) string {
	t.Helper()
	sum, c := s.about(t)
	var out bytes.Buffer
	if err := Asciicast(&out, &list{s.frames}, sum, c, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAsciicastLineByLine(t *testing.T) {
	const text = `"title":"deploy@web-1, you@example.com, session 7kq2-m9x4d"`
	for _, test := range []struct {
		name string
		o    Options
		want string
	}{
		{"version 2", Options{Version: V2}, `
{"version":2,"width":120,"height":36,"timestamp":1772460131,` + text + `,"env":{"TERM":"xterm-256color"}}
[0.000000, "m", "shell"]
[1.000000, "o", "This session is recorded.\r\n"]
[1.300000, "o", "$ "]
[1.301234, "o", "h"]
[1.301235, "o", "éllo <&> \"\\ \u2028\u0000\u001b[1m\r\n"]
[2.301235, "r", "80x24"]
[3.301235, "o", "�� ok "]
[4.301235, "o", "€ "]
[4.301235, "o", "�"]
`},
		{"version 3 with input", Options{Version: V3, Input: true}, `
{"version":3,"term":{"cols":120,"rows":36,"type":"xterm-256color"},"timestamp":1772460131,` + text + `}
[0.000000, "m", "shell"]
[1.000000, "o", "This session is recorded.\r\n"]
[0.300000, "o", "$ "]
[0.000000, "i", "h"]
[0.001234, "o", "h"]
[0.000001, "o", "éllo <&> \"\\ \u2028\u0000\u001b[1m\r\n"]
[1.000000, "r", "80x24"]
[1.000000, "o", "�� ok "]
[1.000000, "o", "€ "]
[0.000000, "x", "3"]
[0.000000, "o", "�"]
`},
	} {
		if got := cast(t, session(), test.o); got != strings.TrimPrefix(test.want, "\n") {
			t.Errorf("%s:\n%s\nwant:%s", test.name, got, test.want)
		}
	}
}

func TestEveryLineOfAnExportIsJSON(t *testing.T) {
	s := newScript().terminal(80, 24)
	for i := range 256 {
		s.wait(time.Millisecond).out(string([]byte{byte(i)})).out(string([]byte{0xe0, byte(i)})).out("x")
	}
	for _, v := range []Version{V2, V3} {
		for line := range strings.Lines(cast(t, s, Options{Version: v})) {
			if !json.Valid([]byte(line)) {
				t.Fatalf("version %d: %s", v, line)
			}
		}
	}
}

func TestOutputWithoutATerminalGetsItsCarriageReturns(t *testing.T) {
	s := newScript().request(recording.Client, "exec", "make").out("a\nb\r\n").frame(recording.KindStderr, 1, []byte("c\n"))
	got := cast(t, s, Options{Version: V3})
	for _, want := range []string{`"a\r\nb\r\r\n"`, `"c\r\n"`, `"cols":80,"rows":24`, `"command":"make"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}

func TestVersionsThatDoNotExistAreRefused(t *testing.T) {
	sum, c := session().about(t)
	for _, v := range []Version{0, 1, 4} {
		if err := Asciicast(&bytes.Buffer{}, &list{}, sum, c, Options{Version: v}); err == nil {
			t.Errorf("version %d was written", v)
		}
	}
}
