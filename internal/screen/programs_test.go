package screen

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

const (
	testCols = 80
	testRows = 24
)

// step is what somebody does at a terminal: the keys, after the screen shows the
// text.
type step struct{ shows, keys string }

// programs run at a terminal; what they sent is looked at after every step.
var programs = []struct {
	name, pkg string
	command   []string
	steps     []step
}{
	{"vim", "vim", []string{"vim", "-u", "NONE", "-N", "-c", "set number hlsearch", "text"}, []step{
		{"line 12 ", "/line 1\n"}, {"line 10 ", ":split\n"}, {"text", "\x04"}, {"line 3", "10Goh\u00e9llo \u4e16\u754c \U0001F600\x1b"}, {"h\u00e9llo", "\x1b:q\n"}, {"h\u00e9llo", ""},
	}},
	{"less", "less", []string{"less", "-N", "text"}, []step{{"line 12 ", " "}, {"line 40 ", "/5\n"}, {"line 25 ", "b"}, {"line 12 ", "G"}, {"line 200", ""}}},
	{"top", "procps", []string{"top", "-d", "1"}, []step{{"PID", ""}}},
	{"tmux", "tmux", []string{"tmux", "-f", "/dev/null", "-L", "inner", "new-session", "sh"}, []step{
		{">", "\x02%"}, {"\u2502", "ls /\n"}, {"etc", "\x02\""}, {"\u2500\u2500", "seq 40\n"}, {"40", ""},
	}},
	{"bash", "bash", []string{"bash", "--norc", "-i"}, []step{
		{">", "seq 30; printf '\\e[44mblue\\e[m'\n"}, {"blue>", "echo \u4e16\u754c\u4e16\u754c" + strings.Repeat("x", 80)}, {"xxx", "\x01\x06\x06\x06"}, {"xxx", ""},
	}},
}

func TestScreenOfRealProgramsIsThatOfTmux(t *testing.T) {
	oracle := newTmux(t)
	dir := t.TempDir()
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "this is line %d of a text\twith a tab\n", i+1)
	}
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			rig.Need(t, p.command[0], p.pkg)
			run := start(t, dir, p.command)
			for i, s := range p.steps {
				run.wait(t, s.shows)
				sent := run.sent()
				ours := New(testCols, testRows)
				ours.Write(sent)
				same(t, ours)
				want := oracle.draw(t, sent)
				equalLines(t, fmt.Sprintf("step %d", i), ours.Lines(), want)
				// The snapshot draws the same in another terminal.
				equalLines(t, fmt.Sprintf("snapshot of step %d", i), ours.Lines(), oracle.draw(t, ours.Snapshot()))
				if ours.Alternate() != strings.Contains(want.flags, "1") {
					t.Errorf("step %d: alternate screen %v, tmux %q", i, ours.Alternate(), want.flags)
				}
				c := ours.cursor
				if at := fmt.Sprintf("%d,%d", c.x, c.y); at != want.cursor {
					t.Errorf("step %d: cursor at %s, tmux has it at %s", i, at, want.cursor)
				}
				io.WriteString(run.pty, s.keys)
			}
		})
	}
}

func equalLines(t *testing.T, when string, got []string, want drawn) {
	t.Helper()
	for y := range got {
		if y >= len(want.lines) || got[y] != want.lines[y] {
			t.Fatalf("%s, line %d: %q, tmux has %q\nall: %q\ntmux: %q", when, y, got[y], want.lines[min(y, len(want.lines)-1)], got, want.lines)
		}
	}
}

// terminal is a program on a pty.
type terminal struct {
	pty *os.File
	mu  sync.Mutex
	out bytes.Buffer
}

func start(t *testing.T, dir string, command []string) *terminal {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"TERM=xterm-256color", "LANG=C.UTF-8", "PS1=> ", "SHELL=/bin/sh", "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TMUX_TMPDIR=" + dir}
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: testCols, Rows: testRows})
	if err != nil {
		t.Fatal(err)
	}
	r := &terminal{pty: f}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			r.mu.Lock()
			r.out.Write(buf[:n])
			r.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		if command[0] == "tmux" {
			kill := exec.Command("tmux", "-L", "inner", "kill-server")
			kill.Env = cmd.Env
			kill.Run()
		}
		cmd.Process.Kill()
		cmd.Wait()
		f.Close()
		<-done
	})
	return r
}

func (r *terminal) sent() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.out.Bytes())
}

// wait waits until the screen shows text and nothing has come for a while.
func (r *terminal) wait(t *testing.T, text string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for last := -1; ; {
		sent := r.sent()
		s := New(testCols, testRows)
		s.Write(sent)
		if len(sent) == last && strings.Contains(strings.Join(s.Lines(), "\n"), text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the screen does not show %q:\n%s", text, strings.Join(s.Lines(), "\n"))
		}
		last = len(sent)
		<-time.After(150 * time.Millisecond)
	}
}

// tmux is another implementation of a terminal.
type tmux struct{ path, dir string }

// drawn is what tmux shows.
type drawn struct {
	lines  []string
	cursor string
	flags  string
}

func newTmux(t *testing.T) *tmux {
	m := &tmux{rig.Need(t, "tmux", "tmux"), t.TempDir()}
	t.Cleanup(func() { m.command("kill-server").Run() })
	// The server ends with its last session.
	if out, err := m.command("new-session", "-d", "sleep 1000").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return m
}

func (m *tmux) command(args ...string) *exec.Cmd {
	cmd := exec.Command(m.path, append([]string{"-u", "-f", "/dev/null", "-L", "oracle"}, args...)...)
	cmd.Env = []string{"TERM=xterm-256color", "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH"), "TMUX_TMPDIR=" + m.dir, "HOME=" + m.dir}
	return cmd
}

// draw has tmux draw bytes in a pane, and returns what it shows.
func (m *tmux) draw(t *testing.T, b []byte) drawn {
	t.Helper()
	file := filepath.Join(m.dir, "bytes")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("stty raw -echo; cat %s; %s -L oracle wait-for -S drawn; sleep 1000", file, m.path)
	if out, err := m.command("new-session", "-d", "-s", "s", "-x", fmt.Sprint(testCols), "-y", fmt.Sprint(testRows), script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := m.command("wait-for", "drawn").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var d drawn
	for deadline := time.Now().Add(5 * time.Second); ; { // the pane has written; the server may still read
		out, err := m.command("capture-pane", "-p", "-t", "s").Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		for i := range lines {
			lines[i] = strings.TrimRight(lines[i], " ")
		}
		same := len(lines) == len(d.lines)
		for i := 0; same && i < len(lines); i++ {
			same = lines[i] == d.lines[i]
		}
		d.lines = lines
		if same || time.Now().After(deadline) {
			break
		}
		<-time.After(30 * time.Millisecond)
	}
	out, err := m.command("display-message", "-p", "-t", "s", "#{cursor_x},#{cursor_y} #{alternate_on}").Output()
	if err != nil {
		t.Fatal(err)
	}
	d.cursor, d.flags, _ = strings.Cut(strings.TrimSpace(string(out)), " ")
	// Where a line waits for its wrap, tmux counts a column more.
	d.cursor = strings.Replace(d.cursor, fmt.Sprint(testCols, ","), fmt.Sprint(testCols-1, ","), 1)
	if out, err := m.command("kill-session", "-t", "s").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return d
}
