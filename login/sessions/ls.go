package sessions

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

type lsCommand struct {
	Node     string `help:"Only sessions on this node." placeholder:"NODE"`
	Identity string `help:"Only sessions of this identity." placeholder:"NAME"`
	Login    string `help:"Only sessions as this login." placeholder:"LOGIN"`
	Since    string `help:"Only sessions that started after: 7d, 36h, or a day." placeholder:"WHEN"`
	Until    string `help:"Only sessions that started before." placeholder:"WHEN"`
	Live     bool   `help:"Only sessions that have not ended."`
	Limit    int    `short:"n" default:"100" help:"At most so many (1 to 1000)."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

// Run lists sessions.
func (l *lsCommand) Run(c *call) error {
	filter, err := l.filter(c.now)
	if err != nil {
		return err
	}
	client, err := c.connect(c.ctx, c.env)
	if err != nil {
		return err
	}
	list := []wire.Session{}
	if err := client.Do(c.ctx, http.MethodGet, wire.PathSessions+"?"+filter.Query().Encode(), nil, &list); err != nil {
		return err
	}
	if l.JSON {
		e := json.NewEncoder(c.env.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(c.env.Stderr, "No sessions.")
		return nil
	}
	w := tabwriter.NewWriter(c.env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SESSION\tWHO\tLOGIN\tNODE\tSTART\tLASTED\tCOMMANDS\tFILES\tSEALED")
	for _, s := range list {
		fmt.Fprintln(w, row(s, c.now))
	}
	return w.Flush()
}

func row(s wire.Session, now time.Time) string {
	start := time.Unix(s.Started, 0)
	long, commands, files := lasted(now.Sub(start)), "", ""
	if s.Ended != 0 {
		long = lasted(time.Unix(s.Ended, 0).Sub(start))
		commands, files = strconv.FormatInt(s.Recording.Commands, 10), strconv.FormatInt(s.Recording.Files, 10)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", s.ID, s.Identity, s.Login, s.Node, started(start, now), long, commands, files, sealed(s))
}

// sealed is how it stands with a recording.
func sealed(s wire.Session) string {
	state := s.Recording.State
	switch {
	case state == "sealed":
		state = "ok"
	case state == "unsealed", state == "live" && s.Ended != 0:
		state = "not yet"
	case state == "" && s.Ended == 0:
		state = "live"
	}
	if s.Recording.Held != "" {
		state += ", held"
	}
	return state
}

func (l *lsCommand) filter(now time.Time) (f wire.SessionFilter, err error) {
	if l.Limit < 1 || l.Limit > 1000 {
		return f, fault.New(fault.Invalid, fault.BadRequest, "--limit is from 1 to 1000")
	}
	f = wire.SessionFilter{Live: l.Live, Limit: l.Limit}
	bad := func(err error) error { return fault.New(fault.Invalid, fault.BadRequest, "%v", err) }
	if l.Node != "" {
		if f.Node, err = id.ParseNodeName(l.Node); err != nil {
			return f, bad(err)
		}
	}
	if l.Identity != "" {
		if f.Identity, err = id.ParseIdentity(l.Identity); err != nil {
			return f, bad(err)
		}
	}
	if l.Login != "" {
		if f.Login, err = id.ParseLogin(l.Login); err != nil {
			return f, bad(err)
		}
	}
	since, err := ago(l.Since, now)
	if err != nil {
		return f, err
	}
	until, err := ago(l.Until, now)
	if err != nil {
		return f, err
	}
	if !since.IsZero() {
		f.Since = since.Unix()
	}
	if !until.IsZero() {
		f.Until = until.Unix()
	}
	return f, nil
}
