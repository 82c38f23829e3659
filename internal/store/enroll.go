package store

import (
	"context"

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
func (s *Store) EnrollNode(ctx context.Context, secretHash []byte, n Node, intents ...Intent) (Node, []id.Serial, error) {
	var enrolled Node
	var serials []id.Serial
	err := s.alone(ctx, func(t *tx) error {
		if n.ID == "" || n.Name == "" || len(n.Pin) == 0 {
			return fault.New(fault.Invalid, fault.BadRequest, "a node enrols with an id, a name and a key")
		}
		token, err := useToken(t, secretHash, wire.PartAgent, append([]string{string(n.Name)}, n.Names...))
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
		serials = reserve(t, intents)
		return nil
	})
	if err != nil {
		return Node{}, nil, err
	}
	return enrolled, serials, nil
}

// EnrollProxy turns a join token into a proxy and reserves its host
// certificates, in one transaction. A key that is enrolled already replaces its
// proxy; a name that another key holds is node_name_taken.
func (s *Store) EnrollProxy(ctx context.Context, secretHash []byte, p Proxy, intents ...Intent) (Proxy, []id.Serial, error) {
	var serials []id.Serial
	err := s.alone(ctx, func(t *tx) error {
		if p.Name == "" || len(p.Pin) == 0 {
			return fault.New(fault.Invalid, fault.BadRequest, "a proxy enrols with a name and a key")
		}
		_, err := useToken(t, secretHash, wire.PartProxy, []string{string(p.Name)})
		if err != nil {
			return err
		}
		if err := putProxy(t, p); err != nil {
			return err
		}
		t.bump()
		serials = reserve(t, intents)
		return nil
	})
	if err != nil {
		return Proxy{}, nil, err
	}
	return p, serials, nil
}
