package audit

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

type lsCommand struct {
	Who     string   `help:"Only events of or about this identity." placeholder:"NAME"`
	Node    string   `help:"Only events about this node." placeholder:"NODE"`
	Login   string   `help:"Only events about this login." placeholder:"LOGIN"`
	Kind    []string `help:"Only these kinds, such as session_denied." placeholder:"KIND"`
	Session string   `help:"Only events of this session." placeholder:"SESSION"`
	Reason  string   `help:"Only events with this reason, such as no_role." placeholder:"REASON"`
	Since   string   `help:"Only events after: 7d, 36h, or a day." placeholder:"WHEN"`
	Until   string   `help:"Only events before." placeholder:"WHEN"`
	Limit   int      `short:"n" default:"100" help:"At most so many, the newest (1 to 1000)."`
	Follow  bool     `short:"f" help:"Then print new events as they come."`
	JSON    bool     `name:"json" help:"Print each event as it was logged, one a line."`
}

// poll is how long the CA may hold back its answer, in seconds; a call of the
// client ends after 60.
const poll = 45

// Run lists events, the newest last, as a log reads.
func (l *lsCommand) Run(c *call) error {
	filter, err := l.filter(c.now)
	if err != nil {
		return err
	}
	client, err := c.connect(c.ctx, c.env)
	if err != nil {
		return err
	}
	var page wire.AuditPage
	if err := ask(c, client, filter, &page); err != nil {
		return err
	}
	slices.Reverse(page.Entries)
	if len(page.Entries) == 0 && !l.Follow {
		fmt.Fprintln(c.env.Stderr, "No events.")
		return nil
	}
	p := &printer{w: c.env.Stdout, json: l.JSON, zone: c.now.Location()}
	if l.Follow {
		p.least = roomy
	}
	if err := p.print(page.Entries); err != nil || !l.Follow {
		return err
	}
	filter.From, filter.Oldest, filter.Wait, filter.Limit = page.Size, true, poll, 1000
	for {
		page = wire.AuditPage{}
		switch err := ask(c, client, filter, &page); {
		case c.ctx.Err() != nil:
			return nil
		case fault.Of(err).Kind == fault.Unavailable:
			// The CA is started anew, say. Nothing is lost: From stays.
			fmt.Fprintf(c.env.Stderr, "sallyport: %s; trying again\n", fault.Of(err).Text)
			select {
			case <-c.ctx.Done():
				return nil
			case <-time.After(5 * time.Second):
			}
			continue
		case err != nil:
			return err
		}
		if err := p.print(page.Entries); err != nil {
			return err
		}
		// A full page may have more behind it, an empty one has been read to Size.
		filter.From = max(filter.From, page.Size)
		if n := len(page.Entries); n == filter.Limit {
			filter.From = page.Entries[n-1].Index + 1
		}
	}
}

func ask(c *call, client *wire.Client, f wire.AuditFilter, page *wire.AuditPage) error {
	return client.Do(c.ctx, http.MethodGet, wire.PathAudit+"?"+f.Query().Encode(), nil, page)
}

func (l *lsCommand) filter(now time.Time) (f wire.AuditFilter, err error) {
	bad := func(err error) (wire.AuditFilter, error) {
		return wire.AuditFilter{}, fault.New(fault.Invalid, fault.BadRequest, "%v", err)
	}
	if l.Limit < 1 || l.Limit > 1000 {
		return bad(fmt.Errorf("--limit is from 1 to 1000"))
	}
	f = wire.AuditFilter{Reason: l.Reason, Limit: l.Limit}
	if l.Who != "" {
		if f.Identity, err = id.ParseIdentity(l.Who); err != nil {
			return bad(err)
		}
	}
	if l.Node != "" {
		if f.Node, err = id.ParseNodeName(l.Node); err != nil {
			return bad(err)
		}
	}
	if l.Login != "" {
		if f.Login, err = id.ParseLogin(l.Login); err != nil {
			return bad(err)
		}
	}
	if l.Session != "" {
		if f.Session, err = id.ParseSession(l.Session); err != nil {
			return bad(err)
		}
	}
	for _, kind := range l.Kind {
		if !slices.Contains(audit.Kinds(), audit.Kind(kind)) {
			return bad(fmt.Errorf("no events are called %q; there are: %s", kind, kinds()))
		}
		f.Kind = append(f.Kind, kind)
	}
	if f.Since, err = ago(l.Since, now); err != nil {
		return f, err
	}
	f.Until, err = ago(l.Until, now)
	return f, err
}

func kinds() string {
	var all []string
	for _, k := range audit.Kinds() {
		all = append(all, string(k))
	}
	return strings.Join(all, ", ")
}

// ago reads how far back, "7d", "36h", "90m", or a day, "2026-03-02", in now's
// zone, as Unix seconds. "" is 0.
func ago(s string, now time.Time) (int64, error) {
	if s == "" {
		return 0, nil
	}
	if t, err := time.ParseInLocation("2006-01-02", s, now.Location()); err == nil {
		return t.Unix(), nil
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04", s, now.Location()); err == nil {
		return t.Unix(), nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.Add(-time.Duration(n) * 24 * time.Hour).Unix(), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d).Unix(), nil
	}
	return 0, fault.New(fault.Invalid, fault.BadRequest, "%q is no time", s).
		Then(`use 7d, 36h, 90m, a day like 2026-03-02 or a minute like "2026-03-02 14:05"`)
}
