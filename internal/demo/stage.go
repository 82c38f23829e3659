package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/creack/pty"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// stage prints steps; what fails in the rig ends the demo.
type stage struct {
	*rig.Suite
	out    io.Writer
	dir    string
	colour bool
	steps  int
}

func (s *stage) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// chapter begins a part of the walk.
func (s *stage) chapter(title string, lines ...string) {
	fmt.Fprintf(s.out, "\n%s\n", s.paint("1", "# "+title))
	for _, l := range lines {
		fmt.Fprintf(s.out, "# %s\n", l)
	}
}

// prompt prints a command as its person types it.
func (s *stage) prompt(who, line string) {
	s.steps++
	fmt.Fprintf(s.out, "%s %s\n", s.paint("32", who+"$"), s.paint("1", line))
}

// show prints what came back, indented as it came.
func (s *stage) show(text string) {
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if text != "" {
		fmt.Fprintln(s.out, text)
	}
}

// person is somebody with a shell in the demo.
type person struct {
	*stage
	name string
	home *rig.Home
}

// run types a command line, shows what comes back, and stops the demo unless it
// ends with status and says each of want.
func (p person) run(status int, line string, want ...string) string {
	p.prompt(p.name, line)
	cmd := p.home.Command("sh", "-c", line)
	out, err := cmd.CombinedOutput()
	p.show(string(out))
	if cmd.ProcessState == nil {
		p.Fatalf("%v", err)
	}
	got := cmd.ProcessState.ExitCode()
	if got != 0 {
		p.show(p.paint("2", fmt.Sprintf("(exit status %d)", got)))
	}
	p.expect(string(out), want)
	if got != status {
		p.Fatalf("that should have ended with exit status %d", status)
	}
	return string(out)
}

func (s *stage) expect(out string, want []string) {
	for _, w := range want {
		if !strings.Contains(out, w) {
			s.Fatalf("that should have said %q", w)
		}
	}
}

// terminal opens an interactive command in a terminal, types the lines, each
// after the prompt came back, and shows the screen.
func (p person) terminal(line, shellPrompt string, typed []string, want ...string) {
	p.prompt(p.name, line)
	cmd := p.home.Command("sh", "-c", line)
	cmd.Env = append(cmd.Env, "TERM=dumb")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		p.Fatalf("open a terminal: %v", err)
	}
	defer tty.Close()
	screen := &rig.Log{}
	ended := make(chan struct{})
	go func() { io.Copy(screen, tty); close(ended) }()
	for i, text := range typed {
		rig.Eventually(p, 20*time.Second, "the shell's prompt; the screen is:\n"+screen.String(), func() bool {
			return strings.Count(screen.String(), shellPrompt) > i
		})
		if _, err := io.WriteString(tty, text+"\r"); err != nil {
			p.Fatalf("type: %v", err)
		}
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		p.Fatalf("the session did not end; the screen is:\n%s", screen)
	}
	err = cmd.Wait()
	p.show(screen.String())
	p.expect(screen.String(), want)
	if err != nil {
		p.Fatalf("the session ended with %v", err)
	}
}
