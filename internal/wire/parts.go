package wire

import (
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
)

// EnrollRequest turns a join token and a TLS client key into a part.
type EnrollRequest struct {
	Token    string   `json:"token"`
	Part     Part     `json:"part"`
	Name     string   `json:"name"`              // node name or proxy name
	Addr     string   `json:"addr"`              // agent: host:port of sshd for proxies; proxy: host:port for people
	Names    []string `json:"names,omitempty"`   // further names for the host certificate
	Egress   []string `json:"egress,omitempty"`  // proxy: from where it reaches nodes; none is the address the CA sees
	HostKeys []string `json:"host_keys"`         // to certify, authorized_keys form; an agent sends sshd's
	Version  string   `json:"version,omitempty"` // of sallyport
	Rejoin   bool     `json:"rejoin,omitempty"`  // same TLS key as before: replace, do not refuse the name
}

// EnrollResponse is what a part needs to begin.
type EnrollResponse struct {
	Node         id.Node           `json:"node,omitempty"` // agents only
	Labels       map[string]string `json:"labels,omitempty"`
	Certificates []HostCertificate `json:"certificates"`
	Trust        Trust             `json:"trust"`
	Proxies      []ProxyAddr       `json:"proxies"`
}

// HostCertificateRequest asks to certify a host key. From an agent: its node's
// names, whatever Names says beyond them is refused. From a proxy: its own name
// when Node is empty, else the name of a node, for which it answers inside -J.
type HostCertificateRequest struct {
	HostKey string      `json:"host_key"` // authorized_keys form
	Node    id.NodeName `json:"node,omitempty"`
}

// HostCertificate is a certificate and its end.
type HostCertificate struct {
	Certificate []byte `json:"certificate"`
	ValidBefore int64  `json:"valid_before"`
}

// AgentState is everything that a node should look like. Version rises with
// every change of it.
type AgentState struct {
	Version int64       `json:"version"`
	Node    id.Node     `json:"node"`
	Name    id.NodeName `json:"name"`
	Trust   Trust       `json:"trust"`
	Proxies []ProxyAddr `json:"proxies"`
	KRL     []byte      `json:"krl"`    // for RevokedKeys; never empty
	Strict  bool        `json:"strict"` // wanted
	Proven  bool        `json:"proven"` // a login through a proxy worked: strict may be switched on
}

// AgentReport is what an agent sees on its node.
type AgentReport struct {
	Version  int64    `json:"version"` // of the AgentState that is installed
	Sshd     string   `json:"sshd"`
	StrictOn bool     `json:"strict_on"`
	Drift    []string `json:"drift"`    // one line per file: what differs
	Problems []string `json:"problems"` // what could not be done, for people
}

// ProxyState is what a proxy keeps in memory. Version rises with every change.
type ProxyState struct {
	Version int64         `json:"version"`
	Trust   Trust         `json:"trust"`
	Nodes   []id.NodeName `json:"nodes"` // for which it may ask host certificates
}

// OpenRequest asks for a session: the decision and, if granted, the certificate
// in one round trip. The proxy has proof of possession of Certificate's key.
type OpenRequest struct {
	Certificate []byte      `json:"certificate"` // the login certificate
	Client      string      `json:"client"`      // the person's address, host:port
	Login       id.Login    `json:"login"`
	Node        id.NodeName `json:"node"`
	Way         Way         `json:"way"`
	PublicKey   []byte      `json:"public_key"` // the connection's own key, SSH wire blob
	// Ticket is the person's signed statement that they asked for this very
	// session (DESIGN, section 2). Not yet required by any role.
	Ticket []byte `json:"ticket,omitempty"`
}

// OpenResponse is a granted session. A denial is a Problem.
type OpenResponse struct {
	Session     id.Session     `json:"session"`
	Identity    id.Identity    `json:"identity"`
	Certificate []byte         `json:"certificate"` // the session certificate
	Grant       policy.Grant   `json:"grant"`
	Target      Target         `json:"target"`
	Recording   RecordingOrder `json:"recording"`
}

// RecordingOrder says how a session is recorded: what the grant's roles ask for
// and what the CA asks for of all.
type RecordingOrder struct {
	// Recipients are age recipients (age1..., age1pq1...) that can open it; none
	// is a recording in clear.
	Recipients []string `json:"recipients,omitempty"`
	policy.RecordingRules
	// Retain is until when it must be kept, Unix seconds; 0 is for ever.
	Retain int64 `json:"retain,omitempty"`
}

// RecordingStarted binds a recording's beginning to the log.
type RecordingStarted struct {
	Header  []byte `json:"header"`  // SHA-256 with which its chain begins
	Started int64  `json:"started"` // Unix microseconds
}

// Target is where to dial and by what to know the node: a host certificate for
// Name by the host CA, or one of the pinned HostKeys.
type Target struct {
	Node     id.Node     `json:"node"`
	Name     id.NodeName `json:"name"`
	Addr     string      `json:"addr"`
	HostKeys []string    `json:"host_keys,omitempty"`
}

// StartRequest is what a proxy says once when it starts, before it opens any
// session: its sessions that are not in Live died with the process before.
type StartRequest struct {
	Live []id.Session `json:"live,omitempty"`
}

// EndRequest closes a session's row.
type EndRequest struct {
	End      string `json:"end"`      // "closed", "drained", "recorder_failed", ...
	Accepted bool   `json:"accepted"` // the node's sshd took the certificate
	Bytes    int64  `json:"bytes"`
	// Seal is the seal of the finished recording (recording.Seal, as it stands in
	// the file); nil where there is none (yet): the proxy tells it later by
	// another EndRequest of the same session.
	Seal     []byte `json:"seal,omitempty"`
	Commands int    `json:"commands,omitempty"`
	Files    int    `json:"files,omitempty"`
	// Lost says that there is no recording to be sealed any more.
	Lost bool `json:"lost,omitempty"`
}

// MenuRequest asks which nodes the holder of a login certificate may reach.
type MenuRequest struct {
	Certificate []byte `json:"certificate"`
	Client      string `json:"client"`
}
