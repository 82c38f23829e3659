package store

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

const nodeColumns = `id, name, addr, names, labels, agent, host_keys, strict, strict_on, sshd,
	seen, proven, drift, cert_until, pin, token, problems`

func scanNode(r scanner) (n Node, err error) {
	err = r.Scan(&n.ID, &n.Name, &n.Addr, fromJSON[[]string]{&n.Names}, fromJSON[map[string]string]{&n.Labels},
		&n.Agent, fromJSON[[]string]{&n.HostKeys}, &n.Strict, &n.StrictOn, &n.Sshd,
		&n.Seen, &n.Proven, fromJSON[[]string]{&n.Drift}, &n.CertUntil, &n.Pin, &n.Token,
		fromJSON[[]string]{&n.Problems})
	return n, err
}

// putNode writes the whole row of n.
func putNode(t *tx, n Node) error {
	const upsert = `INSERT INTO nodes (` + nodeColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, addr = excluded.addr, names = excluded.names,
			labels = excluded.labels, agent = excluded.agent, host_keys = excluded.host_keys,
			strict = excluded.strict, strict_on = excluded.strict_on, sshd = excluded.sshd,
			seen = excluded.seen, proven = excluded.proven, drift = excluded.drift,
			cert_until = excluded.cert_until, pin = excluded.pin, token = excluded.token,
			problems = excluded.problems`
	_, err := t.exec(upsert, n.ID, n.Name, n.Addr, toJSON(n.Names), toJSON(n.Labels), n.Agent,
		toJSON(n.HostKeys), n.Strict, n.StrictOn, n.Sshd, n.Seen, n.Proven, toJSON(n.Drift), n.CertUntil,
		orNull(n.Pin), n.Token, toJSON(n.Problems))
	return err
}

// node reads one node by a unique column inside a transaction.
func (t *tx) node(query string, key any) (n Node, found bool, err error) {
	found, err = t.row(func(r scanner) (err error) { n, err = scanNode(r); return err }, query, key)
	return n, found, err
}

const (
	nodeByID   = `SELECT ` + nodeColumns + ` FROM nodes WHERE id = $1`
	nodeByName = `SELECT ` + nodeColumns + ` FROM nodes WHERE name = $1`
	nodeByPin  = `SELECT ` + nodeColumns + ` FROM nodes WHERE pin = $1`
)

// freeName refuses a name that belongs to a node other than n.
func freeName(t *tx, n Node) error {
	other, found, err := t.node(nodeByName, n.Name)
	if err == nil && found && other.ID != n.ID {
		err = fault.New(fault.Conflict, fault.NodeNameTaken, "there is a node %s already", n.Name).
			Then("remove it first, or choose another name")
	}
	return err
}

// AddNode stores a node without an agent; node_name_taken when there is one of
// that name.
func (s *Store) AddNode(ctx context.Context, by Actor, n Node) error {
	return s.alone(ctx, func(t *tx) error {
		if n.ID == "" || n.Name == "" {
			return fault.New(fault.Invalid, fault.BadRequest, "a node needs an id and a name")
		}
		if err := freeName(t, n); err != nil {
			return err
		}
		if _, found, err := t.node(nodeByID, n.ID); err != nil || found {
			if found {
				err = fault.New(fault.Conflict, fault.NodeNameTaken, "there is a node with id %s already", n.ID)
			}
			return err
		}
		if err := putNode(t, n); err != nil {
			return err
		}
		t.bump()
		event := by.didToNode(audit.NodeAdded, n)
		event.Changes = nodeChanges(Node{}, n)
		return t.log(event)
	})
}

func noNode(what string) error {
	return fault.New(fault.Missing, fault.NodeUnknown, "there is no node %s", what)
}

// NodeByName returns the node of that name, or node_unknown.
func (s *Store) NodeByName(ctx context.Context, name id.NodeName) (Node, error) {
	return one(ctx, s, scanNode, noNode(string(name)), nodeByName, name)
}

// NodeByPin returns the node whose agent has the TLS key with that SHA-256, or
// not_enrolled.
func (s *Store) NodeByPin(ctx context.Context, pin []byte) (Node, error) {
	return one(ctx, s, scanNode, notEnrolled(), nodeByPin, pin)
}

func notEnrolled() error {
	return fault.New(fault.Unauthentic, fault.NotEnrolled, "this key is not enrolled")
}

// Nodes lists all nodes by name.
func (s *Store) Nodes(ctx context.Context) ([]Node, error) {
	const query = `SELECT ` + nodeColumns + ` FROM nodes ORDER BY name`
	return all(ctx, s, scanNode, query)
}

// UpdateNode reads a node, lets change have it, and writes it back, with nobody
// in between. An error of change comes back and nothing is written. change may
// run more than once and cannot change the id. The log gets what of a node admins
// decide about; the rest is housekeeping.
func (s *Store) UpdateNode(ctx context.Context, by Actor, node id.Node, change func(*Node) error) (Node, error) {
	var n Node
	err := s.alone(ctx, func(t *tx) error {
		var found bool
		var err error
		if n, found, err = t.node(nodeByID, node); err != nil {
			return err
		}
		if !found {
			return noNode(string(node))
		}
		old := n
		if err := change(&n); err != nil {
			return err
		}
		n.ID = node
		if err := freeName(t, n); err != nil {
			return err
		}
		if err := putNode(t, n); err != nil {
			return err
		}
		t.bump()
		event := by.didToNode(audit.NodeChanged, n)
		if event.Changes = nodeChanges(old, n); len(event.Changes) == 0 {
			return nil
		}
		return t.log(event)
	})
	if err != nil {
		return Node{}, err
	}
	return n, nil
}

// TouchNode stores what an agent saw on its node.
func (s *Store) TouchNode(ctx context.Context, node id.Node, r wire.AgentReport, now int64) error {
	return s.alone(ctx, func(t *tx) error {
		const update = `UPDATE nodes SET seen = $1, sshd = $2, strict_on = $3, drift = $4, problems = $5
			WHERE id = $6`
		n, err := t.exec(update, now, r.Sshd, r.StrictOn, toJSON(r.Drift), toJSON(r.Problems), node)
		if err == nil && n == 0 {
			err = noNode(string(node))
		}
		return err
	})
}

// ProveNode notes that the node's sshd accepted a session through a proxy. The
// first time is news to its agent, which may now switch strict on.
func (s *Store) ProveNode(ctx context.Context, node id.Node, now int64) error {
	return s.alone(ctx, func(t *tx) error {
		const first = `UPDATE nodes SET proven = $1 WHERE id = $2 AND proven = 0`
		n, err := t.exec(first, now, node)
		if err != nil {
			return err
		}
		if n > 0 {
			t.bump()
			return nil
		}
		const update = `UPDATE nodes SET proven = $1 WHERE id = $2`
		n, err = t.exec(update, now, node)
		if err == nil && n == 0 {
			err = noNode(string(node))
		}
		return err
	})
}

// RemoveNode forgets a node, its pin and its id; node_unknown when there is none.
func (s *Store) RemoveNode(ctx context.Context, by Actor, name id.NodeName) error {
	return s.alone(ctx, func(t *tx) error {
		const remove = `DELETE FROM nodes WHERE name = $1 RETURNING ` + nodeColumns
		n, found, err := t.node(remove, name)
		if err != nil {
			return err
		}
		if !found {
			return noNode(string(name))
		}
		t.bump()
		event := by.didToNode(audit.NodeRemoved, n)
		event.Changes = nodeChanges(n, Node{})
		return t.log(event)
	})
}
