package find

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/export"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Limits of what one session puts into the index.
const (
	maxLine   = 512     // bytes of a line; the rest of it is not found
	maxText   = 1 << 20 // bytes of all lines of one kind
	maxScreen = 4096    // distinct lines of output that are remembered, so that a line which comes again is one
)

// About are the lines that can be said of a session without its recording: who,
// where, as whom.
func About(s wire.Session) []Chunk {
	c := collector{kind: Identity}
	c.add(Line{Text: clean(strings.Join([]string{
		string(s.Identity), string(s.Login) + "@" + string(s.Node), s.Client, s.Role, string(s.ID),
	}, "  "), maxLine)})
	c.flush()
	return c.chunks
}

// Read reads the lines of a session out of its recording. whole is false where
// there were more than the limits let in. Of a recording that breaks off it
// returns what stands before, with the error.
func Read(s wire.Session, frames recording.Frames) (chunks []Chunk, whole bool, err error) {
	r := reader{
		command: collector{kind: Command}, typed: collector{kind: Typed},
		output: collector{kind: Output}, file: collector{kind: File},
		channels: map[uint32]*channel{}, seen: map[string]struct{}{}, whole: true,
	}
	for {
		f, next := frames.Next()
		if next == io.EOF {
			break
		}
		if next == nil {
			next = r.frame(f)
		}
		if next != nil {
			err = next
			break
		}
	}
	r.finish()
	chunks = About(s)
	for _, c := range []*collector{&r.command, &r.typed, &r.output, &r.file} {
		r.keep(c.flush())
		chunks = append(chunks, c.chunks...)
	}
	return chunks, r.whole, errors.Join(err, r.err)
}

// reader sorts the lines of one recording.
type reader struct {
	command, typed, output, file collector

	channels map[uint32]*channel
	seen     map[string]struct{} // lines of output that are in already
	whole    bool
	err      error // of packing; the first
}

// channel is what of a channel has lines.
type channel struct {
	stdout, stderr *export.Lines
	typed          *export.Typed // nil without a terminal
	forward        bool          // what runs there is no text for people
}

func (r *reader) channel(number uint32) *channel {
	c := r.channels[number]
	if c == nil {
		seen := func(at time.Duration, text string) { r.line(&r.output, at, text) }
		c = &channel{stdout: export.NewLines(seen), stderr: export.NewLines(seen)}
		r.channels[number] = c
	}
	return c
}

func (r *reader) frame(f recording.Frame) error {
	switch f.Kind {
	case recording.KindOpen:
		var o recording.Open
		if err := f.Decode(&o); err != nil {
			return err
		}
		if o.Type != "session" {
			r.channel(f.Channel).forward = true
			r.line(&r.file, f.At, o.String())
		}
	case recording.KindRequest:
		return r.request(f)
	case recording.KindInput, recording.KindVeiled:
		if c := r.channels[f.Channel]; c != nil && c.typed != nil {
			c.typed.Add(f)
		}
	case recording.KindReveal:
		runs, err := recording.ParseReveal(f)
		if err != nil {
			return err
		}
		if c := r.channels[f.Channel]; c != nil && c.typed != nil {
			c.typed.Reveal(runs)
		}
	case recording.KindOutput, recording.KindStderr:
		c := r.channel(f.Channel)
		switch {
		case c.forward:
		case f.Kind == recording.KindStderr:
			c.stderr.Write(f.At, f.Payload)
		default:
			c.stdout.Write(f.At, f.Payload)
		}
	case recording.KindFile:
		var o recording.FileOp
		if err := f.Decode(&o); err != nil {
			return err
		}
		r.line(&r.file, f.At, o.String())
	case recording.KindTransfer:
		var t recording.Transfer
		if err := f.Decode(&t); err != nil {
			return err
		}
		if len(t.Paths) > 0 {
			r.line(&r.file, f.At, t.String())
		}
	}
	return nil
}

func (r *reader) request(f recording.Frame) error {
	var q recording.Request
	if err := f.Decode(&q); err != nil {
		return err
	}
	switch q.Type {
	case "pty-req":
		r.channel(f.Channel).typed = &export.Typed{}
	case "exec", "subsystem":
		if command, ok := q.Command(); ok {
			r.line(&r.command, f.At, command)
		}
		// What a subsystem's channel carries is a protocol, and no lines.
		r.channel(f.Channel).forward = q.Type == "subsystem"
	}
	return nil
}

// finish takes in what was not ended.
func (r *reader) finish() {
	for _, c := range r.channels {
		c.stdout.Finish()
		c.stderr.Finish()
		if c.typed == nil {
			continue
		}
		for _, l := range c.typed.Lines() {
			r.line(&r.typed, l.At, l.Text)
		}
	}
}

// line takes in a line, unless the session has had its share.
func (r *reader) line(c *collector, at time.Duration, text string) {
	text = clean(text, maxLine)
	if text == "" {
		return
	}
	if c == &r.output {
		if _, again := r.seen[text]; again {
			return
		}
		if len(r.seen) >= maxScreen {
			clear(r.seen)
		}
		r.seen[text] = struct{}{}
	}
	if c.total += len(text); c.total > maxText {
		r.whole = false
		return
	}
	r.keep(c.add(Line{at.Milliseconds(), text}))
}

func (r *reader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}
