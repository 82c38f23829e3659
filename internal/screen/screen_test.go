package screen

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestWhatAScreenShows(t *testing.T) {
	for name, test := range map[string]struct {
		in   string
		want string // the first lines, of 10 columns and 4 rows
	}{
		"text is wrapped when the next character comes":        {"0123456789ab", "0123456789|ab"},
		"a full line waits for the next character":             {"0123456789\r\nx", "0123456789|x"},
		"without autowrap the last column is overwritten":      {"\x1b[?7l0123456789abc", "012345678c"},
		"a wide character does not hang over the edge":         {"012345678世", "012345678|世"},
		"half of a wide character takes the other half along":  {"世\x1b[1;2Hx", " x"},
		"a combining character joins the one before":           {"e\u0301x", "e\u0301x"},
		"a rune may come byte by byte":                         {"\xe4" + "\xb8" + "\x96", "世"},
		"what is no UTF-8 becomes U+FFFD":                      {"a\xffb\xe4\xb8c", "a\ufffdb\ufffdc"},
		"a sequence ends a rune":                               {"\xe4\x1b[mx", "\ufffdx"},
		"line drawing":                                         {"\x1b(0lqk\x1b(Bq", "┌─┐q"},
		"line drawing by shift out":                            {"\x1b)0\x0ex\x0fx", "│x"},
		"lines scroll at the bottom":                           {"a\r\nb\r\nc\r\nd\r\ne", "b|c|d|e"},
		"lines scroll within margins":                          {"a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[3;1H\nx", "a|c|x|d"},
		"reverse index scrolls down":                           {"a\r\nb\x1b[H\x1bMx", "x|a|b"},
		"lines are inserted":                                   {"a\r\nb\r\nc\x1b[2;1H\x1b[Lx", "a|x|b|c"},
		"lines are removed":                                    {"a\r\nb\r\nc\x1b[2;1H\x1b[M", "a|c"},
		"characters are inserted":                              {"abc\x1b[1;2H\x1b[2@xy", "axybc"},
		"characters are removed":                               {"abcd\x1b[1;2H\x1b[2P", "ad"},
		"characters are erased":                                {"abcd\x1b[1;2H\x1b[2X", "a  d"},
		"insert mode":                                          {"abc\x1b[H\x1b[4hxy", "xyabc"},
		"the line is erased from the cursor on":                {"abcd\x1b[1;3H\x1b[K", "ab"},
		"the screen is erased up to the cursor":                {"ab\r\ncd\x1b[2;1H\x1b[1J", "| d"},
		"tab stops are every eight columns":                    {"\tx", "        x"},
		"tab stops are set and cleared":                        {"\x1b[3g\x1b[4G\x1bH\r\tx", "   x"},
		"the cursor is saved and restored":                     {"ab\x1b7\r\ncd\x1b8x", "abx|cd"},
		"the alternate screen is another, and leaves nothing":  {"ab\x1b[?1049hvim\x1b[?1049lc", "abc"},
		"the alternate screen is blank":                        {"ab\x1b[?1049h\x1b[Hvim", "vim"},
		"origin mode counts from the margin":                   {"\x1b[2;3r\x1b[?6h\x1b[1;1Hx", "|x"},
		"left and right margins":                               {"\x1b[?69h\x1b[3;5s\x1b[1;3Habcd", "  abc|  d"},
		"left and right margins scroll alone":                  {"aaaa\r\nbbbb\x1b[?69h\x1b[2;3s\x1b[1;1H\x1b[S", "abba|b  b"},
		"a character is repeated":                              {"ab\x1b[3b", "abbbb"},
		"a rectangle is filled":                                {"\x1b[120;1;2;2;4$x", " xxx| xxx"},
		"strings are left out":                                 {"a\x1b]0;title\ab\x1bPq#0~\x1b\\c\x1b]8;;x\x1b\\d", "abcd"},
		"a string that is called off":                          {"a\x1b]0;ti\x18b", "ab"},
		"questions are left out":                               {"\x1b[c\x1b[6n\x1b[>q\x05x", "x"},
		"a control character within a sequence is carried out": {"ab\x1b[1\r0Cx", "ab       x"},
		"a reset": {"abc\x1b[1m\x1bcx", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(10, 4)
			s.Write([]byte(test.in))
			if got := strings.TrimRight(strings.Join(s.Lines(), "|"), "|"); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			same(t, s)
		})
	}
}

