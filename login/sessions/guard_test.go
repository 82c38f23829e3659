package sessions

import (
	"bytes"
	"strings"
	"testing"
)

func TestWhatReachesTheAuditorsTerminal(t *testing.T) {
	for _, same := range []string{
		"plain text, caf\xc3\xa9, \xe2\x82\xac, \xf0\x9f\x98\x80\r\n\t\b\a",
		"\x1b[1;31mred\x1b[m\x1b[38;5;12mblue\x1b[0m",
		"\x1b[2J\x1b[H\x1b[10;20H\x1b[K\x1b[3A\x1b[2P\x1b[4@\x1b[1;36r",
		"\x1b[?1049h\x1b[?25l\x1b[?1h\x1b=\x1b[?12;25h\x1b[?1049l\x1b>",
		"\x1b7\x1b8\x1bM\x1b(B\x1b(0\x1b[!p\x1b[2 q\x1b[4h",
		"\xc2", "\xc2\xa9", "\xff\xfe",
	} {
		if got := guarded(same); got != same && got+"\xc2" != same {
			t.Errorf("%q became %q", same, got)
		}
	}
	for name, hostile := range map[string]string{
		"clipboard":                    "\x1b]52;c;cm0gLXJmIC8K\x07",
		"clipboard, ended by ST":       "\x1b]52;c;cm0gLXJmIC8K\x1b\\",
		"window's title":               "\x1b]0;rm -rf /\x07",
		"title's report":               "\x1b[21t",
		"window's size":                "\x1b[8;10;10t",
		"who are you":                  "\x1b[c\x1b[>c\x1b[=c\x1bZ\x05",
		"where is the cursor":          "\x1b[6n\x1b[?6n",
		"what is this mode":            "\x1b[?25$p\x1b[4$p",
		"what is this setting":         "\x1bP$qm\x1b\\",
		"version":                      "\x1b[>q",
		"keyboard protocol":            "\x1b[?u\x1b[>1u",
		"checksum of the screen":       "\x1b[1;1;1;1;24;80*y",
		"printer":                      "\x1b[5i\x1b[4i",
		"mouse reports":                "\x1b[?1000h\x1b[?1006h\x1b[?1002;1006h\x1b[?9h",
		"focus reports":                "\x1b[?1004h",
		"marks around pasted text":     "\x1b[?2004h",
		"another coding":               "\x1b%@\x1b%G\x1b F\x1b G",
		"graphics":                     "\x1b_Gf=100;AAAA\x1b\\\x1bPq#0~\x1b\\",
		"a link":                       "\x1b]8;;file:///etc/passwd\x07\x1b]8;;\x07",
		"a CSI spelt in two bytes":     "\xc2\x9b",
		"a string that never ends":     "\x1b]52;c;" + strings.Repeat("A", 5000),
		"a sequence that is too long":  "\x1b[" + strings.Repeat("1;", 500) + "c",
		"a string broken by a control": "\x1b]52;c;eA==\r\n\x07",
	} {
		if got := guarded(hostile); got != "" {
			t.Errorf("%s: %q", name, got)
		}
		// Cut anywhere it is as harmless, and what follows still arrives.
		for i := range len(hostile) {
			if got := guarded(hostile[:i], hostile[i:]); strings.ContainsAny(got, "\x1b\x05\x9b") {
				t.Errorf("%s, cut at %d: %q", name, i, got)
			}
		}
	}
	if got := guarded("a\x1b]52;c;x\x07b\x1b[6nc"); got != "abc" {
		t.Errorf("%q", got)
	}
}

// guarded is what of pieces passes a guard.
func guarded(pieces ...string) string {
	var out bytes.Buffer
	g := newGuard(&out)
	for _, p := range pieces {
		g.Write([]byte(p))
	}
	return out.String()
}

// FuzzGuard: nothing passes that would not pass again, in whatever pieces it
// comes.
func FuzzGuard(f *testing.F) {
	f.Add([]byte("\x1b[1mx\x1b]52;c;eA==\x07"), 5)
	f.Add([]byte("\x1b[\x1b[6n"), 2)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = min(max(cut, 0), len(b))
		once := guarded(string(b[:cut]), string(b[cut:]))
		if whole := guarded(string(b)); whole != once {
			t.Fatalf("%q: in pieces %q, in one %q", b, once, whole)
		}
		if again := guarded(once); again != once && again+"\xc2" != once {
			t.Fatalf("%q passed, and then %q", once, again)
		}
	})
}
