//go:build unix

package sessions

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// TestPlayAtATerminal plays on a real one: in time, guarded, ended by a key, and
// the terminal is as it was.
func TestPlayAtATerminal(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer tty.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 20, Cols: 70}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var screen strings.Builder
	go func() { // ends when master is closed
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			mu.Lock()
			screen.Write(buf[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	shown := func() string {
		mu.Lock()
		defer mu.Unlock()
		return screen.String()
	}
	file := t.TempDir() + "/recording"
	if _, _, err := run(t, ca(), "sessions", "export", "--recording", "-o", file, session); err != nil {
		t.Fatal(err)
	}
	env := cli.Env{Stdin: tty, Stdout: tty, Stderr: tty, Getenv: func(string) string { return "" }}
	none := func(context.Context, cli.Env) (*wire.Client, error) { return nil, io.EOF }
	ended := make(chan error, 1)
	go func() { ended <- Commands(none)["play"](t.Context(), env, []string{"--speed", "20", "--file", file}) }()
	rig.Eventually(t, 10*time.Second, "the output is shown", func() bool { return strings.Contains(shown(), "l\xff") })
	// The recording lasts on, with nothing to see; one key ends it.
	io.WriteString(master, "x q")
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	rig.Eventually(t, 10*time.Second, "the terminal is calmed", func() bool { return strings.Contains(shown(), "[closed]") })
	got := shown()
	for _, want := range []string{"deploy@web-1, you@example.com", "on 80x24 (yours is 70x20)", "Space pauses", calm} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if strings.Contains(got, "]52;") {
		t.Errorf("the clipboard was written: %q", got)
	}
}
