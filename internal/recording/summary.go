package recording

import (
	"io"
	"time"
)

// Frames is something that yields frames in order, and io.EOF after the last: a
// Reader or a Recording.
type Frames interface {
	Next() (Frame, error)
}

// Summary is what a recording is about, without its content.
type Summary struct {
	Meta     Meta
	Channels []Channel // in order of their numbers
	Requests Events    // global ones, with their answers
	Notices  []string  // what the proxy said to the person
	Counts   Counts    // commands that were run or typed, files that were carried
	Frames   uint64
	Lasted   time.Duration // until the last frame
	End      *End          // nil: the session lives, or nobody has finished its recording yet
}

// Events are requests in order.
type Events struct {
	List []Event
	open int // before this index nobody waits for an answer
}

// Event is a request and what became of it.
type Event struct {
	At      time.Duration
	Request Request
	Answer  *Answer // nil: none was wanted, or it did not come
}

// Channel is one channel of a session.
type Channel struct {
	Number   uint32
	Opened   time.Duration
	Open     Open
	Answer   *Answer       // to Open; nil: it did not come
	Closed   time.Duration // when the second side closed it; 0: not
	Terminal bool          // it has a pty
	Columns  int           // of the terminal at first
	Rows     int
	Term     string // its TERM
	Shell    bool
	Command  string // of exec, or the subsystem's name
	// Subsystem says that Command is one's name.
	Subsystem bool
	Requests  Events
	Input     Flow
	Output    Flow
	Stderr    Flow
	// ExitStatus and ExitSignal say how what ran there ended; nil and "" unless
	// the node told.
	ExitStatus *uint32
	ExitSignal string
	// Lines were typed: how often Enter was pressed at a terminal.
	Lines int64
	// Silences are what was typed at a terminal without echo, in order.
	Silences []Silence
	// Operations counts those of SFTP, Files the files that one carried whole or in
	// part.
	Operations, Files int64
	// Transfer is what a channel without a terminal was for; nil: nobody told.
	Transfer *Transfer

	closes int
	typing typing
}

// Flow is one direction of a channel.
type Flow struct {
	Kept int64 // bytes in the recording
	// Bytes went through. Where a crash cut a direction that is not kept whole,
	// the truth lies between Bytes and AtMost; else these are equal.
	Bytes  int64
	AtMost int64
	// SHA256 of the first Bytes bytes; nil where all are kept.
	SHA256 []byte
}

// Summarize reads all of frames. When they are damaged it returns what stands
// before the damage, with the error.
func Summarize(frames Frames) (*Summary, error) {
	s := summarizer{channels: map[uint32]int{}}
	for {
		f, err := frames.Next()
		if err == nil {
			err = s.frame(f)
		}
		if err == io.EOF {
			return s.done(), nil
		}
		if err != nil {
			return s.done(), err
		}
	}
}

// done settles what can only be told at the end.
func (s *summarizer) done() *Summary {
	for i := range s.Channels {
		c := &s.Channels[i]
		c.Silences = c.typing.silences()
		s.Counts.Commands += c.Lines
		s.Counts.Files += c.Files
		for _, q := range c.Requests.List {
			if q.Request.Type == "exec" {
				s.Counts.Commands++
			}
		}
	}
	return &s.Summary
}

type summarizer struct {
	Summary
	channels map[uint32]int // index in Channels
}

// channel returns the channel of that number, making one that a damaged or cut
// recording does not open.
func (s *summarizer) channel(number uint32) *Channel {
	i, ok := s.channels[number]
	if !ok {
		i = len(s.Channels)
		s.channels[number] = i
		s.Channels = append(s.Channels, Channel{Number: number})
	}
	return &s.Channels[i]
}

func (s *summarizer) frame(f Frame) error {
	s.Frames++
	s.Lasted = f.At
	switch f.Kind {
	case KindSession:
		return f.Decode(&s.Meta)
	case KindNotice:
		s.Notices = append(s.Notices, string(f.Payload))
	case KindEnd:
		s.End = &End{}
		return f.Decode(s.End)
	case KindRequest:
		var r Request
		if err := f.Decode(&r); err != nil {
			return err
		}
		if f.Channel == 0 {
			s.Requests.add(f.At, r)
			return nil
		}
		s.channel(f.Channel).request(f.At, r)
	case KindAnswer:
		return s.answer(f)
	default:
		if f.Channel != 0 {
			return s.channel(f.Channel).frame(f)
		}
	}
	return nil
}

