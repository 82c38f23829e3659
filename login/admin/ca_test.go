package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// ca answers the admin's calls from memory, strictly as wire says. Parts do not
// import each other, so the real one cannot be here; the demo has both.
type ca struct {
	url    string
	policy wire.Policy
	nodes  map[id.NodeName]wire.Node
	tokens map[string]wire.JoinToken
	calls  []string
}

func newCA(t *testing.T) *ca {
	c := &ca{nodes: map[id.NodeName]wire.Node{}, tokens: map[string]wire.JoinToken{}}
	mux := http.NewServeMux()
	route(mux, c, "GET "+wire.PathPolicy, func(*http.Request, *struct{}) (wire.Policy, error) { return c.policy, nil })
	route(mux, c, "PUT "+wire.PathPolicy, c.apply)
	route(mux, c, "POST "+wire.PathPolicyExplain, c.explain)
	route(mux, c, "GET "+wire.PathAdminNodes, func(*http.Request, *struct{}) ([]wire.Node, error) {
		return slices.Collect(maps.Values(c.nodes)), nil
	})
	route(mux, c, "POST "+wire.PathAdminNodes, c.addNode)
	route(mux, c, "PATCH "+wire.PathAdminNode, c.setNode)
	route(mux, c, "DELETE "+wire.PathAdminNode, func(r *http.Request, _ *struct{}) (struct{}, error) {
		return struct{}{}, remove(c.nodes, id.NodeName(r.PathValue("name")))
	})
	route(mux, c, "GET "+wire.PathAdminTokens, func(*http.Request, *struct{}) ([]wire.JoinToken, error) {
		return slices.Collect(maps.Values(c.tokens)), nil
	})
	route(mux, c, "POST "+wire.PathAdminTokens, func(_ *http.Request, in *wire.NewJoinToken) (wire.JoinTokenSecret, error) {
		t := wire.JoinToken{ID: "t1", NewJoinToken: *in, Expires: time.Now().Unix() + in.Seconds, Author: "ana@example.com"}
		c.tokens[t.ID] = t
		return wire.JoinTokenSecret{JoinToken: t, Secret: "k3v9-secret"}, nil
	})
	route(mux, c, "DELETE "+wire.PathAdminToken, func(r *http.Request, _ *struct{}) (struct{}, error) {
		return struct{}{}, remove(c.tokens, r.PathValue("id"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func route[In, Out any](mux *http.ServeMux, c *ca, pattern string, handle func(*http.Request, *In) (Out, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c.calls = append(c.calls, r.Method+" "+r.URL.EscapedPath())
		var in In
		var out Out
		var err error
		if r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" {
			d := json.NewDecoder(r.Body)
			d.DisallowUnknownFields()
			if err = d.Decode(&in); err != nil {
				err = fault.New(fault.Invalid, fault.BadRequest, "%v", err)
			}
		}
		if err == nil {
			out, err = handle(r, &in)
		}
		if err != nil {
			f := fault.Of(err)
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(f.Kind.Status())
			json.NewEncoder(w).Encode(wire.Problem{Type: "about:blank", Status: f.Kind.Status(), Detail: f.Text, Reason: string(f.Reason), Next: f.Next})
			return
		}
		json.NewEncoder(w).Encode(out)
	})
}

func remove[K comparable, V any](m map[K]V, key K) error {
	if _, ok := m[key]; !ok {
		return fault.New(fault.Missing, fault.NotFound, "there is no %v", key)
	}
	delete(m, key)
	return nil
}

func (c *ca) apply(_ *http.Request, in *wire.ApplyPolicy) (wire.Policy, error) {
	if _, err := policy.Load(in.Files); err != nil {
		return wire.Policy{}, err
	}
	if in.Check {
		return c.policy, nil
	}
	if in.Base != c.policy.Revision {
		return wire.Policy{}, fault.New(fault.Conflict, fault.PolicyStale, "somebody applied a policy in between")
	}
	c.policy = wire.Policy{Revision: c.policy.Revision + 1, Author: "ana@example.com", Applied: 1700000000, Files: in.Files}
	return c.policy, nil
}

func (c *ca) explain(_ *http.Request, in *wire.ExplainRequest) (wire.Explanation, error) {
	p, err := policy.Load(c.policy.Files)
	if err != nil {
		return wire.Explanation{}, err
	}
	s := policy.Subject{Identity: in.Identity, Groups: in.Groups, Claims: in.Claims}
	n := policy.Node{Name: in.Node, Labels: c.nodes[in.Node].Labels}
	return wire.Explanation{Revision: c.policy.Revision, Subject: s, Decision: p.Decide(s, n, in.Login), Roles: p.Explain(s, n, in.Login)}, nil
}

func (c *ca) addNode(_ *http.Request, in *wire.AddNode) (wire.NodeAdded, error) {
	n := wire.Node{ID: id.NewNode(), Name: in.Name, Addr: in.Addr, Labels: in.Labels, HostKeys: in.HostKeys}
	c.nodes[n.Name] = n
	return wire.NodeAdded{Node: n, SshdConfig: "TrustedUserCAKeys /etc/ssh/sallyport_session_ca.pub\n", SessionCA: "ssh-ed25519 AAAAca\n"}, nil
}

func (c *ca) setNode(r *http.Request, in *wire.SetNode) (wire.Node, error) {
	n, ok := c.nodes[id.NodeName(r.PathValue("name"))]
	if !ok {
		return n, fault.New(fault.Missing, fault.NodeUnknown, "there is no node %q", r.PathValue("name"))
	}
	if in.Strict != nil {
		n.Strict = *in.Strict
	}
	if in.Addr != nil {
		n.Addr = *in.Addr
	}
	if in.Labels != nil {
		n.Labels = *in.Labels
	}
	if in.HostKeys != nil {
		n.HostKeys = *in.HostKeys
	}
	c.nodes[n.Name] = n
	return n, nil
}

// run carries out a command line and returns what it printed, and its error.
func (c *ca) run(stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	env := cli.Env{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
	commands := Commands(func(context.Context, cli.Env) (*wire.Client, error) {
		if c == nil {
			return nil, fault.New(fault.Unauthentic, fault.ProofInvalid, "you are not logged in").Then("run: sallyport login")
		}
		return wire.NewClient(c.url)
	})
	err = commands[args[0]](context.Background(), env, args[1:])
	return out.String(), errs.String(), err
}
