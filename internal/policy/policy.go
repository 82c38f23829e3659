// Package policy answers one question: what may this identity do as this login
// on this node? It holds the roles that admins write (role.go, load.go; POLICY.md
// is the manual), and decides (decide.go).
//
// A decision is a pure function of subject, node, login and the loaded policy.
// It returns a Grant or a Denial; a denial is a value, not an error. Deny is the
// default everywhere: the zero Policy denies, the zero Grant allows nothing, an
// invalid role does not load, a subject whose claims cannot be read is refused.
//
// Roles combine by union of what they allow; an explicit deny of any role wins
// over every allow; the restrictions of a role travel with the grant that it
// gives and never spill onto what another role gives.
//
// The package is pure: no network, no database, no clock. Command policy,
// reviews and conditions get their fields in role and RoleGrant when they come;
// nothing of them is here yet.
package policy

import (
	"encoding/json"
	"slices"
	"time"

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

var channels = []Channel{Shell, Exec, SFTP, Subsystem, ForwardAgent, ForwardLocal, ForwardRemote, ForwardUnix}

// Channels is the closed list, in the order in which people read it.
func Channels() []Channel { return slices.Clone(channels) }

// RoleGrant is what one role gives on its own terms. It is never merged with
// another's: a role that gives a shell for an hour and one that gives SFTP
// without end give a shell for an hour and SFTP without end.
type RoleGrant struct {
	Role     string    `json:"role"`
	Channels []Channel `json:"channels"`
	// MaxSeconds is how long a connection may use these channels; 0 is no limit.
	MaxSeconds int64 `json:"max_seconds,omitempty"`
	// Recording is how the role wants its sessions recorded.
	Recording RecordingRules `json:"recording,omitzero"`
}

// RecordingRules are a role's wishes beyond what is recorded of every session.
// The zero value has none.
type RecordingRules struct {
	// Recipients are age recipients, beside those that the CA names for all.
	Recipients []string `json:"recipients,omitempty"`
	// RetainSeconds is how long the recording is kept at least; 0 leaves it to the
	// CA's own setting.
	RetainSeconds int64 `json:"retain_seconds,omitempty"`
	// Files is how many bytes of each file that is carried by SFTP are kept; 0 is
	// name, size and SHA-256 alone.
	Files int64 `json:"files,omitempty"`
	// Forwards is how many bytes of each direction of a forwarded connection are
	// kept.
	Forwards int64 `json:"forwards,omitempty"`
	// Unechoed keeps in clear what was typed while the terminal did not echo.
	Unechoed bool `json:"unechoed,omitempty"`
}

// Recording is what the roles of a grant ask for together. A session is one
// recording, so here the roles are joined: all recipients, the longest time, the
// largest sizes.
func (g Grant) Recording() RecordingRules {
	var all RecordingRules
	for _, role := range g.Roles {
		r := role.Recording
		for _, each := range r.Recipients {
			if !slices.Contains(all.Recipients, each) {
				all.Recipients = append(all.Recipients, each)
			}
		}
		all.RetainSeconds = max(all.RetainSeconds, r.RetainSeconds)
		all.Files = max(all.Files, r.Files)
		all.Forwards = max(all.Forwards, r.Forwards)
		all.Unechoed = all.Unechoed || r.Unechoed
	}
	return all
}

// Grant is what a decision allows. The zero Grant allows nothing.
type Grant struct {
	// Roles that give something, in the order of their names.
	Roles []RoleGrant `json:"roles"`
}

// Names are the roles' names; the first is the one that people are shown.
func (g Grant) Names() []string {
	names := make([]string, len(g.Roles))
	for i, r := range g.Roles {
		names[i] = r.Role
	}
	return names
}

// Allows says whether any role gives c.
func (g Grant) Allows(c Channel) bool {
	for _, r := range g.Roles {
		if slices.Contains(r.Channels, c) {
			return true
		}
	}
	return false
}

// Limit is for how long after its connection was opened a channel c may live.
// Of several roles that give c the most generous counts, as each would have
// given it alone. limited is false where there is no end; a channel that is not
// granted has none of the time: 0, true.
func (g Grant) Limit(c Channel) (d time.Duration, limited bool) {
	var most int64
	for _, r := range g.Roles {
		if !slices.Contains(r.Channels, c) {
			continue
		}
		if r.MaxSeconds == 0 {
			return 0, false
		}
		most = max(most, r.MaxSeconds)
	}
	return time.Duration(most) * time.Second, true
}

// Longest is the Limit of the channel that may live longest, and so of the
// connection.
func (g Grant) Longest() (d time.Duration, limited bool) {
	for _, c := range channels {
		limit, limited := g.Limit(c)
		if !limited {
			return 0, false
		}
		d = max(d, limit)
	}
	return d, true
}

// LoginRoles is a login that a subject has on a node, and the roles that give
// it, in the order of their names. AnyLogin stands for every login that no
// other row names.
type LoginRoles struct {
	Login id.Login `json:"login"`
	Roles []string `json:"roles"`
}

// AnyLogin is "*" among a role's logins. No request can name it: id.ParseLogin
// refuses it.
const AnyLogin id.Login = "*"

// Denial says why not, from the closed list, and what the subject does have.
type Denial struct {
	Reason fault.Reason `json:"reason"` // NoPolicy, NoRole, LoginNotAllowed, DeniedByRole
	Login  id.Login     `json:"login,omitempty"`
	Node   id.NodeName  `json:"node,omitempty"`
	Role   string       `json:"role,omitempty"`   // the role that denies
	Logins []LoginRoles `json:"logins,omitempty"` // what they have on this node
}

// Decision is a Grant or a Denial: exactly one is set. The zero Decision is a
// denial without a reason, and Granted reports false for it.
type Decision struct {
	Grant  *Grant  `json:"grant,omitempty"`
	Denial *Denial `json:"denial,omitempty"`
}

// Granted says whether the decision allows anything.
func (d Decision) Granted() bool {
	return d.Denial == nil && d.Grant != nil && len(d.Grant.Roles) > 0
}

// RoleView is one role's bearing on one decision, for explain.
type RoleView struct {
	Role    string `json:"role"`
	Matches bool   `json:"matches"`
	Denies  bool   `json:"denies"`
	// Channels and MaxSeconds are what it gives or, if it denies, takes from those
	// that it matches.
	Channels   []Channel `json:"channels"`
	MaxSeconds int64     `json:"max_seconds,omitempty"`
	// Recording is how it wants sessions recorded that it gives something to.
	Recording RecordingRules `json:"recording,omitzero"`
	// Why names what matched ("group db-oncall", "labels tier=db", "login
	// postgres"), or the first thing that did not ("login postgres is not among
	// its logins").
	Why []string `json:"why"`
}
