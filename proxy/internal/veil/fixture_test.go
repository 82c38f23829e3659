package veil

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/screen"
)

// memory is a recorder that keeps frames, and checks what is revealed.
type memory struct {
	mu      sync.Mutex
	frames  []recording.Frame
	shown   map[uint64][]bool // of the veiled frames: which bytes were revealed
	wrong   string
	reveals int
}

func (m *memory) Append(kind recording.Kind, channel uint32, payload []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.append(kind, channel, payload)
	return nil
}

func (m *memory) append(kind recording.Kind, channel uint32, payload []byte) uint64 {
	n := uint64(len(m.frames)) + 1 // 0 is the session's
	m.frames = append(m.frames, recording.Frame{Number: n, Channel: channel, Kind: kind, Payload: bytes.Clone(payload)})
	return n
}

func (m *memory) Veiled(channel uint32, typed []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shown == nil {
		m.shown = map[uint64][]bool{}
	}
	n := m.append(recording.KindVeiled, channel, typed)
	m.shown[n] = make([]bool, len(typed))
	return n, nil
}

func (m *memory) Reveal(channel uint32, runs []recording.Run) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reveals++
	f := recording.Frame{Number: uint64(len(m.frames)) + 1, Payload: recording.AppendReveal(nil, runs)}
	if back, err := recording.ParseReveal(f); err != nil || len(back) != len(runs) {
		m.wrong = "a reveal that no reader takes"
	}
	for _, r := range runs {
		shown := m.shown[r.Frame]
		for i, c := range r.Bytes {
			at := r.Offset + i
			switch {
			case at >= len(shown):
				m.wrong = "a reveal of what was not typed"
			case shown[at]:
				m.wrong = "a reveal of what was revealed"
			case m.frames[r.Frame-1].Payload[at] != c:
				m.wrong = "a reveal of something else"
			default:
				shown[at] = true
			}
		}
	}
	m.append(recording.KindReveal, channel, f.Payload)
	return nil
}

// typed is the input with a low line for every byte that is still veiled.
func (m *memory) typed() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, f := range m.frames {
		switch f.Kind {
		case recording.KindInput:
			b.Write(f.Payload)
		case recording.KindVeiled:
			for i, c := range f.Payload {
				if !m.shown[f.Number][i] {
					c = '_'
				}
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

// all is what was recorded of one direction.
func (m *memory) all(kinds ...recording.Kind) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b []byte
	for _, f := range m.frames {
		for _, k := range kinds {
			if f.Kind == k {
				b = append(b, f.Payload...)
			}
		}
	}
	return b
}

// session is a program at a real terminal, behind a Terminal.
type session struct {
	t        *testing.T
	rec      *memory
	terminal *Terminal
	pty      *os.File
	mu       sync.Mutex
	screen   *screen.Screen
	last     time.Time
}

func run(t *testing.T, command ...string) *session {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"TERM=xterm-256color", "LANG=C.UTF-8", "PS1=prompt> ", "SHELL=/bin/bash", "HOME=" + dir, "TMUX_TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 80, Rows: 24})
	if err != nil {
		t.Fatal(err)
	}
	rec := &memory{}
	s := &session{t: t, rec: rec, terminal: New(rec, 1), pty: f, screen: screen.New(80, 24)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			if err != nil {
				return
			}
			s.terminal.Output(buf[:n])
			s.mu.Lock()
			s.screen.Write(buf[:n])
			s.last = time.Now()
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		f.Close()
		<-done
		if rec.wrong != "" {
			t.Error(rec.wrong)
		}
	})
	return s
}

// see waits until the screen shows text, and the node is silent for a moment.
func (s *session) see(text string) {
	s.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		s.mu.Lock()
		lines, quiet := strings.Join(s.screen.Lines(), "\n"), time.Since(s.last)
		s.mu.Unlock()
		if strings.Contains(lines, text) && quiet > 20*time.Millisecond {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the terminal does not show %q:\n%s\ntyped: %q", text, strings.TrimSpace(lines), s.rec.typed())
		}
		<-time.After(5 * time.Millisecond)
	}
}

// keys types key by key, as a person does.
func (s *session) keys(text string) {
	s.t.Helper()
	for _, r := range text {
		s.paste(string(r))
		<-time.After(8 * time.Millisecond)
	}
}

// paste sends text at once.
func (s *session) paste(text string) {
	s.t.Helper()
	if err := s.terminal.Input([]byte(text)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.pty.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// want checks what of the input is in clear.
func (s *session) want(typed string) {
	s.t.Helper()
	deadline := time.Now().Add(3 * time.Second)
	for s.rec.typed() != typed {
		if time.Now().After(deadline) {
			s.t.Fatalf("typed:\n%q, want\n%q", s.rec.typed(), typed)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// quiet passes some time, as between two keys of somebody who thinks.
func (s *session) quiet() <-chan time.Time { return time.After(100 * time.Millisecond) }
