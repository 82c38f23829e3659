package sessions

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/plain"
)

type searchCommand struct {
	Words    []string `arg:"" help:"Words that a line must have; a phrase in quotes; a beginning with a star: 'drop table', '\"drop table\"', 'pass*'."`
	Kind     []string `help:"Only lines of: command, typed, output, file, identity." placeholder:"KIND"`
	Node     string   `help:"Only sessions on this node." placeholder:"NODE"`
	Identity string   `help:"Only sessions of this identity." placeholder:"NAME"`
	Login    string   `help:"Only sessions as this login." placeholder:"LOGIN"`
	Since    string   `help:"Only sessions that started after: 7d, 36h, or a day." placeholder:"WHEN"`
	Until    string   `help:"Only sessions that started before." placeholder:"WHEN"`
	Limit    int      `short:"n" default:"50" help:"At most so many lines (1 to 500)."`
	Before   string   `help:"Go on after the last page: what it printed." placeholder:"PAGE"`
	JSON     bool     `name:"json" help:"Print JSON."`
}

// Run searches what was said in sessions.
func (s *searchCommand) Run(c *call) error {
	if s.Limit < 1 || s.Limit > 500 {
		return fault.New(fault.Invalid, fault.BadRequest, "--limit is from 1 to 500")
	}
	filter, err := (&lsCommand{Node: s.Node, Identity: s.Identity, Login: s.Login, Since: s.Since, Until: s.Until, Limit: s.Limit}).filter(c.now)
	if err != nil {
		return err
	}
	client, err := c.connect(c.ctx, c.env)
	if err != nil {
		return err
	}
	query := wire.SearchQuery{
		Text: strings.Join(s.Words, " "), Kind: s.Kind, Identity: filter.Identity, Node: filter.Node, Login: filter.Login,
		Since: filter.Since, Until: filter.Until, Limit: s.Limit, Before: s.Before,
	}
	var result wire.SearchResult
	if err := client.Do(c.ctx, http.MethodGet, wire.PathSearch+"?"+query.Query().Encode(), nil, &result); err != nil {
		return err
	}
	if s.JSON {
		e := json.NewEncoder(c.env.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(result)
	}
	if err := s.print(c, result); err != nil {
		return err
	}
	s.remarks(c, result)
	return nil
}

// print writes a line for each hit. What a session said is not said to the
// auditor's terminal.
func (s *searchCommand) print(c *call, result wire.SearchResult) error {
	if len(result.Hits) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(c.env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SESSION\tWHEN\tWHO\tWHERE\tKIND\tLINE\tPLAY")
	for _, h := range result.Hits {
		at := time.UnixMilli(h.At)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s@%s\t%s\t%s\tsallyport play %s --at %s\n", h.Session, started(at, c.now)+at.Format(":05"), h.Identity,
			h.Login, h.Node, h.Kind, short(plain.Text(h.Text)), h.Session, playAt(h))
	}
	return w.Flush()
}

// remarks say, on stderr, what the hits do not.
func (s *searchCommand) remarks(c *call, result wire.SearchResult) {
	say := func(format string, args ...any) { fmt.Fprintf(c.env.Stderr, format+"\n", args...) }
	if len(result.Hits) == 0 {
		say("Nothing was found.")
	}
	if result.Next != "" {
		say("There may be more: --before %s", result.Next)
	}
	if result.Locked > 0 {
		say("%d sessions are encrypted to keys that the CA has not, and cannot be searched there.", result.Locked)
	}
	if result.Pending > 0 {
		say("%d sessions are not indexed yet; try again in a moment.", result.Pending)
	}
}

// lineWidth is how much of a line is printed.
const lineWidth = 72

func short(text string) string {
	if r := []rune(text); len(r) > lineWidth {
		return string(r[:lineWidth-1]) + "…"
	}
	return text
}

// playAt is where to begin to play: a little before, so that the line is seen to
// come.
func playAt(h wire.SearchHit) string {
	offset := max(time.Duration(h.Offset)*time.Millisecond-2*time.Second, 0).Truncate(time.Second)
	if offset >= 24*time.Hour { // a time of day would be the first one
		return "+" + offset.String()
	}
	return time.Unix(h.Started, 0).Add(offset).Format("15:04:05")
}
