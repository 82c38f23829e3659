package people

import (
	"github.com/sallyport-ssh/sallyport/ca/internal/directory"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

func (p *people) policy(c *call) (wire.Policy, error) {
	r, err := p.Store.Policy(c.Context())
	return r.Policy, err
}

// applyPolicy replaces the whole policy, or says whether it could.
func (p *people) applyPolicy(c *call, in wire.ApplyPolicy) (wire.Policy, error) {
	if p.PolicyDir != "" && !in.Check {
		return wire.Policy{}, fault.New(fault.Conflict, fault.PolicyStale, "this CA takes its policy from the directory %s", p.PolicyDir).
			Then("change the files there; policy apply --check still works")
	}
	if _, err := policy.Load(in.Files); err != nil {
		if !in.Check {
			err = p.refusedPolicy(c, in.Files, err)
		}
		return wire.Policy{}, err
	}
	next := wire.Policy{Author: string(c.Caller.Name()), Applied: p.Now().Unix(), Files: in.Files}
	if in.Check {
		view, err := p.Directory.View()
		if err != nil {
			return wire.Policy{}, err
		}
		next.Revision, next.Author, next.Applied = view.Revision.Revision, view.Revision.Author, view.Revision.Applied
		return next, nil
	}
	var err error
	if next.Revision, err = p.Store.ApplyPolicy(c.Context(), c.Caller.actor(), store.Revision{Policy: next}, in.Base); err != nil {
		return wire.Policy{}, p.refusedPolicy(c, in.Files, err)
	}
	p.Log.Info("policy applied", "revision", next.Revision, "author", next.Author, "files", len(next.Files))
	return next, p.Directory.Refresh(c.Context())
}

// explain says how every role bears on a decision.
func (p *people) explain(c *call, in wire.ExplainRequest) (wire.Explanation, error) {
	if _, err := id.ParseIdentity(string(in.Identity)); err != nil {
		return wire.Explanation{}, badRequest("%v", err)
	}
	if _, err := id.ParseLogin(string(in.Login)); err != nil {
		return wire.Explanation{}, badRequest("%v", err)
	}
	subject := policy.Subject{Identity: in.Identity, Groups: in.Groups, Claims: in.Claims}
	if in.Groups == nil && in.Claims == nil {
		known, err := p.Store.Identity(c.Context(), in.Identity)
		if err != nil && fault.Of(err).Kind != fault.Missing {
			return wire.Explanation{}, err
		}
		subject.Groups, subject.Claims = known.Groups, known.Claims
	}
	view, err := p.Directory.View()
	if err != nil {
		return wire.Explanation{}, err
	}
	n := view.Node(in.Node)
	if n == nil {
		return wire.Explanation{}, fault.New(fault.Missing, fault.NodeUnknown, "there is no node %q", string(in.Node)).Then("run: sallyport node ls")
	}
	at := directory.PolicyNode(n)
	return wire.Explanation{
		Revision: view.Revision.Revision, Subject: subject,
		Decision: view.Policy.Decide(subject, at, in.Login),
		Roles:    view.Policy.Explain(subject, at, in.Login),
	}, nil
}
