package sessions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/export"
)

// How often a live recording is fetched again: at least this long apart, and
// slower where fetching takes long, so that a viewer asks for no more than a
// fifth of the time.
const (
	followEvery = time.Second
	followShare = 5
)

// follow shows what a live session's terminal shows, until it ends, ctx ends, or
// the key for it.
func (p *playCommand) follow(c *call, ch *recording.Channel) error {
	f := follower{channel: ch.Number, out: c.env.Stdout}
	restore := func() {}
	var keys <-chan key
	if cli.IsTerminal(c.env.Stdout) {
		fmt.Fprintf(c.env.Stderr, "Following%s. q ends.\r\n", fits(c.env.Stdout, ch))
		f.out, f.screen = newGuard(c.env.Stdout), true
		if stdin, ok := c.env.Stdin.(*os.File); ok && cli.IsTerminal(stdin) {
			state, err := term.MakeRaw(int(stdin.Fd()))
			if err != nil {
				return fmt.Errorf("listen to keys: %w", err)
			}
			restore = func() { term.Restore(int(stdin.Fd()), state) }
			keys = listen(stdin)
		}
	}
	err := f.run(c.ctx, keys, func() (*recording.Recording, func(), error) { return p.open(c) })
	if f.screen {
		io.WriteString(c.env.Stdout, calm)
	}
	restore()
	if err == nil && f.end != nil {
		fmt.Fprintf(c.env.Stderr, "\n[%s]\n", ended(f.end))
	}
	return Readable(err)
}

// follower shows one channel while it goes on.
type follower struct {
	channel  uint32
	out      io.Writer
	screen   bool          // out is a terminal: begin with what it shows
	next     uint64        // number of the frame that comes next
	at       time.Duration // of the last frame
	terminal bool
	end      *recording.End
}

// run shows what there is, and looks for more.
func (f *follower) run(ctx context.Context, keys <-chan key, open func() (*recording.Recording, func(), error)) error {
	for {
		began := time.Now()
		r, done, err := open()
		if err != nil {
			return err
		}
		err = f.show(r)
		done()
		if err != nil || f.end != nil {
			return err
		}
		pause := time.NewTimer(max(followEvery, time.Since(began)*followShare))
		for waiting := true; waiting; {
			select {
			case <-pause.C:
				waiting = false
			case k, ok := <-keys:
				if !ok {
					keys = nil
				}
				if k == keyQuit {
					pause.Stop()
					return nil
				}
			case <-ctx.Done():
				pause.Stop()
				return ctx.Err()
			}
		}
	}
}

// show writes what of r has not been shown.
func (f *follower) show(r *recording.Recording) error {
	at := f.at
	if f.next == 0 && f.screen {
		at = 1<<63 - 1 // the last screen that is known
	}
	if err := r.SeekScreen(at); err != nil {
		return err
	}
	if f.next == 0 && f.screen {
		if err := f.join(r); err != nil {
			return err
		}
	}
	for {
		frame, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if frame.Number < f.next {
			continue
		}
		f.next, f.at = frame.Number+1, frame.At
		if err := f.frame(frame); err != nil {
			return err
		}
	}
}

// join draws the screen with which the frames that come begin.
func (f *follower) join(r *recording.Recording) error {
	if _, err := io.WriteString(f.out, blank); err != nil {
		return err
	}
	list, _ := r.Screens()
	for _, s := range list {
		if s.Channel == f.channel {
			f.terminal = true
			if _, err := f.out.Write(s.ANSI); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *follower) frame(frame recording.Frame) error {
	if frame.Kind == recording.KindEnd {
		f.end = &recording.End{}
		return frame.Decode(f.end)
	}
	e, ok, err := export.Of(frame, f.channel, &f.terminal)
	if err != nil || !ok || e.Code != export.Output {
		return err
	}
	_, err = f.out.Write(e.Data)
	return err
}
