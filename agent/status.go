package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

type statusCommand struct {
	places
	JSON bool `help:"Print JSON." name:"json"`
}

// standing is how a node stands, as far as can be seen on it.
type standing struct {
	Node     id.Node     `json:"node"`
	Name     id.NodeName `json:"name"`
	CA       string      `json:"ca"`
	Running  bool        `json:"running"` // an agent holds the lock
	Sshd     string      `json:"sshd"`
	Version  int64       `json:"version"` // of the state in force, 0 for none
	Strict   bool        `json:"strict"`  // wanted
	StrictOn bool        `json:"strict_on"`
	Until    int64       `json:"until"`      // of the host certificate that ends first, 0 for none
	Keys     []string    `json:"host_keys"`  // certified, by type
	Trust    []string    `json:"session_ca"` // fingerprints
	Drift    []string    `json:"drift"`
	Problems []string    `json:"problems"`
}

// survey looks at the node without changing or asking anything.
func survey(ctx context.Context, n *node) (standing, error) {
	enrolled, err := loadEnrolment(n.config.Dir)
	if err != nil {
		return standing{}, err
	}
	s := standing{
		Node: enrolled.Node, Name: enrolled.Name, CA: enrolled.CA, Running: n.locked(), Sshd: n.version.String(),
		Keys: []string{}, Trust: []string{}, Drift: []string{}, Problems: []string{},
	}
	a := &agent{node: n, enrolled: enrolled, log: n.log}
	source, err := n.installer.Source()
	if err != nil {
		return s, err
	}
	if source == nil {
		s.Problems = append(s.Problems, "nothing is installed yet: run: sallyport agent enroll")
		return s, nil
	}
	if a.want, err = restore(source, enrolled.Node); err != nil {
		s.Problems = append(s.Problems, "what was stored cannot be read: "+fault.Of(err).Text)
	}
	s.Version, s.Strict = a.want.state.Version, a.want.state.Strict
	if s.StrictOn, err = n.strict(ctx); err != nil {
		return s, err
	}
	// Asked last: what sshd said of files that are just being installed is not
	// yet so.
	if !n.installer.Settled() {
		s.StrictOn = false
		s.Problems = append(s.Problems, "an installation is under way, or was not finished")
	}
	for _, c := range a.want.certificates {
		s.Keys = append(s.Keys, c.Key.Type())
		if until := int64(c.ValidBefore); s.Until == 0 || until < s.Until {
			s.Until = until
		}
	}
	for _, key := range a.want.sessionCA {
		s.Trust = append(s.Trust, ssh.FingerprintSHA256(key))
	}
	if s.Until != 0 && s.Until < time.Now().Unix() {
		s.Problems = append(s.Problems, "the host certificate has ended")
	}
	if !s.Running {
		s.Problems = append(s.Problems, "no agent runs: nothing is renewed")
	}
	return s, a.surveySshd(ctx, &s)
}

func (a *agent) surveySshd(ctx context.Context, s *standing) error {
	drift, err := a.node.installer.Drift(ctx)
	if err != nil {
		return err
	}
	s.Drift = append(s.Drift, drift...)
	bare, err := a.node.installer.Bare(ctx)
	if err != nil {
		return err
	}
	s.Problems = append(s.Problems, a.look(bare)...)
	return nil
}

func (c statusCommand) run(ctx context.Context, env cli.Env) error {
	n, err := c.openNode(ctx, env, looking)
	if err != nil {
		return err
	}
	s, err := survey(ctx, n)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(env.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(env.Stdout, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("node", "%s (%s) of %s", s.Name, s.Node, s.CA)
	line("agent", "%s", map[bool]string{true: "running", false: "not running"}[s.Running])
	line("sshd", "%s, configuration %d", s.Sshd, s.Version)
	if s.Until != 0 {
		line("certificate", "until %s, for %s", time.Unix(s.Until, 0).Format("Mon 2 Jan 15:04"), strings.Join(s.Keys, ", "))
	}
	line("session CA", "%s", strings.Join(s.Trust, ", "))
	line("strict", "%s", s.strictWords())
	for _, d := range s.Drift {
		line("drift", "%s", d)
	}
	for _, p := range s.Problems {
		line("problem", "%s", p)
	}
	return nil
}

func (s standing) strictWords() string {
	switch {
	case s.StrictOn:
		return "on: the way in is through a proxy"
	case s.Strict:
		return "off: " + strictWaits
	}
	return "off: existing keys still work"
}

type checkCommand struct{ places }

// run prints the effective configuration and everything that is wrong. The exit
// status is 1 when something is.
func (c checkCommand) run(ctx context.Context, env cli.Env) error {
	conf, err := c.load()
	if err != nil {
		return err
	}
	if err := config.Print(env.Stdout, conf); err != nil {
		return err
	}
	n, err := c.openNode(ctx, env, looking)
	if err != nil {
		return err
	}
	if err := n.program.Test(ctx, n.program.Config); err != nil {
		return err
	}
	s, err := survey(ctx, n)
	if err != nil {
		return err
	}
	if err := n.program.Probe(ctx, nil); err != nil {
		s.Problems = append(s.Problems, fault.Of(err).Text)
	}
	if len(s.Drift)+len(s.Problems) == 0 {
		fmt.Fprintln(env.Stdout, "# nothing is wrong")
		return nil
	}
	for _, line := range append(s.Drift, s.Problems...) {
		fmt.Fprintf(env.Stdout, "# wrong: %s\n", line)
	}
	return &cli.Exit{Status: 1, Silent: true}
}
