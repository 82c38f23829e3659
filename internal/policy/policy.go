// Package policy answers one question: what may this identity do as this login
// on this node? It holds the roles that admins write (role.go, load.go), and
// decides (decide.go).
//
// A decision is a pure function of subject, node, login and the loaded policy.
// It returns a Grant or a Denial; a denial is a value, not an error. Deny is the
// default everywhere: the zero Policy denies, the zero Grant allows nothing, an
// invalid role does not load.
//
// Roles combine by union of what they allow; an explicit deny of any role wins
// over every allow; the restrictions of a role travel with the grant that it
// gives and never spill onto what another role gives.
//
// The package is pure: no network, no database, no clock. Command policy,
// reviews and conditions get their fields in Role.Conditions and Grant beside
// Channels when they come; nothing of them is here yet.
package policy

import (
	"encoding/json"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Subject is who asks, as the issuer described them at their last login.
type Subject struct {
	Identity id.Identity     `json:"identity"`
	Groups   []string        `json:"groups"`
	Claims   json.RawMessage `json:"claims,omitempty"` // the ID token's (and userinfo's) claims, one JSON object
}

// Node is what policy knows of a node.
type Node struct {
	Name   id.NodeName       `json:"name"`
	Labels map[string]string `json:"labels"`
}

// Channel is a thing that a connection may carry. The closed list is what
// admins write in a role's channels.
type Channel string

const (
	Shell         Channel = "shell"
	Exec          Channel = "exec"
	SFTP          Channel = "sftp"
	Subsystem     Channel = "subsystem"      // any other than sftp
	ForwardAgent  Channel = "forward-agent"  // ssh -A
	ForwardLocal  Channel = "forward-local"  // ssh -L, -D, -W: direct-tcpip
	ForwardRemote Channel = "forward-remote" // ssh -R: tcpip-forward
	ForwardUnix   Channel = "forward-unix"   // unix sockets, both directions
)

// Grant is what a decision allows. The zero Grant allows nothing.
type Grant struct {
	// Roles that gave something, in the order of their names; the first is
	// shown to people.
	Roles    []string  `json:"roles"`
	Channels []Channel `json:"channels"`
	// MaxSeconds ends the connection; 0 is no limit. Of several roles that give
	// the same, the most generous counts, as each would have given it alone.
	MaxSeconds int64 `json:"max_seconds,omitempty"`
}

// Allows says whether c was granted.
func (g Grant) Allows(c Channel) bool {
	for _, have := range g.Channels {
		if have == c {
			return true
		}
	}
	return false
}

// Denial says why not, from the closed list, and what the subject does have.
type Denial struct {
	Reason fault.Reason `json:"reason"` // NoPolicy, NoRole, LoginNotAllowed, DeniedByRole
	Role   string       `json:"role,omitempty"`
	Logins []id.Login   `json:"logins,omitempty"` // what they have on this node
}

// Decision is a Grant or a Denial: exactly one is set. The zero Decision is a
// denial without a reason, and Granted reports false for it.
type Decision struct {
	Grant  *Grant  `json:"grant,omitempty"`
	Denial *Denial `json:"denial,omitempty"`
}

// Granted says whether the decision allows anything.
func (d Decision) Granted() bool { return d.Grant != nil && d.Denial == nil }

// RoleView is one role's bearing on one decision, for explain.
type RoleView struct {
	Role    string `json:"role"`
	Matches bool   `json:"matches"`
	Denies  bool   `json:"denies"`
	// Why names what matched ("group db-oncall", "labels tier=db", "login
	// postgres"), or the first thing that did not ("login postgres is not among
	// its logins").
	Why []string `json:"why"`
}
