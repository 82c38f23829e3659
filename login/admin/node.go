package admin

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

type nodeFlags struct {
	Ls  listFlags `cmd:"" help:"List the nodes."`
	Add addFlags  `cmd:"" help:"Add a node that has no agent."`
	Set setFlags  `cmd:"" help:"Change a node."`
	Rm  rmFlags   `cmd:"" help:"Remove nodes; their agents have to enrol again."`
}

type listFlags struct {
	output
}

type addFlags struct {
	Name        string   `arg:"" help:"What people type after the @."`
	Addr        string   `required:"" placeholder:"HOST:PORT" help:"Where proxies reach its sshd; port 22 if none is given."`
	HostKey     []string `sep:"none" placeholder:"FILE" help:"Its public host key, /etc/ssh/ssh_host_ed25519_key.pub; - is standard input."`
	Scan        bool     `help:"Ask its sshd for the keys, and you whether they are right."`
	Fingerprint []string `sep:"none" placeholder:"SHA256:..." help:"With --scan: pin the key with this fingerprint, ask nobody."`
	Label       []string `sep:"none" placeholder:"NAME=VALUE" help:"A label that policy may match."`
	output
}

type setFlags struct {
	Name    string   `arg:"" help:"The node."`
	Strict  *bool    `help:"No authorized_keys and no passwords any more (--strict=false: again)."`
	Addr    string   `placeholder:"HOST:PORT" help:"Where proxies reach its sshd."`
	Label   []string `sep:"none" placeholder:"NAME=VALUE" help:"Set this label, keep the others."`
	Unlabel []string `sep:"none" placeholder:"NAME" help:"Take this label away."`
	HostKey []string `sep:"none" placeholder:"FILE" help:"Pin these host keys instead of the old ones."`
	output
}

type rmFlags struct {
	Names []string `arg:"" name:"name" help:"The nodes."`
	output
}

func (a admin) node(ctx context.Context, env cli.Env, args []string) error {
	var flags nodeFlags
	parsed, err := cli.Parse(env, "sallyport node", "The hosts that people ssh to.", &flags, args)
	if err != nil {
		return err
	}
	switch name, _, _ := strings.Cut(parsed.Command(), " "); name {
	case "ls":
		return a.listNodes(ctx, env, flags.Ls)
	case "add":
		return a.addNode(ctx, env, flags.Add)
	case "set":
		return a.setNode(ctx, env, flags.Set)
	default:
		return a.removeNodes(ctx, env, flags.Rm)
	}
}

func (a admin) listNodes(ctx context.Context, env cli.Env, flags listFlags) error {
	var nodes []wire.Node
	if err := a.call(ctx, env, http.MethodGet, wire.PathAdminNodes, nil, &nodes); err != nil {
		return err
	}
	nodes = append([]wire.Node{}, nodes...) // a script reads [], not null
	return flags.show(env.Stdout, nodes, func(w io.Writer) { printNodes(w, nodes, time.Now()) })
}

func printNodes(w io.Writer, nodes []wire.Node, now time.Time) {
	if len(nodes) == 0 {
		fmt.Fprintln(w, "No nodes yet. With an agent: sallyport token create --name NAME   Without: sallyport node add NAME")
		return
	}
	slices.SortFunc(nodes, func(a, b wire.Node) int { return strings.Compare(string(a.Name), string(b.Name)) })
	t := newTable("NODE", "ADDRESS", "LABELS", "AGENT", "STRICT", "SSHD", "NOTES")
	for _, n := range nodes {
		agent, strict := "none", "-"
		if n.Agent {
			agent, strict = "never seen", "off"
			if n.Seen > 0 {
				agent = short(now.Sub(time.Unix(n.Seen, 0))) + " ago"
			}
			if n.StrictOn {
				strict = "on"
			}
		}
		t.add(string(n.Name), n.Addr, pairs(n.Labels), agent, strict, n.Sshd, strings.Join(notes(n, now), "; "))
	}
	t.print(w)
}

// notes are what an admin should look at; none on a node that is well.
func notes(n wire.Node, now time.Time) []string {
	var list []string
	note := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if len(n.Drift) > 0 {
		note("%s changed by hand: %s", count(len(n.Drift), "file"), strings.Join(n.Drift, ", "))
	}
	if n.Agent {
		if until := time.Unix(n.CertUntil, 0); n.CertUntil > 0 && until.Before(now) {
			note("host certificate ended %s ago", short(now.Sub(until)))
		} else if n.CertUntil > 0 && until.Sub(now) < 48*time.Hour {
			note("host certificate ends in %s", short(until.Sub(now)))
		}
		if n.Strict && !n.StrictOn {
			note("strict mode is wanted")
		} else if !n.Strict && n.StrictOn {
			note("strict mode is to end")
		}
	}
	if n.Proven == 0 {
		note("no login through a proxy yet")
	}
	return list
}

