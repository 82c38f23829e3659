package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

type enrollCommand struct {
	places
	CA        string   `name:"ca" help:"Address of the CA, https://access.example.com." placeholder:"URL"`
	TokenFile string   `help:"File with the join token, or - for standard input." placeholder:"FILE"`
	Token     string   `help:"The join token. It shows in the list of processes for a moment: prefer --token-file." placeholder:"TOKEN"`
	Name      string   `help:"The node's name, as people type it. Default: the host name."`
	Alias     []string `help:"Further names and addresses for the host certificate; the token has to allow them." sep:"none" placeholder:"NAME"`
	Addr      string   `help:"Where proxies reach this sshd. Default: sshd's port at the address that the CA sees." placeholder:"HOST:PORT"`
	Replace   bool     `help:"Take the place of a user CA or KRL that sshd trusts already."`
	NoService bool     `help:"Do not install a systemd service that runs the agent."`
}

// newcomer is what enrolment finds out about this node before it asks the CA.
type newcomer struct {
	name id.NodeName
	addr string
	keys []ssh.PublicKey
	bare sshdconf.Effective
}

// run enrols this node. A second run without a token takes up where one stopped
// that the CA had let in already.
func (e enrollCommand) run(ctx context.Context, env cli.Env) error {
	token, err := e.joinToken(env)
	if err != nil {
		return err
	}
	n, err := e.openNode(ctx, env, changing)
	if err != nil {
		return err
	}
	defer n.close()
	say := func(format string, args ...any) { fmt.Fprintf(env.Stdout, "agent: "+format+"\n", args...) }

	// 1. What can be known here is checked before a token is used up.
	if err := n.installer.Recover(ctx); err != nil {
		return err
	}
	found, err := e.inspect(ctx, n, say)
	if err != nil {
		return err
	}
	// 2. The CA makes this machine a node, unless it has.
	known, err := loadEnrolment(n.config.Dir)
	var blobs [][]byte
	if err != nil || token != "" {
		if known, blobs, err = e.enrol(ctx, n, found, token); err != nil {
			return err
		}
		if err := known.store(n); err != nil {
			return err
		}
	}
	// 3. What the node should look like, and its host certificates.
	a, err := newAgent(n, known)
	if err != nil {
		return err
	}
	if err := a.fetch(ctx); err != nil {
		return err
	}
	if blobs == nil {
		err = a.renew(ctx)
	} else {
		a.want, err = a.want.certify(blobs, found.keys, time.Now())
	}
	if err != nil {
		return err
	}
	// 4. It is tested, installed, reloaded and seen to work, or taken back.
	if err := a.apply(ctx); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	a.sendReport(ctx)

	say("enrolled as %s%s. sshd %s: configuration tested, reloaded, checked by a connection.", known.Name, inBrackets(known.labels()), n.version)
	e.tellStrict(a, say)
	for _, line := range a.problems {
		say("%s", line)
	}
	return e.service(ctx, n, say)
}

// tellStrict says what still opens this node besides a proxy.
func (e enrollCommand) tellStrict(a *agent, say func(string, ...any)) {
	switch {
	case a.want.strict():
		say("strict mode is on: the way in is through a proxy.")
	case a.want.state.Strict:
		say("strict mode is off, and will be on after a login through a proxy has worked.")
	default:
		say("strict mode is off; existing keys still work. Turn it on: sallyport node set %s --strict", a.enrolled.Name)
	}
}

// inspect looks at sshd. Nothing is changed.
func (e enrollCommand) inspect(ctx context.Context, n *node, say func(string, ...any)) (newcomer, error) {
	var found newcomer
	name := e.Name
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return found, fmt.Errorf("ask for the host name: %w", err)
		}
		name = strings.ToLower(host)
	}
	var err error
	if found.name, err = id.ParseNodeName(name); err != nil {
		return found, fault.New(fault.Invalid, fault.BadRequest, "%v", err).Then("name the node with --name")
	}
	if found.bare, err = n.installer.Bare(ctx); err != nil {
		return found, err
	}
	if lines := displaced(found.bare); len(lines) > 0 && !e.Replace {
		return found, fault.New(fault.Conflict, fault.ConfigInvalid, "sshd has settings whose place Sallyport would take: %s", strings.Join(lines, ", ")).
			Then("remove them, or end what they do with --replace")
	}
	var notes []string
	if found.keys, notes, err = hostKeys(found.bare); err != nil {
		return found, err
	}
	for _, line := range notes {
		say("%s", line)
	}
	if found.addr = e.Addr; found.addr == "" {
		found.addr = net.JoinHostPort("", found.bare.One("port"))
	}
	if err := n.program.Probe(ctx, nil); err != nil {
		return found, fault.New(fault.Unavailable, fault.NodeAway, "sshd does not answer on this machine").
			Then("start it, or say with listen: in %s where it answers", e.Config).Because(err)
	}
	return found, nil
}

// enrol uses the token up.
func (e enrollCommand) enrol(ctx context.Context, n *node, found newcomer, token string) (enrolment, [][]byte, error) {
	if e.CA == "" || token == "" {
		return enrolment{}, nil, fault.New(fault.Invalid, fault.BadRequest, "enrolling takes --ca and a join token").
			Then("on an admin's machine: sallyport token create --name %s; here: sallyport agent enroll --ca URL --token-file FILE", found.name)
	}
	people, err := wire.NewClient(e.CA)
	if err != nil {
		return enrolment{}, nil, err
	}
	var discovery wire.Discovery
	if err := people.Do(ctx, http.MethodGet, wire.PathDiscovery, nil, &discovery); err != nil {
		return enrolment{}, nil, err
	}
	_, err = os.Stat(filepath.Join(n.config.Dir, identityFile))
	rejoin := !errors.Is(err, fs.ErrNotExist)
	client, err := n.client(discovery.Parts)
	if err != nil {
		return enrolment{}, nil, err
	}
	request := wire.EnrollRequest{
		Token: token, Part: wire.PartAgent, Name: string(found.name), Addr: found.addr, Names: e.Alias, Rejoin: rejoin,
	}
	for _, key := range found.keys {
		request.HostKeys = append(request.HostKeys, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
	}
	var answer wire.EnrollResponse
	if err := client.Do(ctx, http.MethodPost, wire.PathEnroll, request, &answer); err != nil {
		return enrolment{}, nil, err
	}
	if _, err := id.ParseNode(string(answer.Node)); err != nil {
		return enrolment{}, nil, fault.New(fault.Invalid, fault.BadRequest, "the CA's word is refused: %v", err)
	}
	var blobs [][]byte
	for _, c := range answer.Certificates {
		blobs = append(blobs, c.Certificate)
	}
	return enrolment{CA: people.URL(), Door: discovery.Parts, Node: answer.Node, Name: found.name, Labels: answer.Labels}, blobs, nil
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
