package export

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

func TestTranscripts(t *testing.T) {
	for _, test := range []struct{ name, out, want string }{
		{"lines", "one\r\ntwo\r\n", "one\ntwo\n"},
		{"a last line without an end", "one\r\n$ ", "one\n$\n"},
		{"empty lines", "a\r\n\r\nb\r\n", "a\n\nb\n"},
		{"colours and titles", "\x1b]0;title\x07\x1b[01;32mgreen\x1b[00m\r\n", "green\n"},
		{"a typing error and backspace", "$ lx\b\x1b[Ks\r\n", "$ ls\n"},
		{"a line that is written over", "10%\r50%\r100%\r\n", "100%\n"},
		{"a shorter line over a longer one", "100 files\rdone\x1b[K\r\n", "done\n"},
		{"a character inserted in the middle", "$ ehco\b\b\b\x1b[P\x1b[C\x1b[@h\r\n", "$ echo\n"},
		{"tabs", "a\tb\r\n", "a       b\n"},
		{"a rune over two pieces is whole", "caf\xc3|\xa9\r\n", "café\n"},
		{"no UTF-8", "\xff!\r\n", "\ufffd!\n"},
		{"a full-screen program", "$ vim\r\n\x1b[?1049h\x1b[2J\x1b[Hsecret screen\r\n\x1b[?1049l$ \r\n", "$ vim\n[full screen]\n[end of full screen]\n$\n"},
		{"a cleared screen", "half a line\x1b[H\x1b[2Jnew\r\n", "half a line\nnew\n"},
		{"what would command a terminal", "\x1b[6n\x1bP$qm\x1b\\\x1b_x\x1b\\\x05\x1b]52;c;eA==\x1b\\safe\x7f\r\n", "safe\n"},
		{"a sequence over two pieces", "\x1b[3|1mred\r\n", "red\n"},
		{"a sequence without an end", "\x1b[" + strings.Repeat("1;", 500) + "mx\r\n", "x\n"},
		{"a line that never ends", strings.Repeat("x", maxColumn+1), strings.Repeat("x", maxColumn) + "\nx\n"},
		{"right to left override", "a\u202eb\r\n", "ab\n"},
	} {
		s := newScript().terminal(80, 24)
		for piece := range strings.SplitSeq(test.out, "|") {
			s.wait(time.Second).out(piece)
		}
		sum, c := s.about(t)
		var out bytes.Buffer
		if err := Transcript(&out, &list{s.frames}, sum, c, Times{Zone: time.UTC}); err != nil {
			t.Fatal(err)
		}
		const head = "session 7kq2-m9x4d  you@example.com  deploy@web-1  2026-03-02 14:02:11 UTC\nchannel 1: shell\n\n"
		if got, ok := strings.CutPrefix(out.String(), head); !ok || got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestATranscriptTellsTimeAndStatus(t *testing.T) {
	s := newScript().request(recording.Client, "exec", "make").wait(2 * time.Second).out("go").wait(time.Second).out("ne\n")
	s.frame(recording.KindStderr, 1, []byte("oops")).request(recording.Node, "exit-status", 2)
	sum, c := s.about(t)
	var out bytes.Buffer
	if err := Transcript(&out, &list{s.frames}, sum, c, Times{Zone: time.UTC, Shown: true}); err != nil {
		t.Fatal(err)
	}
	want := "channel 1: exec make\n\n14:02:13  gone\n14:02:14  oops\n14:02:14  [exit status 2]\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// TestATranscriptTellsWhatNoScreenShowed behind the line in which it happened.
func TestATranscriptTellsWhatNoScreenShowed(t *testing.T) {
	s := newScript().terminal(80, 24).wait(time.Second).out("Password: ").frame(recording.KindVeiled, 1, []byte("hunter2"))
	s.frame(recording.KindInput, 1, []byte("\r")).wait(time.Second).out("\r\n$ ").frame(recording.KindVeiled, 1, []byte("ls"))
	n := uint64(len(s.frames) - 1)
	s.out("ls").frame(recording.KindReveal, 1, recording.AppendReveal(nil, []recording.Run{{Frame: n, Bytes: []byte("ls")}}))
	s.frame(recording.KindInput, 1, []byte("\r")).out("\r\n").wait(time.Second)
	s.event(recording.KindFile, 1, recording.FileOp{Op: "write", Path: []byte("/srv/\x1bx"), Write: 4})
	s.event(recording.KindTransfer, 1, recording.Transfer{Tool: "sftp", Files: 1})
	sum, c := s.about(t)
	var out bytes.Buffer
	if err := Transcript(&out, &list{s.frames}, sum, c, Times{Zone: time.UTC}); err != nil {
		t.Fatal(err)
	}
	want := "Password:\n[7 bytes typed without echo]\n$ ls\n[write \"/srv/\\x1bx\", wrote 4 bytes]\n[sftp: 0 bytes from the client, 0 bytes from the node, files: 1]\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("%q, want %q", out.String(), want)
	}
	got := cast(t, s, Options{Version: V2, Input: true})
	for _, want := range []string{`[1.000000, "m", "7 bytes typed without echo"]`, `[2.000000, "i", "ls"]`, `"m", "write \"/srv/\\x1bx\", wrote 4 bytes"]`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "hunter2") {
		t.Error("the password is in it")
	}
}

// FuzzExports: whatever a node prints, an export is text in valid UTF-8, and a
// transcript holds nothing that commands a terminal.
func FuzzExports(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b[m\r\n"), []byte("caf\xc3"))
	f.Add([]byte("\x1b]0;x"), []byte("\x07\x1b[?1049h\x9b\xc2\x9b"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s := newScript().terminal(80, 24).out(string(a)).frame(recording.KindStderr, 1, b).out(string(b))
		sum, c := s.about(t)
		var out bytes.Buffer
		if err := Transcript(&out, &list{s.frames}, sum, c, Times{Zone: time.UTC}); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(out.String(), func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r <= 0x9f }); i >= 0 {
			t.Fatalf("control character at %d of %q", i, out.String())
		}
		if err := Asciicast(&out, &list{s.frames}, sum, c, Options{Version: V3}); err != nil {
			t.Fatal(err)
		}
	})
}
