package login

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
	"github.com/sallyport-ssh/sallyport/login/internal/plain"
)

// status is what `sallyport status --json` prints.
type status struct {
	LoggedIn    bool             `json:"logged_in"` // ssh works now, or the next one renews by itself
	CA          string           `json:"ca"`
	Name        string           `json:"name"` // of the CA
	Identity    id.Identity      `json:"identity"`
	Groups      []string         `json:"groups"`
	ValidBefore int64            `json:"valid_before"`
	Serial      id.Serial        `json:"serial"`
	Renews      bool             `json:"renews"`
	RenewsUntil int64            `json:"renews_until,omitempty"` // 0: the issuer did not say
	Trouble     string           `json:"trouble,omitempty"`      // of the last renewal
	Proxies     []wire.ProxyAddr `json:"proxies"`
}

// statusCommand says who is logged in. It asks nobody. Its exit status is 1 when
// ssh would have to sign in first.
func statusCommand(_ context.Context, env cli.Env, args []string) error {
	var g struct {
		JSON bool `name:"json" help:"Print JSON."`
	}
	if _, err := cli.Parse(env, "sallyport status", "Who is logged in, and until when.", &g, args); err != nil {
		return err
	}
	p, err := newPerson(env)
	if err != nil {
		return err
	}
	s, err := p.dir.LoadState()
	var c *certificate
	if err == nil {
		c, err = p.certificate()
	}
	if err != nil {
		if g.JSON && fault.ReasonOf(err) == home.ErrNotLoggedIn.Reason {
			return notLoggedIn(printJSON(p, status{Groups: []string{}, Proxies: []wire.ProxyAddr{}}))
		}
		return err
	}
	st := status{
		CA: s.URL, Name: s.Discovery.Name, Identity: s.Identity, Groups: s.Groups, ValidBefore: c.to.Unix(), Serial: id.Serial(c.Serial),
		Renews: s.Refresh != home.KeeperNone || s.TokenFile != "" || s.TokenEnv != "", RenewsUntil: s.RefreshUntil,
		Trouble: s.Trouble, Proxies: s.Discovery.Proxies,
	}
	st.LoggedIn = c.at(p.now()) != over || st.Renews
	if g.JSON {
		err = printJSON(p, st)
	} else {
		err = st.print(p, s, c)
	}
	if err == nil && !st.LoggedIn {
		err = notLoggedIn(nil)
	}
	return err
}

func notLoggedIn(err error) error {
	if err != nil {
		return err
	}
	return &cli.Exit{Status: 1, Silent: true}
}

func printJSON(p *person, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	_, err = fmt.Fprintf(p.out, "%s\n", text)
	return err
}

func (st status) print(p *person, s home.State, c *certificate) error {
	ends := "until " + until(c.to, p.now()) + p.renewal(s)
	switch {
	case c.at(p.now()) == over && st.Renews:
		ends = "ended at " + until(c.to, p.now()) + "; the next ssh renews it"
	case c.at(p.now()) == over:
		ends = "ended at " + until(c.to, p.now()) + "; run: sallyport login"
	}
	groups := "none"
	if len(s.Groups) > 0 {
		groups = plain.List(s.Groups)
	}
	proxies := []string{}
	for _, x := range st.Proxies {
		proxies = append(proxies, plain.Text(fmt.Sprintf("%s (%s)", x.Name, x.Addr)))
	}
	ca := s.URL
	if st.Name != "" {
		ca = plain.Text(st.Name) + ", " + s.URL
	}
	if len(proxies) == 0 {
		proxies = []string{"none yet"}
	}
	rows := [][2]string{
		{"Signed in as", string(s.Identity)}, {"Groups", groups}, {"Certificate", ends},
		{"Proxies", strings.Join(proxies, ", ")}, {"CA", ca},
	}
	if s.Trouble != "" {
		rows = append(rows, [2]string{"Last renewal", s.Trouble + ", at " + until(time.Unix(s.Tried, 0), p.now())})
	}
	for _, row := range rows {
		if _, err := fmt.Fprintf(p.out, "%-13s %s\n", row[0], row[1]); err != nil {
			return err
		}
	}
	return nil
}