func (s *summarizer) answer(f Frame) error {
	var a Answer
	if err := f.Decode(&a); err != nil {
		return err
	}
	if f.Channel == 0 {
		s.Requests.answer(a)
		return nil
	}
	c := s.channel(f.Channel)
	if a.To == "open" {
		c.Answer = &a
		return nil
	}
	c.Requests.answer(a)
	return nil
}

func (e *Events) add(at time.Duration, r Request) {
	e.List = append(e.List, Event{At: at, Request: r})
}

// answer gives a to the oldest request of its type that waits. Each side answers
// in order (RFC 4254, section 5.4), but the proxy may refuse one request while
// the node has not yet answered another.
func (e *Events) answer(a Answer) {
	waits := func(q *Event) bool { return q.Answer == nil && q.Request.WantReply }
	for e.open < len(e.List) && !waits(&e.List[e.open]) {
		e.open++
	}
	for i := e.open; i < len(e.List); i++ {
		if q := &e.List[i]; waits(q) && q.Request.Type == a.To && q.Request.From != a.From {
			q.Answer = &a
			return
		}
	}
}

func (c *Channel) frame(f Frame) error {
	switch f.Kind {
	case KindOpen:
		c.Opened = f.At
		return f.Decode(&c.Open)
	case KindInput, KindOutput, KindStderr, KindVeiled:
		flow := c.Flow(f.Kind)
		flow.Kept += int64(len(f.Payload))
		flow.Bytes = max(flow.Bytes, flow.Kept)
		flow.AtMost = max(flow.AtMost, flow.Kept)
		c.typed(f)
	case KindReveal:
		runs, err := ParseReveal(f)
		if err != nil {
			return err
		}
		c.Lines += int64(c.typing.reveal(runs))
	case KindFile:
		var o FileOp
		if err := f.Decode(&o); err != nil {
			return err
		}
		if c.Operations++; o.Carried() {
			c.Files++
		}
	case KindTransfer:
		c.Transfer = &Transfer{}
		if err := f.Decode(c.Transfer); err != nil {
			return err
		}
		if c.Transfer.Tool != "sftp" { // whose files were told one by one
			c.Files += int64(c.Transfer.Files)
		}
	case KindBulk:
		var b Bulk
		if err := f.Decode(&b); err != nil {
			return err
		}
		if flow := c.Flow(b.Of); flow != nil {
			flow.Bytes, flow.AtMost, flow.SHA256 = b.Bytes, b.Bytes+b.Ahead, b.SHA256
		}
	case KindClose:
		if c.closes++; c.closes == 2 {
			c.Closed = f.At
		}
	}
	return nil
}

// typed takes in what was typed at a terminal.
func (c *Channel) typed(f Frame) {
	switch {
	case !c.Terminal:
	case f.Kind == KindInput:
		c.Lines += int64(c.typing.clear(f.Payload))
	case f.Kind == KindVeiled:
		c.typing.veil(f)
	}
}

// Flow is the direction whose content is of kind k; nil where k is no content.
func (c *Channel) Flow(k Kind) *Flow {
	switch k {
	case KindInput, KindVeiled:
		return &c.Input
	case KindOutput:
		return &c.Output
	case KindStderr:
		return &c.Stderr
	}
	return nil
}

func (c *Channel) request(at time.Duration, r Request) {
	c.Requests.add(at, r)
	if columns, rows, ok := r.Size(); ok && !c.Terminal && r.Type == "pty-req" {
		c.Terminal, c.Columns, c.Rows, c.Term = true, columns, rows, r.Terminal()
	}
	if command, ok := r.Command(); ok {
		c.Command, c.Subsystem = command, r.Type == "subsystem"
	}
	if r.Type == "shell" {
		c.Shell = true
	}
	if status, ok := r.ExitStatus(); ok && r.From == Node {
		c.ExitStatus = &status
	}
	if name, ok := r.ExitSignal(); ok && r.From == Node {
		c.ExitSignal = name
	}
}

// What says what the channel was for, in a few words.
func (c *Channel) What() string {
	switch {
	case c.Shell:
		return "shell"
	case c.Subsystem:
		return "subsystem " + Quote(c.Command)
	case c.Command != "":
		return "exec " + Quote(c.Command)
	case c.Open.Type == "":
		return "unknown"
	}
	return c.Open.String()
}
