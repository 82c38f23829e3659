package parts

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/directory"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/krl"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

func (c *client) agentState(since int64, wait int) (s wire.AgentState, err error) {
	c.w.t.Helper()
	err = c.do("GET", fmt.Sprintf("%s?since=%d&wait=%d", wire.PathAgentState, since, wait), nil, &s)
	return s, err
}

func TestAnAgentIsToldWhatItsNodeShouldLookLike(t *testing.T) {
	w := newWorld(t)
	agent, enrolled := w.enrolled(wire.PartAgent, "web-1")
	w.enrolled(wire.PartProxy, "p1")
	s, err := agent.agentState(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s.Node != enrolled.Node || s.Name != "web-1" || len(s.Proxies) != 1 || s.Strict || s.Proven || s.Version == 0 {
		t.Errorf("got %+v", s)
	}
	if _, err := krl.Parse(s.KRL); err != nil {
		t.Errorf("its KRL: %v", err)
	}
}

// A long poll ends by what its agent is told, and by nothing else.
func TestAnAgentWaitsForNews(t *testing.T) {
	w := newWorld(t)
	agent, enrolled := w.enrolled(wire.PartAgent, "web-1")
	now, err := agent.agentState(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan wire.AgentState, 1)
	go func() {
		s, _ := agent.agentState(now.Version, 60)
		answers <- s
	}()
	silent := func(what string, change func()) {
		t.Helper()
		change()
		w.Refresh()
		select {
		case s := <-answers:
			t.Fatalf("%s is news to it: %+v", what, s)
		case <-time.After(50 * time.Millisecond):
		}
	}
	silent("another node", func() { w.Node("db-1", nil) })
	silent("a policy", func() { w.Policy(policyText) })
	silent("its own new certificate", func() {
		w.Store.UpdateNode(t.Context(), store.Actor{Name: "ada@example.com"}, enrolled.Node, func(n *store.Node) error { n.CertUntil++; return nil })
	})
	w.Store.UpdateNode(t.Context(), store.Actor{Name: "ada@example.com"}, enrolled.Node, func(n *store.Node) error { n.Strict = true; return nil })
	w.Refresh()
	select {
	case s := <-answers:
		if !s.Strict || s.Version <= now.Version {
			t.Errorf("got %+v", s)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it was not told that strict is wanted")
	}
}

func TestALongPollEndsWithTheDirectory(t *testing.T) {
	w := newWorld(t)
	agent, _ := w.enrolled(wire.PartAgent, "web-1")
	now, err := agent.agentState(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 1)
	go func() { _, err := agent.agentState(now.Version, 60); answers <- err }()
	w.Directory.Close()
	select {
	case err := <-answers:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it still waits")
	}
}

func TestARemovedNodeIsToldSo(t *testing.T) {
	w := newWorld(t)
	agent, _ := w.enrolled(wire.PartAgent, "web-1")
	if err := w.Store.RemoveNode(t.Context(), store.Actor{Name: "ada@example.com"}, "web-1"); err != nil {
		t.Fatal(err)
	}
	w.Refresh()
	_, err := agent.agentState(0, 0)
	want(t, err, fault.NotEnrolled)
}

func TestAProxyIsToldTheNodes(t *testing.T) {
	w := newWorld(t)
	proxy, _ := w.enrolled(wire.PartProxy, "p1")
	w.Node("web-1", nil)
	var s wire.ProxyState
	if err := proxy.do("GET", wire.PathProxyState, nil, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Nodes) != 1 || s.Nodes[0] != "web-1" {
		t.Errorf("got %+v", s)
	}
	for _, query := range []string{"?since=x", "?wait=-1", "?since=1.5"} {
		want(t, proxy.do("GET", wire.PathProxyState+query, nil, nil), fault.BadRequest)
	}
}

func TestAReportIsKept(t *testing.T) {
	w := newWorld(t)
	agent, _ := w.enrolled(wire.PartAgent, "web-1")
	if err := agent.do("POST", wire.PathAgentReport, wire.AgentReport{Sshd: "OpenSSH_9.2", StrictOn: true, Drift: []string{"x"}}, nil); err != nil {
		t.Fatal(err)
	}
	n, err := w.Store.NodeByName(t.Context(), "web-1")
	if err != nil || n.Sshd != "OpenSSH_9.2" || !n.StrictOn || len(n.Drift) != 1 {
		t.Errorf("got %+v, %v", n, err)
	}
	want(t, agent.do("POST", wire.PathAgentReport, wire.AgentReport{Drift: make([]string, 1000)}, nil), fault.BadRequest)
}

func TestAViewThatIsOldDecidesNothing(t *testing.T) {
	s := newStage(t)
	old := time.Now().Add(2 * directory.MaxAge)
	frozen, err := directory.Open(t.Context(), s.Store, func() time.Time { now := old; old = old.Add(2 * directory.MaxAge); return now }, s.parts.Log)
	if err != nil {
		t.Fatal(err)
	}
	s.parts.Directory = frozen
	_, err = s.open(s.request())
	want(t, err, fault.StoreAway)
}