func TestColoursAndAttributes(t *testing.T) {
	for in, want := range map[string]style{
		"\x1b[1;31m":                      {attr: bold, fg: indexed | 1},
		"\x1b[1;31m\x1b[m":                {},
		"\x1b[38;5;200;48;2;1;2;3m":       {fg: indexed | 200, bg: direct | 0x010203},
		"\x1b[38:5:200m\x1b[48:2::1:2:3m": {fg: indexed | 200, bg: direct | 0x010203},
		"\x1b[48:2:1:2:3m":                {bg: direct | 0x010203},
		"\x1b[97;100m":                    {fg: indexed | 15, bg: indexed | 8},
		"\x1b[4:3;58;5;9m":                {attr: 3 * underline, line: indexed | 9},
		"\x1b[4m\x1b[24;7;53m":            {attr: reverse | overline},
		"\x1b[38;5;999mx\x1b[3m":          {attr: italic},
		"\x1b[38;2;1m":                    {},
		"\x1b[>4;1m\x1b[?4m":              {},
	} {
		s := New(10, 4)
		s.Write([]byte(in))
		if s.cursor.style != want {
			t.Errorf("%q: %+v, want %+v", in, s.cursor.style, want)
		}
		same(t, s)
	}
}

func TestSizesThatNoTerminalHas(t *testing.T) {
	for in, want := range map[[2]int][2]int{
		{0, 0}:             {80, 24},
		{1, 1}:             {2, 1},
		{-5, -5}:           {80, 24},
		{1 << 31, 1 << 31}: {maxCols, maxCells / maxCols},
		{200, 1 << 20}:     {200, 512},
		{4294967295, 24}:   {maxCols, 24},
	} {
		s := New(in[0], in[1])
		if cols, rows := s.Size(); cols != want[0] || rows != want[1] {
			t.Errorf("%v: %dx%d, want %v", in, cols, rows, want)
		}
		s.Resize(in[1], in[0])
		s.Write([]byte("\x1b[999;999Hx\x1b[999b"))
		if what := sound(s); what != "" {
			t.Errorf("%v: %s", in, what)
		}
	}
}

func TestResize(t *testing.T) {
	s := New(10, 4)
	s.Write([]byte("a\r\nb\r\nc\r\nd世世世"))
	s.Resize(4, 2)
	if got := strings.Join(s.Lines(), "|"); got != "c|d世" {
		t.Errorf("%q", got)
	}
	same(t, s)
	s.Resize(8, 3)
	s.Write([]byte("x"))
	if got := strings.Join(s.Lines(), "|"); got != "c|d世x|" {
		t.Errorf("%q", got)
	}
	same(t, s)
}

// same checks that a snapshot makes the same screen.
func same(t *testing.T, s *Screen) {
	t.Helper()
	if what := sound(s); what != "" {
		t.Fatal(what)
	}
	snapshot := s.Snapshot()
	other := New(s.Size())
	other.Write(snapshot)
	if what := differ(s, other); what != "" {
		t.Fatalf("a snapshot makes another screen: %s\n%q", what, snapshot)
	}
}

