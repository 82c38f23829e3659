package menu

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/wire"
)

func fleet() []Item {
	return Items([]wire.ReachableNode{
		{Name: "web-2", Labels: map[string]string{"tier": "web", "env": "prod"}, Logins: []wire.ReachableLogin{{Login: "deploy", Roles: []string{"web-deploy"}}}},
		{Name: "db-1", Labels: map[string]string{"tier": "db"}, Logins: []wire.ReachableLogin{{Login: "postgres", Roles: []string{"dba"}}, {Login: "root", Roles: []string{"dba", "admin"}}}},
		{Name: "web-1", Logins: []wire.ReachableLogin{{Login: "deploy", Roles: []string{"web-deploy"}}}},
	})
}

func TestChoose(t *testing.T) {
	for _, test := range []struct{ name, typed, want string }{
		{"Enter takes the first, by node", "\r", "postgres@db-1"},
		{"the arrow goes down", "\x1b[B\r", "root@db-1"},
		{"the other arrow sequence too", "\x1bOB\x1bOB\r", "deploy@web-1"},
		{"down and up again", "\x1b[B\x1b[B\x1b[A\r", "root@db-1"},
		{"nobody falls off the top", "\x1b[A\x1b[A\r", "postgres@db-1"},
		{"nobody falls off the end", "\x1b[B\x1b[B\x1b[B\x1b[B\x1b[B\x1b[B\r", "deploy@web-2"},
		{"End and Page Up", "\x1b[F\x1b[5~\r", "postgres@db-1"},
		{"a search for a name", "web-2\r", "deploy@web-2"},
		{"a search for a label in capitals", "TIER=WEB\r", "deploy@web-2"},
		{"a search for words apart", "db root\r", "root@db-1"},
		{"a search for a role", "admin\r", "root@db-1"},
		{"what was typed is erased", "webx\x7f-1\r", "deploy@web-1"},
		{"a word is erased", "root web-9\x17db\r", "root@db-1"},
		{"all is erased", "nothing\x15\r", "postgres@db-1"},
		{"Ctrl-N is down", "\x0e\r", "root@db-1"},
		{"an unknown sequence is nothing", "\x1b[99;99;99;99;99;99;99;99~\x1b[200~root\r", "root@db-1"},
		{"a key with Alt is nothing", "\x1bx\r", "postgres@db-1"},
		{"other alphabets are not searched for", "\xc3\xa9root\r", "root@db-1"},

		{"Enter on nothing does nothing", "zzz\r", ""},
		{"Ctrl-C leaves", "web\x03\r", ""},
		{"Ctrl-D leaves", "\x04\r", ""},
		{"a channel that ends leaves", "web", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var screen bytes.Buffer
			chosen, ok := New(&screen, fleet(), 80, 24).Choose(strings.NewReader(test.typed))
			if got := chosen.Name(); ok != (test.want != "") || ok && got != test.want {
				t.Errorf("chose %q (%v), want %q", got, ok, test.want)
			}
			if s := screen.String(); !strings.HasPrefix(s, "\x1b[?1049h") || !strings.HasSuffix(s, "\x1b[?25h\x1b[?1049l") {
				t.Error("the screen is not left as it was found")
			}
		})
	}
}

func TestWhatIsTypedBehindTheEnterIsLeft(t *testing.T) {
	in := strings.NewReader("web-1\rls\n")
	New(io.Discard, fleet(), 80, 24).Choose(in)
	if rest, _ := io.ReadAll(in); string(rest) != "ls\n" {
		t.Errorf("%q is left", rest)
	}
}

func TestTheScreen(t *testing.T) {
	items := fleet()
	items = append(items, Items([]wire.ReachableNode{{Name: "x", Labels: map[string]string{"note": "a\x1b[2J\u009bb\u202ec"}, Logins: []wire.ReachableLogin{{Login: "root"}}}})...)
	for _, size := range []struct{ cols, rows int }{{80, 24}, {20, 4}, {1, 1}, {0, 0}, {1 << 30, 1 << 30}} {
		var screen bytes.Buffer
		m := New(&screen, items, size.cols, size.rows)
		m.draw()
		lines := strings.Split(screen.String(), "\r\n")
		if len(lines) > m.rows {
			t.Errorf("%v: %d lines on %d rows", size, len(lines), m.rows)
		}
		for _, l := range lines {
			plain := strings.NewReplacer("\x1b[H", "", "\x1b[K", "", "\x1b[J", "", "\x1b[7m", "", "\x1b[0m", "").Replace(l)
			if strings.ContainsAny(plain, "\x1b\u009b\u202e") {
				t.Errorf("%v: something steers the terminal: %q", size, plain)
			}
			if len([]rune(plain)) >= m.cols {
				t.Errorf("%v: %d columns: %q", size, len([]rune(plain)), plain)
			}
		}
	}
}

func TestAResizeDrawsAgainUntilTheChoice(t *testing.T) {
	var screen bytes.Buffer
	m := New(&screen, fleet(), 80, 24)
	m.Choose(strings.NewReader("\r"))
	n := screen.Len()
	m.Resize(100, 30)
	if screen.Len() != n {
		t.Error("drew over the node's screen")
	}
}

func TestList(t *testing.T) {
	var b bytes.Buffer
	List(&b, fleet(), "\n")
	want := `postgres@db-1  tier=db            dba
root@db-1      tier=db            dba, admin
deploy@web-1                      web-deploy
deploy@web-2   env=prod tier=web  web-deploy
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func FuzzKeys(f *testing.F) {
	for _, seed := range []string{"web\r", "\x1b[A\x1bOB\x1b[5~", "\x1b[", "\x1b\x1b\x1b[200~x", "\x03"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, typed []byte) {
		m := New(io.Discard, fleet(), 40, 8)
		chosen, ok := m.Choose(bytes.NewReader(typed))
		if ok && chosen.Node == "" {
			t.Error("chose nothing")
		}
		if m.at < 0 || m.top < 0 || m.at > 0 && m.at >= len(m.found) {
			t.Error(fmt.Sprintf("at %d from %d of %d", m.at, m.top, len(m.found)))
		}
	})
}
