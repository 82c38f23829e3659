package directory

import (
	"context"
	"fmt"
	"reflect"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// View is the state at one version. It never changes; take one per request.
type View struct {
	Version int64
	// Revision is the applied policy; number 0 before there is one.
	Revision store.Revision
	// Policy is Revision, ready to decide. It denies everything where this
	// program cannot read the revision.
	Policy *policy.Policy
	// Nodes and Proxies by name, in that order.
	Nodes   []store.Node
	Proxies []store.Proxy

	byName map[id.NodeName]*store.Node
	byPin  map[string]*store.Node
	proxy  map[string]*store.Proxy // by pin

	// The versions at which things changed, as far back as this process knows:
	// what was there when it started counts as changed then. A long poll that
	// asks with an older version gets an answer at once, and no harm is done.
	names   int64             // the set of nodes' names
	proxies int64             // addresses of proxies
	node    map[id.Node]int64 // what a node's agent is told
}

// Node returns the node of that name, nil if there is none.
func (v *View) Node(name id.NodeName) *store.Node { return v.byName[name] }

// NodeByPin returns the node whose agent has that TLS key, nil if there is none.
func (v *View) NodeByPin(pin []byte) *store.Node { return v.byPin[string(pin)] }

// ProxyByPin returns the proxy that has that TLS key, nil if there is none.
func (v *View) ProxyByPin(pin []byte) *store.Proxy { return v.proxy[string(pin)] }

// Addrs are the proxies as people and nodes reach them.
func (v *View) Addrs() []wire.ProxyAddr {
	list := make([]wire.ProxyAddr, len(v.Proxies))
	for i, p := range v.Proxies {
		list[i] = p.ProxyAddr
	}
	return list
}

// AgentNews says whether something that the agent of node is told has changed
// after version since.
func (v *View) AgentNews(node id.Node, since int64) bool {
	return max(v.proxies, v.node[node]) > since
}

// ProxyNews says whether something that proxies are told has changed after
// version since.
func (v *View) ProxyNews(since int64) bool { return v.names > since }

// Reachable lists the nodes on which access gives a login.
func (v *View) Reachable(access policy.Access) []wire.ReachableNode {
	list := []wire.ReachableNode{}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		logins := access.Logins(PolicyNode(n))
		if len(logins) == 0 {
			continue
		}
		row := wire.ReachableNode{Name: n.Name, Labels: n.Labels}
		for _, l := range logins {
			row.Logins = append(row.Logins, wire.ReachableLogin{Login: l.Login, Roles: l.Roles})
		}
		list = append(list, row)
	}
	return list
}

// PolicyNode is n as policy sees it.
func PolicyNode(n *store.Node) policy.Node {
	return policy.Node{Name: n.Name, Labels: n.Labels}
}

// load reads everything.
func (d *Directory) load(ctx context.Context, old *View, version int64) (*View, error) {
	v := &View{Version: version}
	var err error
	if v.Revision, err = d.source.Policy(ctx); err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	if v.Nodes, err = d.source.Nodes(ctx); err != nil {
		return nil, fmt.Errorf("read nodes: %w", err)
	}
	if v.Proxies, err = d.source.Proxies(ctx); err != nil {
		return nil, fmt.Errorf("read proxies: %w", err)
	}
	v.Policy = d.compile(old, v.Revision)
	v.index()
	v.compare(old)
	return v, nil
}

// compile loads a revision. One that this program cannot read was applied by a
// newer one; it denies everything here, and says so.
func (d *Directory) compile(old *View, r store.Revision) *policy.Policy {
	if old != nil && old.Revision.Revision == r.Revision {
		return old.Policy
	}
	if r.Revision == 0 {
		return nil
	}
	p, err := policy.Load(r.Files)
	if err != nil {
		d.log.Error("the applied policy cannot be read, and everybody is refused", "revision", r.Revision, "err", err)
		return nil
	}
	d.log.Info("policy in force", "revision", r.Revision, "author", r.Author)
	return p
}

func (v *View) index() {
	v.byName = make(map[id.NodeName]*store.Node, len(v.Nodes))
	v.byPin = make(map[string]*store.Node, len(v.Nodes))
	v.proxy = make(map[string]*store.Proxy, len(v.Proxies))
	for i := range v.Nodes {
		n := &v.Nodes[i]
		v.byName[n.Name] = n
		if len(n.Pin) > 0 {
			v.byPin[string(n.Pin)] = n
		}
	}
	for i := range v.Proxies {
		if p := &v.Proxies[i]; len(p.Pin) > 0 {
			v.proxy[string(p.Pin)] = p
		}
	}
}

// compare notes what is new in v.
func (v *View) compare(old *View) {
	v.names, v.proxies = v.Version, v.Version
	v.node = make(map[id.Node]int64, len(v.Nodes))
	for i := range v.Nodes {
		v.node[v.Nodes[i].ID] = v.Version
	}
	if old == nil {
		return
	}
	if sameNames(old.Nodes, v.Nodes) {
		v.names = old.names
	}
	if reflect.DeepEqual(old.Addrs(), v.Addrs()) {
		v.proxies = old.proxies
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if before := old.byName[n.Name]; before != nil && before.ID == n.ID &&
			before.Strict == n.Strict && (before.Proven != 0) == (n.Proven != 0) {
			v.node[n.ID] = old.node[n.ID]
		}
	}
}

func sameNames(a, b []store.Node) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name {
			return false
		}
	}
	return true
}
