package export

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Version of asciicast.
type Version int

const (
	V2 Version = 2 // https://docs.asciinema.org/manual/asciicast/v2/
	V3 Version = 3 // https://docs.asciinema.org/manual/asciicast/v3/
)

// Options of an export.
type Options struct {
	Version Version
	// Input includes what the person typed and the node echoed, and what other
	// programs sent. What was typed at a terminal without echo is never included.
	Input bool
}

// header of both versions; a field that a version does not have is left out.
type header struct {
	Version   Version           `json:"version"`
	Width     int               `json:"width,omitempty"`
	Height    int               `json:"height,omitempty"`
	Term      *term             `json:"term,omitempty"`
	Timestamp int64             `json:"timestamp"`
	Command   string            `json:"command,omitempty"`
	Title     string            `json:"title,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
}

type term struct {
	Columns int    `json:"cols"`
	Rows    int    `json:"rows"`
	Type    string `json:"type,omitempty"`
}

// Asciicast writes one channel of frames, which are at the recording's start, to
// w. s is their summary and c the channel in it.
func Asciicast(w io.Writer, frames recording.Frames, s *recording.Summary, c *recording.Channel, o Options) error {
	if o.Version != V2 && o.Version != V3 {
		return fmt.Errorf("asciicast has no version %d", o.Version)
	}
	a := &asciicast{w: bufio.NewWriter(w), version: o.Version, columns: c.Columns, rows: c.Rows}
	if err := a.header(s, c); err != nil {
		return err
	}
	for e, err := range withSilences(frames, c) {
		if err != nil {
			// What stands before the damage is worth having.
			return join(a.w.Flush(), err)
		}
		if e.Code == Input && !o.Input {
			continue
		}
		if err := a.event(e); err != nil {
			return err
		}
	}
	for _, r := range []*runes{&a.stdout, &a.stderr} {
		if err := a.line(a.last, Output, r.end()); err != nil {
			return err
		}
	}
	return a.w.Flush()
}

func join(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// asciicast is one export.
type asciicast struct {
	w             *bufio.Writer
	version       Version
	columns, rows int           // of the terminal now; 0 before its first size
	last          time.Duration // of the last line
	stdout        runes
	stderr        runes
	input         runes
	text          bytes.Buffer
}

func (a *asciicast) header(s *recording.Summary, c *recording.Channel) error {
	columns, rows := c.Columns, c.Rows
	if !c.Terminal {
		columns, rows = 80, 24
	}
	h := header{
		Version:   a.version,
		Timestamp: s.Meta.Started / 1e6,
		Title:     fmt.Sprintf("%s@%s, %s, session %s", s.Meta.Login, s.Meta.Node, s.Meta.Identity, s.Meta.Session),
		Command:   string(new(runes).take([]byte(c.Command))),
	}
	kind := string(new(runes).take([]byte(c.Term)))
	if a.version == V3 {
		h.Term = &term{Columns: columns, Rows: rows, Type: kind}
	} else {
		h.Width, h.Height = columns, rows
		if kind != "" {
			h.Env = map[string]string{"TERM": kind}
		}
	}
	if err := a.json(h); err != nil {
		return err
	}
	a.w.Write(a.text.Bytes())
	return a.w.WriteByte('\n')
}

// json puts v into a.text.
func (a *asciicast) json(v any) error {
	a.text.Reset()
	e := json.NewEncoder(&a.text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	a.text.Truncate(a.text.Len() - 1) // the line's end
	return nil
}

func (a *asciicast) event(e Event) error {
	switch e.Code {
	case Output:
		if e.Stderr {
			return a.line(e.At, Output, a.stderr.take(e.Data))
		}
		return a.line(e.At, Output, a.stdout.take(e.Data))
	case Input:
		return a.line(e.At, Input, a.input.take(e.Data))
	case Resize:
		if e.Columns == a.columns && e.Rows == a.rows {
			return nil // the header says it already
		}
		a.columns, a.rows = e.Columns, e.Rows
		return a.line(e.At, Resize, fmt.Appendf(nil, "%dx%d", e.Columns, e.Rows))
	case Exit:
		if a.version == V2 {
			return nil // version 2 has no such event
		}
	}
	return a.line(e.At, e.Code, new(runes).take(e.Data))
}

// line writes one event; without data there is none.
func (a *asciicast) line(at time.Duration, code Code, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	t := at
	if a.version == V3 {
		t -= a.last // intervals; whole microseconds, so that they add up
	}
	a.last = at
	if err := a.json(string(data)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.w, "[%d.%06d, %q, %s]\n", t/time.Second, t%time.Second/time.Microsecond, code, a.text.Bytes())
	return err
}
