package sessions

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

type holdCommand struct {
	Session string `arg:"" help:"The session, as ls lists it."`
	Reason  string `help:"Why; it stands in the audit log." placeholder:"TEXT"`
}

// Run puts a recording under legal hold.
func (h *holdCommand) Run(c *call) error {
	if strings.TrimSpace(h.Reason) == "" {
		return fault.New(fault.Invalid, fault.BadRequest, "a hold needs a reason").
			Then("run: sallyport sessions hold %s --reason \"...\"", h.Session)
	}
	s, err := c.hold(h.Session, http.MethodPut, wire.SetHold{Reason: h.Reason})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.env.Stdout, "Session %s is held: %s.\nIts recording is kept until: sallyport sessions release %s\n", s.ID, h.Reason, s.ID)
	return nil
}

type releaseCommand struct {
	Session string `arg:"" help:"The session, as ls lists it."`
}

// Run ends a legal hold.
func (r *releaseCommand) Run(c *call) error {
	s, err := c.hold(r.Session, http.MethodDelete, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.env.Stdout, "Session %s is held no more.%s\n", s.ID, kept(s, c))
	return nil
}

// kept says until when retention keeps a recording.
func kept(s wire.Session, c *call) string {
	if s.Recording.Retain == 0 {
		return ""
	}
	return " Its recording is kept until " + day(s.Recording.Retain, c.now.Location()) + "."
}

func (c *call) hold(name, method string, in any) (s wire.Session, err error) {
	session, err := parse(name)
	if err != nil {
		return s, err
	}
	client, err := c.connect(c.ctx, c.env)
	if err != nil {
		return s, err
	}
	return s, client.Do(c.ctx, method, strings.Replace(wire.PathAdminHold, "{id}", string(session), 1), in, &s)
}
