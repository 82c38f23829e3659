package parts

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/directory"
	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// maxWait is how long a long poll may be, so that load balancers leave it alone.
const maxWait = 5 * time.Minute

// agentState tells an agent what its node should look like, when that differs
// from what it was told at version since, or when it has waited long enough.
func (p *parts) agentState(w http.ResponseWriter, c *call) error {
	n := c.Caller.Node
	view, err := p.poll(w, c, func(v *directory.View, since int64) bool { return v.AgentNews(n.ID, since) })
	if err != nil {
		return err
	}
	if n = view.NodeByPin(c.Caller.Pin); n == nil {
		return notEnrolled() // removed while it waited
	}
	return send(w, wire.AgentState{
		Version: view.Version, Node: n.ID, Name: n.Name, Trust: p.Trust, Proxies: view.Addrs(),
		KRL: p.krl, Strict: n.Strict, Proven: n.Proven != 0,
	})
}

// proxyState tells a proxy for which nodes it may ask certificates.
func (p *parts) proxyState(w http.ResponseWriter, c *call) error {
	view, err := p.poll(w, c, (*directory.View).ProxyNews)
	if err != nil {
		return err
	}
	names := make([]id.NodeName, len(view.Nodes))
	for i := range view.Nodes {
		names[i] = view.Nodes[i].Name
	}
	return send(w, wire.ProxyState{Version: view.Version, Trust: p.Trust, Nodes: names})
}

// poll waits for news, as ?since=version&wait=seconds asks.
func (p *parts) poll(w http.ResponseWriter, c *call, news func(*directory.View, int64) bool) (*directory.View, error) {
	q := c.URL.Query()
	since, err := number(q, "since")
	if err != nil {
		return nil, err
	}
	seconds, err := number(q, "wait")
	if err != nil {
		return nil, err
	}
	wait := min(time.Duration(min(seconds, 3600))*time.Second, maxWait)
	door.Extend(w, wait+time.Minute)
	ctx, cancel := context.WithTimeout(c.Context(), wait)
	defer cancel()
	return p.Directory.Wait(ctx, func(v *directory.View) bool { return news(v, since) })
}

func number(q url.Values, key string) (int64, error) {
	if !q.Has(key) {
		return 0, nil
	}
	n, err := strconv.ParseUint(q.Get(key), 10, 63)
	if err != nil {
		return 0, badRequest("%s is a number", key)
	}
	return int64(n), nil
}

// report takes in what an agent sees on its node.
func (p *parts) report(c *call, in wire.AgentReport) (door.Nothing, error) {
	const most = 100
	if len(in.Drift) > most || len(in.Problems) > most {
		return door.Nothing{}, badRequest("more than %d lines", most)
	}
	return door.Nothing{}, p.Store.TouchNode(c.Context(), c.Caller.Node.ID, in, p.Now().Unix())
}

func send(w http.ResponseWriter, state any) error {
	data, err := json.Marshal(state)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(data)
	return nil
}