func (a admin) addNode(ctx context.Context, env cli.Env, flags addFlags) error {
	request := wire.AddNode{Addr: withPort(flags.Addr)}
	name, err := id.ParseNodeName(flags.Name)
	if err != nil {
		return badUsage("%v", err)
	}
	request.Name = name
	if request.Labels, err = labels(flags.Label); err != nil {
		return err
	}
	switch {
	case flags.Scan == (len(flags.HostKey) > 0):
		return badUsage("a proxy has to know %s by its host key: give --host-key FILE, or --scan", name)
	case len(flags.Fingerprint) > 0 && !flags.Scan:
		return badUsage("--fingerprint goes with --scan")
	case flags.Scan:
		request.HostKeys, err = scanKeys(ctx, env, request.Addr, flags.Fingerprint)
	default:
		request.HostKeys, err = readKeys(env, flags.HostKey)
	}
	if err != nil {
		return err
	}
	var added wire.NodeAdded
	if err := a.call(ctx, env, http.MethodPost, wire.PathAdminNodes, request, &added); err != nil {
		return err
	}
	return flags.show(env.Stdout, added, func(w io.Writer) {
		fmt.Fprintf(w, "Added %s at %s, known by %s.\n", name, request.Addr, count(len(request.HostKeys), "host key"))
		fmt.Fprintf(w, "\nThe session CA's key, for the file that the lines below name:\n\n%s", printableLines(added.SessionCA))
		fmt.Fprintf(w, "\nThe lines for sshd:\n\n%s", printableLines(added.SshdConfig))
		fmt.Fprintf(w, "\nThen, on %s:  sshd -t && systemctl reload ssh\n", name)
	})
}

// withPort adds ssh's port where none is given.
func withPort(addr string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), "22")
}

func (a admin) setNode(ctx context.Context, env cli.Env, flags setFlags) error {
	client, err := a.connect(ctx, env)
	if err != nil {
		return err
	}
	request := wire.SetNode{Strict: flags.Strict}
	if flags.Addr != "" {
		addr := withPort(flags.Addr)
		request.Addr = &addr
	}
	if len(flags.HostKey) > 0 {
		keys, err := readKeys(env, flags.HostKey)
		if err != nil {
			return err
		}
		request.HostKeys = &keys
	}
	if len(flags.Label)+len(flags.Unlabel) > 0 {
		if request.Labels, err = relabel(ctx, client, flags); err != nil {
			return err
		}
	}
	if request == (wire.SetNode{}) {
		return badUsage("nothing to set on %s", flags.Name).Then("see: sallyport node set --help")
	}
	var n wire.Node
	if err := client.Do(ctx, http.MethodPatch, fill(wire.PathAdminNode, flags.Name), request, &n); err != nil {
		return err
	}
	return flags.show(env.Stdout, n, func(w io.Writer) { printSet(w, request, n) })
}

// relabel returns the labels that the node has with those of the flags. Two
// admins who relabel one node in the same second are not told of each other.
func relabel(ctx context.Context, client *wire.Client, flags setFlags) (*map[string]string, error) {
	wanted, err := labels(flags.Label)
	if err != nil {
		return nil, err
	}
	var nodes []wire.Node
	if err := client.Do(ctx, http.MethodGet, wire.PathAdminNodes, nil, &nodes); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(nodes, func(n wire.Node) bool { return string(n.Name) == flags.Name })
	if i < 0 {
		return nil, fault.New(fault.Missing, fault.NodeUnknown, "there is no node %q", flags.Name).Then("run: sallyport node ls")
	}
	have := maps.Clone(nodes[i].Labels)
	if have == nil {
		have = map[string]string{}
	}
	for _, name := range flags.Unlabel {
		if _, ok := have[name]; !ok {
			return nil, badUsage("%s has no label %q", flags.Name, name)
		}
		delete(have, name)
	}
	maps.Copy(have, wanted)
	return &have, nil
}

func printSet(w io.Writer, request wire.SetNode, n wire.Node) {
	if request.Addr != nil {
		fmt.Fprintf(w, "%s is at %s.\n", n.Name, printable(n.Addr))
	}
	if request.Labels != nil {
		fmt.Fprintf(w, "%s has labels %s.\n", n.Name, printable(pairs(n.Labels)))
	}
	if request.HostKeys != nil {
		fmt.Fprintf(w, "%s is known by %s.\n", n.Name, count(len(n.HostKeys), "host key"))
	}
	if request.Strict == nil {
		return
	}
	switch {
	case !n.Strict:
		fmt.Fprintf(w, "%s: strict mode goes off when its agent hears of it.\n", n.Name)
	case n.Proven == 0:
		fmt.Fprintf(w, "%s: strict mode goes on after the first login through a proxy; so far there was none.\n", n.Name)
	default:
		fmt.Fprintf(w, "%s: strict mode goes on when its agent hears of it.\n", n.Name)
	}
}

func (a admin) removeNodes(ctx context.Context, env cli.Env, flags rmFlags) error {
	return a.remove(ctx, env, wire.PathAdminNode, flags.Names, flags.output)
}
