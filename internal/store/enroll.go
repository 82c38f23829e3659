package store

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// EnrollNode turns a join token into a node with an agent, and reserves its host
// certificates, in one transaction. The labels are the token's. n.Pin must be
// proven to be the asker's.
//
// A key that is enrolled already is the same node coming back: it keeps its id
// and its wanted strictness, takes the name it asks for, and has to prove anew
// that people get in through a proxy. A name that another key holds is
// node_name_taken; what the token does not allow is join_token_*.
func (s *Store) EnrollNode(ctx context.Context, e Enrolment, n Node) (Node, []id.Serial, error) {
	var enrolled Node
	var serials []id.Serial
	err := s.alone(ctx, func(t *tx) error {
		if n.ID == "" || n.Name == "" || len(n.Pin) == 0 {
			return fault.New(fault.Invalid, fault.BadRequest, "a node enrols with an id, a name and a key")
		}
		token, err := useToken(t, e.Secret, wire.PartAgent, append([]string{string(n.Name)}, n.Names...))
		if err != nil {
			return err
		}
		enrolled = n
		enrolled.Agent, enrolled.Labels, enrolled.Token, enrolled.Proven = true, token.Labels, token.ID, 0
		old, again, err := t.node(nodeByPin, n.Pin)
		if err != nil {
			return err
		}
		if again {
			enrolled.ID, enrolled.Strict = old.ID, old.Strict
		}
		if err := freeName(t, enrolled); err != nil {
			return err
		}
		if err := putNode(t, enrolled); err != nil {
			return err
		}
		t.bump()
		by := Actor{audit.NodeActor(enrolled.Name), e.Client}
		event := by.didToNode(audit.NodeEnrolled, enrolled)
		event.Token, event.Changes = loggedToken(token), nodeChanges(old, enrolled)
		serials, err = t.enroll(by, event, e.Intents)
		return err
	})
	if err != nil {
		return Node{}, nil, err
	}
	return enrolled, serials, nil
}

// EnrollProxy turns a join token into a proxy and reserves its host
// certificates, in one transaction. A key that is enrolled already replaces its
// proxy; a name that another key holds is node_name_taken.
func (s *Store) EnrollProxy(ctx context.Context, e Enrolment, p Proxy) (Proxy, []id.Serial, error) {
	var serials []id.Serial
	err := s.alone(ctx, func(t *tx) error {
		if p.Name == "" || len(p.Pin) == 0 {
			return fault.New(fault.Invalid, fault.BadRequest, "a proxy enrols with a name and a key")
		}
		token, err := useToken(t, e.Secret, wire.PartProxy, []string{string(p.Name)})
		if err != nil {
			return err
		}
		old, err := putProxy(t, p)
		if err != nil {
			return err
		}
		t.bump()
		by := Actor{audit.ProxyActor(p.Name), e.Client}
		event := by.did(audit.ProxyEnrolled)
		event.Proxy, event.Token, event.Changes = p.Name, loggedToken(token), proxyChanges(old, p)
		serials, err = t.enroll(by, event, e.Intents)
		return err
	})
	if err != nil {
		return Proxy{}, nil, err
	}
	return p, serials, nil
}

// enroll logs an enrolment, and reserves the certificates that come with it.
func (t *tx) enroll(by Actor, event audit.Event, intents []Intent) ([]id.Serial, error) {
	if err := t.log(event); err != nil {
		return nil, err
	}
	events := make([]audit.Event, len(intents))
	for n, i := range intents {
		events[n] = by.issues(i)
	}
	return t.reserve(intents, events)
}
