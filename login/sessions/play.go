package sessions

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

type playCommand struct {
	source
	Speed     float64       `default:"1" help:"So many times as fast as it was."`
	IdleLimit time.Duration `help:"Wait no longer than this where nothing happened." placeholder:"2s"`
	At        string        `help:"Begin there: +2m, 90 (seconds), or a time of day, 14:11:05." placeholder:"WHEN"`
	Follow    bool          `short:"f" help:"Join a session that is live: its screen as it is, and then what comes."`
	Channel   uint32        `help:"Which channel; the first shell, or else command, is the default." placeholder:"N"`
}

// Run plays a session: at a terminal in its time, elsewhere at once.
func (p *playCommand) Run(c *call) error {
	if p.Speed <= 0 || p.Speed > 1000 || p.IdleLimit < 0 {
		return fault.New(fault.Invalid, fault.BadRequest, "--speed is above 0 and at most 1000, --idle-limit a length of time")
	}
	if p.Follow && p.At != "" {
		return fault.New(fault.Invalid, fault.BadRequest, "--follow begins now, and --at elsewhere: choose one")
	}
	r, done, err := p.open(c)
	if err != nil {
		return err
	}
	defer func() { done() }()
	about, damage, err := summary(r)
	if err != nil {
		return err
	}
	ch, err := channel(about, p.Channel)
	if err != nil && damage != nil {
		return Readable(damage)
	}
	if err != nil {
		return err
	}
	if p.Follow && about.End == nil {
		done()
		done = func() {}
		return p.follow(c, ch)
	}
	start := time.UnixMicro(about.Meta.Started).In(c.now.Location())
	at, err := moment(p.At, start)
	if err != nil {
		return err
	}
	if !cli.IsTerminal(c.env.Stdout) {
		return pour(c.env.Stdout, r, ch.Number, at)
	}
	fmt.Fprintf(c.env.Stderr, "%s@%s, %s, %s, lasted %s%s.\r\nSpace pauses, left and right go 10 s, up and down change the speed, q ends.\r\n",
		about.Meta.Login, about.Meta.Node, about.Meta.Identity, start.Format("Mon 2006-01-02 15:04:05"), lasted(about.Lasted), fits(c.env.Stdout, ch))
	view := player{rec: r, channel: ch.Number, out: newGuard(c.env.Stdout), speed: p.Speed, idle: p.IdleLimit}
	restore := func() {}
	if stdin, ok := c.env.Stdin.(*os.File); ok && cli.IsTerminal(stdin) {
		state, err := term.MakeRaw(int(stdin.Fd()))
		if err != nil {
			return fmt.Errorf("listen to keys: %w", err)
		}
		restore = func() { term.Restore(int(stdin.Fd()), state) }
		view.keys = listen(stdin)
	}
	err = view.play(c.ctx, at)
	io.WriteString(c.env.Stdout, calm)
	restore()
	if err == nil && damage == nil {
		fmt.Fprintf(c.env.Stderr, "\n[%s]\n", ended(about.End))
	}
	return Readable(err)
}

// fits warns where the recorded terminal was larger than this one.
func fits(out io.Writer, ch *recording.Channel) string {
	f, ok := out.(*os.File)
	if !ok || !ch.Terminal {
		return ""
	}
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || columns >= ch.Columns && rows >= ch.Rows {
		return ""
	}
	return fmt.Sprintf(", on %dx%d (yours is %dx%d)", ch.Columns, ch.Rows, columns, rows)
}

// pour writes a channel's output from at on as it came, byte for byte.
func pour(w io.Writer, r *recording.Recording, channel uint32, at time.Duration) error {
	if err := r.Seek(at); err != nil {
		return Readable(err)
	}
	for {
		f, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return Readable(err)
		}
		if f.Channel == channel && (f.Kind == recording.KindOutput || f.Kind == recording.KindStderr) {
			if _, err := w.Write(f.Payload); err != nil {
				return fmt.Errorf("play: %w", err)
			}
		}
	}
}
