package sessions

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

type showCommand struct {
	source
	JSON bool `name:"json" help:"Print JSON."`
}

// Run shows what a session was about.
func (s *showCommand) Run(c *call) error {
	r, done, err := s.open(c)
	if err != nil {
		return err
	}
	defer done()
	about, damage, err := summary(r)
	if err != nil {
		return err
	}
	deeds, err := story(r)
	if err != nil {
		return err
	}
	if s.JSON {
		e := json.NewEncoder(c.env.Stdout)
		e.SetIndent("", "  ")
		err = e.Encode(newView(about, deeds))
	} else if err = show(c.env.Stdout, about, c.now.Location()); err == nil {
		err = tell(c.env.Stdout, deeds, time.UnixMicro(about.Meta.Started).In(c.now.Location()))
	}
	if damage != nil {
		return Readable(damage) // after what stands before it
	}
	return err
}

// show prints s for people.
func show(out io.Writer, s *recording.Summary, zone *time.Location) error {
	m, start := s.Meta, time.UnixMicro(s.Meta.Started).In(zone)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) { fmt.Fprintf(w, label+"\t"+format+"\n", args...) }
	line("session", "%s", m.Session)
	line("who", "%s from %s", m.Identity, m.Client)
	line("where", "%s@%s, by proxy %s (%s)", m.Login, m.Node, m.Proxy, m.Way)
	if len(m.Roles) > 0 {
		line("allowed by", "role %s, policy %d", m.Roles[0], m.Revision)
	}
	line("started", "%s, lasted %s", start.Format("Mon 2006-01-02 15:04:05"), lasted(s.Lasted))
	line("ended", "%s", ended(s.End))
	line("frames", "%d", s.Frames)
	for _, n := range s.Notices {
		line("told", "%s", recording.Quote(n))
	}
	for _, e := range s.Requests.List {
		line("asked", "%s%s", e.Request, outcome(e.Answer))
	}
	if len(s.Channels) > 0 {
		fmt.Fprintln(w)
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w, "CHANNEL\tWHAT\tSTART\tLASTED\tIN\tOUT\tERR\tEND")
	}
	for i := range s.Channels {
		c := &s.Channels[i]
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Number, what(c), start.Add(c.Opened).Format("15:04:05"),
			open(c, s.Lasted), flow(c.Input), flow(c.Output), flow(c.Stderr), channelEnd(c))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return details(out, s)
}

// details prints what has no room in a row.
func details(out io.Writer, s *recording.Summary) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	first := true
	line := func(c *recording.Channel, format string, args ...any) {
		if first {
			fmt.Fprintln(w)
			first = false
		}
		fmt.Fprintf(w, "channel %d\t"+format+"\n", append([]any{c.Number}, args...)...)
	}
	for i := range s.Channels {
		c := &s.Channels[i]
		for _, k := range []recording.Kind{recording.KindInput, recording.KindOutput, recording.KindStderr} {
			f := c.Flow(k)
			switch {
			case f.SHA256 == nil:
			case f.AtMost > f.Bytes:
				line(c, "%s: cut between %d and %d bytes, %d kept, sha256 of the first %d: %x", k, f.Bytes, f.AtMost, f.Kept, f.Bytes, f.SHA256)
			default:
				line(c, "%s: %d bytes, %d kept, sha256 %x", k, f.Bytes, f.Kept, f.SHA256)
			}
		}
		for _, e := range c.Requests.List {
			if e.Answer != nil && !e.Answer.OK {
				line(c, "%s%s", e.Request, outcome(e.Answer))
			}
		}
	}
	return w.Flush()
}

// what is a channel's purpose, with its terminal.
func what(c *recording.Channel) string {
	if c.Terminal {
		return c.What() + " (" + strconv.Itoa(c.Columns) + "x" + strconv.Itoa(c.Rows) + ")"
	}
	return c.What()
}

func open(c *recording.Channel, until time.Duration) string {
	if c.Closed != 0 {
		until = c.Closed
	}
	return lasted(until - c.Opened)
}

// flow is a direction's size; what a crash cut has a sign that it is a lower
// bound.
func flow(f recording.Flow) string {
	if f.AtMost > f.Bytes {
		return size(f.Bytes) + "+"
	}
	return size(f.Bytes)
}

func channelEnd(c *recording.Channel) string {
	switch {
	case c.Answer != nil && !c.Answer.OK:
		return "refused" + reason(c.Answer)
	case c.ExitSignal != "":
		return "signal " + recording.Quote(c.ExitSignal)
	case c.ExitStatus != nil:
		return "exit status " + strconv.FormatUint(uint64(*c.ExitStatus), 10)
	case c.Closed != 0:
		return "closed"
	}
	return "open"
}

// outcome is what became of a request.
func outcome(a *recording.Answer) string {
	if a == nil || a.OK {
		return ""
	}
	return ": refused by the " + a.From.String() + reason(a)
}

func reason(a *recording.Answer) string {
	if a.Reason != "" {
		return " (" + a.Reason + ")"
	}
	return ""
}

func ended(e *recording.End) string {
	switch {
	case e == nil:
		return "not yet"
	case e.Reason == recording.EndCut:
		return "cut: the proxy died, the recording is complete up to what was delivered"
	case e.Text != "":
		return e.Reason + ": " + recording.Quote(e.Text)
	}
	return e.Reason
}
