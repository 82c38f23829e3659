package proxy

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// console is ssh at a real terminal.
type console struct {
	t    *testing.T
	pty  *os.File
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *person) console(where string) *console {
	p.w.t.Helper()
	cmd := p.command(where)
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 80, Rows: 24})
	if err != nil {
		p.w.t.Fatal(err)
	}
	c := &console{t: p.w.t, pty: f}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			c.mu.Lock()
			c.text.Write(buf[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	p.w.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		f.Close()
		<-done
	})
	return c
}

// see waits until text was shown, and forgets what was shown up to there.
func (c *console) see(text string) {
	c.t.Helper()
	rig.Eventually(c.t, 10*time.Second, "the terminal shows "+text, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := bytes.Index(c.text.Bytes(), []byte(text))
		if i < 0 {
			return false
		}
		c.text.Next(i + len(text))
		return true
	})
}

func (c *console) enter(text string) {
	c.t.Helper()
	if _, err := c.pty.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

func TestAPasswordTypedWithoutEchoIsNotInClear(t *testing.T) {
	const secret = "hunter2-Tr0ub4dor"
	w := newWorld(t)
	c := w.you.console(w.web.Login + "@web-1")
	c.enter("PS1=; echo rea\"dy\"\r")
	c.see("ready")
	c.enter("read -s -p 'Pass''word: ' x; echo o\"k\"\r")
	c.see("Password: ")
	for _, key := range secret {
		c.enter(string(key))
	}
	c.enter("\r")
	c.see("ok")
	c.enter("exit\r")
	session := w.last()
	rig.Eventually(t, 10*time.Second, "the session ends", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		_, ended := w.ended[session]
		return ended
	})
	var clear, typed bytes.Buffer
	for _, f := range w.frames(session) {
		switch f.Kind {
		case recording.KindVeiled:
			if bytes.Contains(f.Payload, []byte(secret)) {
				t.Error("a veiled frame is in clear")
			}
			typed.Write(w.unveiled(session, f))
		case recording.KindInput:
			clear.Write(f.Payload)
			typed.Write(f.Payload)
		case recording.KindReveal:
			runs, err := recording.ParseReveal(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range runs {
				clear.Write(r.Bytes)
			}
		}
	}
	for n := range len(secret) - 3 {
		if strings.Contains(clear.String(), secret[n:n+4]) {
			t.Errorf("%q of the secret is in clear: %q", secret[n:n+4], &clear)
		}
	}
	if !strings.Contains(typed.String(), secret+"\r") {
		t.Errorf("an auditor cannot read what was typed: %q", &typed)
	}
	for _, visible := range []string{"echo rea", "read -s -p", "exit"} {
		if !strings.Contains(clear.String(), visible) {
			t.Errorf("%q is not in clear: %q", visible, &clear)
		}
	}
}

// unveiled is what an auditor reads of a veiled frame.
func (w *world) unveiled(session id.Session, f recording.Frame) []byte {
	w.t.Helper()
	dir := w.config.Recordings
	if dir == "" {
		dir = w.config.Data + "/recordings"
	}
	r, err := recording.OpenDir(dir, session, w.opener)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	text, ok := r.Unveil(f)
	if !ok {
		w.t.Fatal("an auditor's key does not lift the veil")
	}
	return text
}
