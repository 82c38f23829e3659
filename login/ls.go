package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
	"github.com/sallyport-ssh/sallyport/login/internal/plain"
)

// lsCommand lists the nodes that the person may reach, and as whom; and since it
// has the list in hand, it brings ssh's files up to it.
func lsCommand(ctx context.Context, env cli.Env, args []string) error {
	var g struct {
		JSON bool `name:"json" help:"Print JSON."`
	}
	if _, err := cli.Parse(env, "sallyport ls", "The nodes that you may reach, and as whom.", &g, args); err != nil {
		return err
	}
	p, err := newPerson(env)
	if err != nil {
		return err
	}
	client, err := Connect(ctx, env)
	if err != nil {
		return err
	}
	nodes := []wire.ReachableNode{}
	if err := client.Do(ctx, http.MethodGet, wire.PathNodes, nil, &nodes); err != nil {
		return err
	}
	if err := p.refreshSSH(nodes); err != nil {
		return err
	}
	switch {
	case g.JSON:
		return printJSON(p, nodes)
	case len(nodes) == 0:
		_, err = fmt.Fprintln(p.out, "No role gives you a login on any node.")
		return err
	}
	return printNodes(p.out, nodes)
}

// refreshSSH writes ssh's files for nodes, unless somebody else is writing them
// this very moment.
func (p *person) refreshSSH(nodes []wire.ReachableNode) error {
	lock, err := p.dir.TryLock()
	if err != nil || lock == nil {
		return err
	}
	defer lock.Unlock()
	s, err := p.dir.LoadState()
	if errors.Is(err, home.ErrNotLoggedIn) {
		return nil // a logout was faster
	}
	if err != nil {
		return err
	}
	files, err := p.sshFiles(s, nodes)
	if err != nil {
		return err
	}
	return p.writeSSH(files)
}

// printNodes prints a row for each node and each set of roles that gives logins
// there.
func printNodes(w io.Writer, nodes []wire.ReachableNode) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tLOGINS\tLABELS\tROLE")
	for _, n := range nodes {
		var labels []string
		for _, key := range slices.Sorted(maps.Keys(n.Labels)) {
			labels = append(labels, plain.Text(key+"="+n.Labels[key]))
		}
		logins := map[string][]string{} // by roles
		for _, l := range n.Logins {
			roles := plain.List(l.Roles)
			logins[roles] = append(logins[roles], plain.Text(string(l.Login)))
		}
		for _, roles := range slices.Sorted(maps.Keys(logins)) {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", n.Name, strings.Join(logins[roles], ", "), strings.Join(labels, " "), roles)
		}
	}
	return t.Flush()
}