// pieces are what terminals are sent, and what they should not be.
var pieces = []string{
	"a", "b c", "hello, world", "世", "界世", "e\u0301", "\u200d", "😀", "\xff", "\xe4\xb8", "\xc2\x9b", "\r", "\n", "\r\n", "\b", "\t", "\x0e", "\x0f", "\x00", "\x7f", "\a",
	"\x1b", "\x1b[", "\x1b]", "\x1bP", "\x1b\\", "\x18", "\x1b7", "\x1b8", "\x1bD", "\x1bE", "\x1bM", "\x1bH", "\x1bc", "\x1b=", "\x1b>", "\x1bn", "\x1bo",
	"\x1b(0", "\x1b(B", "\x1b)0", "\x1b*A", "\x1b+Z", "\x1b#8",
	"\x1b[H", "\x1b[2;3H", "\x1b[99;99H", "\x1b[A", "\x1b[2B", "\x1b[3C", "\x1b[2D", "\x1b[E", "\x1b[F", "\x1b[5G", "\x1b[3d", "\x1b[I", "\x1b[Z",
	"\x1b[J", "\x1b[1J", "\x1b[2J", "\x1b[K", "\x1b[1K", "\x1b[2K", "\x1b[L", "\x1b[2M", "\x1b[@", "\x1b[2P", "\x1b[3X", "\x1b[S", "\x1b[2T", "\x1b[4b", "\x1b[g", "\x1b[3g",
	"\x1b[m", "\x1b[1;31m", "\x1b[44m", "\x1b[38;5;100m", "\x1b[48;2;9;8;7m", "\x1b[4:3m", "\x1b[7m",
	"\x1b[2;4r", "\x1b[r", "\x1b[3;9s", "\x1b[s", "\x1b[u", "\x1b[!p", "\x1b[4 q", "\x1b[65;2;2;4;7$x", "\x1b[2;2;4;7$z",
	"\x1b[4h", "\x1b[4l", "\x1b[20h", "\x1b[?1h", "\x1b[?5h", "\x1b[?6h", "\x1b[?6l", "\x1b[?7l", "\x1b[?7h", "\x1b[?25l", "\x1b[?47h", "\x1b[?47l", "\x1b[?69h", "\x1b[?69l",
	"\x1b[?1000h", "\x1b[?1006h", "\x1b[?1004h", "\x1b[?1047h", "\x1b[?1048h", "\x1b[?1048l", "\x1b[?1049h", "\x1b[?1049l", "\x1b[?2004h", "\x1b[?1;25;2004h",
	"\x1b[99999999999999;1H", "\x1b[;;;H", "\x1b[1:2H", "\x1b[?<H", "\x1b[ $z",
}

func TestASnapshotMakesTheSameScreen(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := New(2+r.IntN(20), 1+r.IntN(8))
		var said strings.Builder
		for range 1 + r.IntN(60) {
			p := pieces[r.IntN(len(pieces))]
			said.WriteString(p)
			s.Write([]byte(p))
		}
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { same(t, s) }) {
			t.Fatalf("%dx%d: %q", s.cols, s.rows, said.String())
		}
	}
}

func FuzzScreen(f *testing.F) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		var b strings.Builder
		for range 30 {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		f.Add([]byte(b.String()), uint8(r.IntN(30)), uint8(r.IntN(10)), r.IntN(b.Len()))
	}
	f.Fuzz(func(t *testing.T, b []byte, cols, rows uint8, cut int) {
		s := New(int(cols), int(rows))
		cut = min(max(cut, 0), len(b))
		s.Write(b[:cut])
		same(t, s)

		// Going on after a snapshot is going on.
		other := New(s.Size())
		other.Write(s.Snapshot())
		s.Write(b[cut:])
		other.Write(b[cut:])
		if what := differ(s, other); what != "" {
			t.Fatalf("after a snapshot at %d the rest makes another screen: %s", cut, what)
		}
		// Bytes make the same screen in whatever pieces they come.
		whole := New(int(cols), int(rows))
		whole.Write(b)
		if what := differ(s, whole); what != "" {
			t.Fatalf("cut at %d: %s", cut, what)
		}
		s.Resize(int(rows), int(cols))
		same(t, s)
	})
}
