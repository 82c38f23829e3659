package veil

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// A script is keys and output in turn: what begins with < was typed, with > was
// sent by the node, with + is a time that passes.
func play(t *testing.T, script ...string) *memory {
	t.Helper()
	rec := &memory{}
	synctest.Test(t, func(t *testing.T) {
		term := New(rec, 1)
		time.Sleep(time.Minute) // nothing was sent of late
		for _, s := range script {
			var err error
			switch s[0] {
			case '<':
				err = term.Input([]byte(s[1:]))
			case '>':
				err = term.Output([]byte(s[1:]))
			case '+':
				d, _ := time.ParseDuration(s[1:])
				time.Sleep(d)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if rec.wrong != "" {
		t.Error(rec.wrong)
	}
	return rec
}

func TestWhatIsRevealed(t *testing.T) {
	ticking := []string{">\x1b[24;70H12:00:00\x1b[1;8H", "+900ms"}
	for name, test := range map[string]struct {
		script []string
		typed  string
	}{
		"a key that is echoed":                       {[]string{"<l", ">l"}, "l"},
		"a key that is echoed in colour":             {[]string{"<l", ">\x1b[1;32ml\x1b[m"}, "l"},
		"a line that is drawn again":                 {[]string{"<l", ">l", "<s", ">\b\x1b[32mls\x1b[m"}, "ls"},
		"a line that is drawn again, piece by piece": {[]string{"<l", ">l", "<s", ">\b\x1b[32ml\x1b[1ms\x1b[m"}, "ls"},
		"a paste":                                              {[]string{"<ls -la", ">ls -la"}, "ls -la"},
		"a paste between marks":                                {[]string{"<\x1b[200~ls -la\x1b[201~", ">\x1b[7mls -la\x1b[27m"}, "\x1b[200~ls -la\x1b[201~"},
		"a paste of lines":                                     {[]string{"<one\rtwo\r", ">one\r\n$ ", ">two\r\n$ "}, "one\rtwo\r"},
		"an echo in pieces":                                    {[]string{"<make test\r", ">make", "> te", ">st\r\n"}, "make test\r"},
		"an echo that comes late":                              {[]string{"<make test\r", "+20s", ">make test\r\n"}, "make test\r"},
		"what was typed ahead, behind the prompt":              {[]string{"<ls\r", "+5s", ">host$ ls\r\n"}, "ls\r"},
		"a wrapped line":                                       {[]string{"<abc", ">ab", "> \r", ">c"}, "abc"},
		"a rune in two packets":                                {[]string{"<\u4e16", ">\xe4\xb8", ">\x96"}, "\u4e16"},
		"an insertion":                                         {[]string{"<x", ">xyz\b\b"}, "x"},
		"arrows and function keys are in clear":                {[]string{"<\x1b[A\x1bOP\x1b[1;5C\x1b[15~\t\x03"}, "\x1b[A\x1bOP\x1b[1;5C\x1b[15~\t\x03"},
		"a mouse report is in clear":                           {[]string{"<\x1b[<0;10;20M\x1b[M abx"}, "\x1b[<0;10;20M\x1b[M ab_"},
		"silence":                                              {[]string{"<hunter2", "+1s", "<\r", ">\r\nok\r\n"}, "_______\r"},
		"silence, and then the next command":                   {[]string{"<hunter2\r", ">\r\n$ ", "<ls", ">ls", "<\r", ">\r\n"}, "_______\rls\r"},
		"stars":                                                {[]string{"<h", ">*", "<u", ">*", "<n", ">*", "<\r", ">\r\n"}, "___\r"},
		"bullets":                                              {[]string{"<h", ">\u2022", "<u", ">\u2022", "<\r", ">\r\n"}, "__\r"},
		"a star in a password that is shown as stars":          {[]string{"<*", ">*", "<u", ">*", "<*", ">*", "<\r", ">\r\n"}, "___\r"},
		"a star in a command":                                  {[]string{"<l", ">l", "<s", ">s", "< ", "> ", "<*", ">*"}, "ls *"},
		"a blank before a command":                             {[]string{"< ", "> ", "<l", ">l"}, " l"},
		"a prompt that comes after it was typed":               {[]string{"<hunter2", ">Password: ", "<\r", ">\r\n"}, "_______\r"},
		"a clock while a password is typed":                    {append(ticking, "<1", ">\x1b[24;77H1\x1b[1;8H", "<2", ">\x1b[24;77H3\x1b[1;8H", "<3\r", ">\r\n"), "___\r"},
		"a clock while a command is typed":                     {append(ticking, "<l", ">l", "<s", ">s", "<\r", ">\r\n"), "ls\r"},
		"a clock that shows what is typed, after it":           {append(ticking, "<1", "+2s", ">\x1b[24;77H1\x1b[1;8H"), "_"},
		"what a program says that begins with another letter":  {[]string{"<x", ">wall: hello x\r\n"}, "_"},
		"an erased letter":                                     {[]string{"<lx\x7fs\r", ">lx\b \bs\r\n"}, "l_\x7fs\r"},
		"a line that is given up":                              {[]string{"<lx\x15ls\r", ">ls\r\n"}, "__\x15ls\r"},
		"keys that are commands and answered":                  {[]string{"<j", ">\r\x1b[Kline 25\n:\x1b[K", "<j", ">\r\x1b[Kline 26\n:\x1b[K"}, "jj"},
		"a key that is a command, alone":                       {[]string{"<q", ">\r\x1b[K\x1b[?1049l"}, "_"},
		"a command after a silent key":                         {[]string{"<q", ">\x1b[?1049l$ ", "<l", ">l", "<s", ">s", "< ", "> ", "<x", ">x"}, "_ls x"},
		"keys of which one has no answer":                      {[]string{"<a", ">\x1b[H12:01", "<b", "<c", ">\x1b[H12:02", "<d", ">\x1b[H12:03"}, "____"},
		"a screen that is drawn by itself is no answer":        {append(ticking, "<a", ">\x1b[H12:01", "<b", ">\x1b[H12:02"), "__"},
		"silent text is not waited for longer than a minute":   {[]string{"<hunter2\r", ">\r\n", "+61s", ">x", ">hunter2\r\n"}, "_______\r"},
		"what is printed in the middle of a line reveals none": {[]string{"<hunter2\r", ">\r\nyou said hunter2, thanks\r\n"}, "_______\r"},
		"a string from the terminal":                           {[]string{"<\x1b]52;c;aHVudGVyMg==\a", ">x"}, "\x1b]" + strings.Repeat("_", 17) + "\a"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := play(t, test.script...).typed(); got != test.typed {
				t.Errorf("%q, want %q", got, test.typed)
			}
		})
	}
}

func TestAPasteOfManyLinesIsTwoFrames(t *testing.T) {
	var typed, echo strings.Builder
	for i := range 500 {
		fmt.Fprintf(&typed, "echo line %d\r", i)
		fmt.Fprintf(&echo, "echo line %d\r\n", i)
	}
	rec := play(t, "<"+typed.String())
	if len(rec.frames) != 2 {
		t.Errorf("%d frames", len(rec.frames))
	}
	rec = play(t, "<"+typed.String(), ">"+echo.String())
	if rec.typed() != typed.String() {
		t.Errorf("not all is revealed: %q", rec.typed())
	}
}

func TestMuchOutputIsNotHeldAgainstWhatWasTyped(t *testing.T) {
	rec := play(t, "<hunter2\r", ">"+strings.Repeat("a line\r\n", 64<<10), ">hunter2\r\n")
	if got := rec.typed(); got != "_______\r" {
		t.Errorf("%q", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	rec := &memory{}
	term := New(rec, 1)
	for range 100 {
		term.Input(bytes.Repeat([]byte("silent "), 5000))
	}
	if n := len(term.pending.text); n > maxPending {
		t.Errorf("%d bytes are pending", n)
	}
	for range 2 * maxLines {
		term.Input([]byte("x\r"))
	}
	if n := len(term.pending.lines); n > maxLines {
		t.Errorf("%d lines are pending", n)
	}
}

// failing is a recorder that fails at its n-th frame.
type failing struct {
	*memory
	left int
}

var errFull = errors.New("disk full")

func (f *failing) step() error {
	if f.left--; f.left < 0 {
		return errFull
	}
	return nil
}

func (f *failing) Append(kind recording.Kind, channel uint32, b []byte) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.memory.Append(kind, channel, b)
}

func (f *failing) Veiled(channel uint32, b []byte) (uint64, error) {
	if err := f.step(); err != nil {
		return 0, err
	}
	return f.memory.Veiled(channel, b)
}

func (f *failing) Reveal(channel uint32, runs []recording.Run) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.memory.Reveal(channel, runs)
}

func TestARecorderThatFailsIsHeard(t *testing.T) {
	steps := []string{"<ls\r", ">ls\r\n", "<a\rb\rc\rd\re\rf\r", ">a\r\nb\r\n"}
	whole := play(t, steps...)
	for n := range len(whole.frames) {
		f := &failing{&memory{}, n}
		term := New(f, 1)
		var err error
		for _, s := range steps {
			if s[0] == '<' {
				err = term.Input([]byte(s[1:]))
			} else {
				err = term.Output([]byte(s[1:]))
			}
			if err != nil {
				break
			}
		}
		if err != errFull {
			t.Errorf("frame %d: %v", n, err)
		}
	}
}

// FuzzVeil: whatever is typed and sent, nothing is lost or out of order, nothing
// is revealed that was not typed, and in how many pieces it comes is all the same
// to the bytes.
func FuzzVeil(f *testing.F) {
	f.Add([]byte("ls\r"), []byte("ls\r\nx"), uint64(1))
	f.Add([]byte("\x1b[A\x1b]52;c;x\a\x1b[M abc"), []byte("\x1b[H\x1b[31ml"), uint64(2))
	f.Add([]byte("a\x7fb\x15c\u4e16\x03"), []byte("a\b \bb\xe4\xb8\x96*"), uint64(3))
	f.Fuzz(func(t *testing.T, in, out []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		rec := &memory{}
		term := New(rec, 1)
		for rest, sent := in, out; len(rest)+len(sent) > 0; {
			if n := r.IntN(len(rest) + 1); n > 0 {
				if err := term.Input(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if n := r.IntN(len(sent) + 1); n > 0 {
				if err := term.Output(sent[:n]); err != nil {
					t.Fatal(err)
				}
				sent = sent[n:]
			}
			sum := 0
			for _, l := range term.pending.lines {
				if l.size <= 0 || l.from > l.shown || l.shown > l.size || l.key > l.size {
					t.Fatalf("a line that cannot be: %+v", l)
				}
				sum += l.size
			}
			pieces := 0
			for _, p := range term.pending.pieces {
				pieces += p.size
			}
			if sum != len(term.pending.text) || sum != pieces {
				t.Fatalf("%d bytes are pending in lines, %d in pieces, %d in all", sum, pieces, len(term.pending.text))
			}
		}
		if rec.wrong != "" {
			t.Fatal(rec.wrong)
		}
		if got := rec.all(recording.KindInput, recording.KindVeiled); !bytes.Equal(got, in) {
			t.Fatalf("recorded input %q, want %q", got, in)
		}
		if got := rec.all(recording.KindOutput); !bytes.Equal(got, out) {
			t.Fatalf("recorded output %q, want %q", got, out)
		}
	})
}

// none is a recorder that costs nothing.
type none struct{ n uint64 }

func (*none) Append(recording.Kind, uint32, []byte) error { return nil }
func (n *none) Veiled(uint32, []byte) (uint64, error)     { n.n++; return n.n, nil }
func (*none) Reveal(uint32, []recording.Run) error        { return nil }

func BenchmarkKeystroke(b *testing.B) {
	term := New(&none{}, 1)
	key := []byte("x")
	for b.Loop() {
		term.Input(key)
		term.Output(key)
	}
}

func BenchmarkOutput(b *testing.B) {
	line := bytes.Repeat([]byte("\x1b[32m-rw-r--r--\x1b[m 1 root root 4096 file\r\n"), 100)
	for _, pending := range []string{"", "hunter2\r"} {
		b.Run("pending "+strings.TrimSpace(pending), func(b *testing.B) {
			term := New(&none{}, 1)
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				if pending != "" {
					term.Input([]byte(pending))
				}
				term.Output(line)
			}
		})
	}
}
