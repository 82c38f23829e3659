// Demo is `make demo`: a whole Sallyport on loopback and the main job walked in
// it with the real ssh, scp and sftp. Each step is printed as the command that a
// person would type and what came back, so that the output is the tutorial. It
// exits 0 only if every step did what it should.
//
// Everything it makes is below .demo/, removed at the next start. At a terminal
// it stays up until Ctrl-C and says how to go on by hand; without one it ends
// after the walk.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/term"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func main() {
	dir := filepath.Join(rig.Root(), ".demo")
	s := &stage{
		Suite:  &rig.Suite{Out: os.Stdout, Keep: filepath.Join(dir, "tmp")},
		out:    os.Stdout,
		dir:    dir,
		colour: term.IsTerminal(int(os.Stdout.Fd())),
	}
	if !s.Run(s.play) {
		os.Exit(1)
	}
}

// play walks the steps, and stays at a terminal.
func (s *stage) play() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := os.RemoveAll(s.dir); err != nil {
		s.Fatalf("remove what the last demo left: %v", err)
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		s.Fatalf("make .demo: %v", err)
	}
	w := walk(s)
	fmt.Fprintf(s.out, "\nThe demo is done: %d steps, each did what it should.\n", s.steps)
	if term.IsTerminal(int(os.Stdin.Fd())) && s.colour {
		s.byHand(w)
		<-ctx.Done()
		fmt.Fprintln(s.out)
	}
}
