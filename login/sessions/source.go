package sessions

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// source is which recording a command is about.
type source struct {
	Session string `arg:"" optional:"" help:"The session, as ls lists it."`
	File    string `help:"Read the recording from this file instead of asking the CA." placeholder:"PATH"`
	Key     string `name:"identity" help:"Open what is encrypted with the age identity in this file; where it exists, sallyport/identity.txt in your configuration directory is the default." placeholder:"FILE"`
}

// open opens the recording so that its content can be read: with the person's own
// key, or else by the CA, which then says in the log that it did. The caller calls
// close.
func (s *source) open(c *call) (r *recording.Recording, close func(), err error) {
	r, close, err = s.fetch(c)
	if err != nil || !r.Locked() {
		return r, close, err
	}
	close()
	if s.File != "" {
		return nil, nil, locked(r.Meta().Session, nil)
	}
	opener, err := c.ask(r.Meta().Session)
	if err != nil {
		return nil, nil, err
	}
	c.opener = opener
	if r, close, err = s.fetch(c); err == nil && r.Locked() {
		close()
		return nil, nil, locked(r.Meta().Session, nil)
	}
	return r, close, err
}

// fetch opens the recording, locked or not: a file as it is, a session as the CA
// has it now.
func (s *source) fetch(c *call) (r *recording.Recording, close func(), err error) {
	if c.opener == nil {
		if c.opener, err = s.identity(c.env.Getenv); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case s.File != "" && s.Session != "":
		return nil, nil, fault.New(fault.Invalid, fault.BadRequest, "name a session or --file, not both")
	case s.File != "":
		r, err := recording.OpenFile(s.File, c.opener)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fault.New(fault.Missing, fault.NotFound, "there is no recording at %s", s.File)
		}
		if err != nil {
			return nil, nil, Readable(err)
		}
		return r, func() { r.Close() }, nil
	case s.Session == "":
		return nil, nil, fault.New(fault.Invalid, fault.BadRequest, "which session?").Then("run: sallyport sessions ls")
	}
	session, err := parse(s.Session)
	if err != nil {
		return nil, nil, err
	}
	f, err := c.download(session)
	if err != nil {
		return nil, nil, err
	}
	close = func() { f.Close(); os.Remove(f.Name()) }
	if r, err = recording.Join(c.opener, f); err == nil && r.Header().Session != session {
		err = fault.New(fault.Internal, fault.InternalError, "the CA sent the recording of session %s", r.Header().Session)
	}
	if err != nil {
		close()
		return nil, nil, Readable(err)
	}
	return r, close, nil
}

func parse(name string) (id.Session, error) {
	session, err := id.ParseSession(name)
	if err != nil {
		return "", fault.New(fault.Invalid, fault.BadRequest, "%v", err).Then("run: sallyport sessions ls")
	}
	return session, nil
}

// download puts the recording into a file of ours, so that one can seek in it.
// It is the person's alone, and gone when the command ends.
func (c *call) download(session id.Session) (*os.File, error) {
	client, err := c.connect(c.ctx, c.env)
	if err != nil {
		return nil, err
	}
	body, err := client.Stream(c.ctx, strings.Replace(wire.PathRecording, "{id}", string(session), 1))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	f, err := os.CreateTemp("", "sallyport-recording-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("keep the recording for a moment: %w", err)
	}
	if _, err := io.Copy(f, body); err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, fault.New(fault.Unavailable, fault.CAAway, "the recording broke off while it was sent").Because(err)
	}
	return f, nil
}

// Readable makes damage something that a person can read: where it is, and what.
func Readable(err error) error {
	var damage *recording.DamageError
	if errors.As(err, &damage) {
		return fault.New(fault.Invalid, fault.BadRequest, "%v", damage)
	}
	return err
}

// summary reads r once, and returns to its start. Of a damaged recording it
// returns what stands before the damage, and the damage.
func summary(r *recording.Recording) (s *recording.Summary, damage error, err error) {
	s, damage = recording.Summarize(r)
	return s, damage, r.Seek(0)
}

// channel picks the channel that number names, or, for 0, the one that a person
// would mean: the first shell, else the first with a terminal, else the first
// that carried a command's output.
func channel(s *recording.Summary, number uint32) (*recording.Channel, error) {
	rank := func(c *recording.Channel) int {
		switch {
		case number != 0 && c.Number == number:
			return 4
		case number != 0 || c.Open.Type != "session":
			return 0
		case c.Shell:
			return 3
		case c.Terminal:
			return 2
		case c.Command != "" && !c.Subsystem:
			return 1
		}
		return 0
	}
	var best *recording.Channel
	for i := range s.Channels {
		if c := &s.Channels[i]; rank(c) > 0 && (best == nil || rank(c) > rank(best)) {
			best = c
		}
	}
	switch {
	case best != nil:
		return best, nil
	case number != 0:
		return nil, fault.New(fault.Missing, fault.NotFound, "session %s has no channel %d", s.Meta.Session, number).
			Then("run: sallyport sessions show %s", s.Meta.Session)
	}
	return nil, fault.New(fault.Missing, fault.NotFound, "session %s had no shell and no command", s.Meta.Session).
		Then("choose a channel with --channel; run: sallyport sessions show %s", s.Meta.Session)
}
