package wire

import (
	"encoding/json"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
)

// Discovery is all that a new laptop needs, at one URL.
type Discovery struct {
	Name    string      `json:"name"` // shown to people, "Example Inc."
	OIDC    OIDC        `json:"oidc"`
	Trust   Trust       `json:"trust"`
	Proxies []ProxyAddr `json:"proxies"` // first is preferred
	// Names are ssh host patterns (ssh_config(5) PATTERNS) whose hosts are
	// reached through Sallyport, beside the nodes that ls lists.
	Names []string `json:"names"`
	// SecurityKeyRequired: only sk- keys are given login certificates.
	SecurityKeyRequired bool  `json:"security_key_required"`
	CertificateSeconds  int64 `json:"certificate_seconds"` // usual lifetime
	// Parts is where agents and proxies enrol: the parts' door.
	Parts PartsDoor `json:"parts"`
	// Log is by what the audit log's checkpoints are known: C2SP verifier keys.
	Log LogTrust `json:"log"`
	Now int64    `json:"now"` // the CA's clock, so that a wrong one is named
}

// OIDC is what the client needs to sign a person in.
type OIDC struct {
	Issuer       string   `json:"issuer"`
	ClientID     string   `json:"client_id"`
	Scopes       []string `json:"scopes"`
	ClientSecret string   `json:"client_secret,omitempty"` // for issuers that insist on one for native apps; no secret at all (RFC 8252, section 8.5)
}

// PartsDoor is the address of the parts' door and the hex SHA-256 of its TLS
// key's SubjectPublicKeyInfo.
type PartsDoor struct {
	URL string `json:"url"`
	Pin string `json:"pin"`
}

// Trust are the CAs' public keys, each a line in authorized_keys form. During a
// rotation each list has more than one. Version rises with every change.
type Trust struct {
	Version   int64    `json:"version"`
	UserCA    []string `json:"user_ca"`
	SessionCA []string `json:"session_ca"`
	HostCA    []string `json:"host_ca"`
}

// ProxyAddr is one proxy as people reach it, and the addresses from which it
// reaches nodes.
type ProxyAddr struct {
	Name   id.Proxy `json:"name"`
	Addr   string   `json:"addr"`             // host:port
	Egress []string `json:"egress,omitempty"` // IP addresses or CIDR
}

// LoginRequest asks for a login certificate with a fresh ID token.
//
// The token's nonce is Nonce(PublicKey, NonceSalt), so that a stolen token is
// worth nothing for another key. Tokens that cannot carry a nonce (device flow,
// workloads) are bound by Proof alone and are accepted once.
type LoginRequest struct {
	IDToken     string `json:"id_token"`
	AccessToken string `json:"access_token,omitempty"` // to ask userinfo for groups
	PublicKey   []byte `json:"public_key"`             // SSH wire blob
	NonceSalt   []byte `json:"nonce_salt,omitempty"`   // 32 random bytes; none without a nonce
	Proof       []byte `json:"proof"`                  // SSHSIG by PublicKey over LoginProof(IDToken), namespace NamespaceLogin
}

// RenewRequest is a LoginRequest of somebody who holds a login certificate,
// possibly expired, of the same identity and key. The ID token came from a
// refresh and so carries no new nonce (OpenID Connect Core, section 12.2).
type RenewRequest struct {
	LoginRequest
	Certificate []byte `json:"certificate"` // the one to renew
}

// LoginResponse carries the login certificate and who it says you are.
type LoginResponse struct {
	Certificate []byte          `json:"certificate"`
	Identity    id.Identity     `json:"identity"`
	Groups      []string        `json:"groups"`
	ValidBefore int64           `json:"valid_before"`
	Nodes       []ReachableNode `json:"nodes"` // spares a new laptop one call; null where there are too many: ask PathNodes
}

// ReachableNode is a row of `sallyport ls`: a node and the logins that the
// asking identity has there.
type ReachableNode struct {
	Name   id.NodeName       `json:"name"`
	Labels map[string]string `json:"labels"`
	Logins []ReachableLogin  `json:"logins"`
}

// ReachableLogin names the roles that give a login.
type ReachableLogin struct {
	Login id.Login `json:"login"`
	Roles []string `json:"roles"`
}

// Session is one row of `sallyport sessions ls`.
type Session struct {
	ID          id.Session  `json:"id"`
	Identity    id.Identity `json:"identity"`
	Login       id.Login    `json:"login"`
	Node        id.NodeName `json:"node"`
	NodeID      id.Node     `json:"node_id"`
	Proxy       id.Proxy    `json:"proxy"`
	Client      string      `json:"client"` // the person's address, host:port
	Way         Way         `json:"way"`
	Role        string      `json:"role"`
	Revision    int64       `json:"revision"`
	LoginSerial id.Serial   `json:"login_serial"`
	Serial      id.Serial   `json:"serial"`
	Started     int64       `json:"started"`
	Ended       int64       `json:"ended"` // 0 while it lives, or if the proxy died
	End         string      `json:"end"`   // why it ended; "" while it lives
	Bytes       int64       `json:"bytes"` // of the recording, compressed

	Recording Recording `json:"recording"`
}

// Recording is what the CA knows of a session's recording.
type Recording struct {
	State      string   `json:"state"`            // live, sealed, cut (sealed after a crash), unsealed, lost, deleted
	Digest     []byte   `json:"digest,omitempty"` // of the sealed recording
	Sealed     int64    `json:"sealed,omitempty"` // Unix seconds
	Frames     int64    `json:"frames,omitempty"`
	Commands   int64    `json:"commands,omitempty"`
	Files      int64    `json:"files,omitempty"`
	Recipients []string `json:"recipients,omitempty"`
	Retain     int64    `json:"retain,omitempty"` // kept until, Unix seconds; 0 for ever
	Held       string   `json:"held,omitempty"`   // why it is under legal hold; "" where it is not
	Deleted    int64    `json:"deleted,omitempty"`
}

// Way is how a connection reached the proxy (DESIGN, section 2).
type Way string

const (
	WayConnect Way = "connect" // ProxyCommand sallyport connect
	WayJump    Way = "jump"    // ssh -J proxy
	WayName    Way = "name"    // login@node@proxy
	WayMenu    Way = "menu"    // ssh proxy
)

// Valid says whether w is one of the four.
func (w Way) Valid() bool {
	return w == WayConnect || w == WayJump || w == WayName || w == WayMenu
}

// SessionFilter narrows a listing; zero fields do not narrow.
type SessionFilter struct {
	Identity id.Identity
	Node     id.NodeName
	Login    id.Login
	Since    int64
	Until    int64
	Live     bool
	Before   id.Session // the last row of the page before; rows older than it
	Limit    int        // 0 is 100; 1000 at most
}

// Policy is a revision of the policy as admins wrote it.
type Policy struct {
	Revision int64             `json:"revision"` // 0: nothing applied, everybody refused
	Author   string            `json:"author"`
	Applied  int64             `json:"applied"`
	Files    map[string]string `json:"files"` // name: YAML text
}

// ApplyPolicy replaces the whole policy. Base is the revision that was read
// before; -1 overwrites whatever is there.
type ApplyPolicy struct {
	Files map[string]string `json:"files"`
	Base  int64             `json:"base"`
	Check bool              `json:"check,omitempty"` // only say whether it would load
}

// ExplainRequest asks why. Groups and claims of an identity are those of its
// last login; an identity that never logged in has none, unless given.
type ExplainRequest struct {
	Identity id.Identity     `json:"identity"`
	Login    id.Login        `json:"login"`
	Node     id.NodeName     `json:"node"`
	Groups   []string        `json:"groups,omitempty"`
	Claims   json.RawMessage `json:"claims,omitempty"`
}

// Explanation is the decision and how every role bore on it.
type Explanation struct {
	Revision int64             `json:"revision"`
	Subject  policy.Subject    `json:"subject"`
	Decision policy.Decision   `json:"decision"`
	Roles    []policy.RoleView `json:"roles"`
}

// Node is a node as admins see it.
type Node struct {
	ID        id.Node           `json:"id"`
	Name      id.NodeName       `json:"name"`
	Addr      string            `json:"addr"` // host:port that proxies dial
	Names     []string          `json:"names"`
	Labels    map[string]string `json:"labels"`
	Agent     bool              `json:"agent"`
	HostKeys  []string          `json:"host_keys,omitempty"` // pinned, authorized_keys form; none with an agent
	Strict    bool              `json:"strict"`              // wanted
	StrictOn  bool              `json:"strict_on"`           // as the agent reports it
	Sshd      string            `json:"sshd,omitempty"`
	Seen      int64             `json:"seen"`       // last word of the agent
	Proven    int64             `json:"proven"`     // last session that sshd accepted through a proxy
	Drift     []string          `json:"drift"`      // files that differ from what the agent wrote
	CertUntil int64             `json:"cert_until"` // ValidBefore of its host certificate
}

// AddNode registers a node that has no agent.
type AddNode struct {
	Name     id.NodeName       `json:"name"`
	Addr     string            `json:"addr"`
	Labels   map[string]string `json:"labels,omitempty"`
	HostKeys []string          `json:"host_keys"`
}

// NodeAdded carries what its admin must put on the node.
type NodeAdded struct {
	Node       Node   `json:"node"`
	SshdConfig string `json:"sshd_config"` // lines for sshd_config(5)
	SessionCA  string `json:"session_ca"`  // content of the TrustedUserCAKeys file
}

// SetNode changes a node; nil leaves as it is.
type SetNode struct {
	Strict   *bool              `json:"strict,omitempty"`
	Addr     *string            `json:"addr,omitempty"`
	Labels   *map[string]string `json:"labels,omitempty"`
	HostKeys *[]string          `json:"host_keys,omitempty"`
}

// NewJoinToken says what a part may become by it.
type NewJoinToken struct {
	Part    Part              `json:"part"`
	Names   []string          `json:"names"`            // patterns, "web-*"; what a host certificate may name
	Labels  map[string]string `json:"labels,omitempty"` // given to the node; the node cannot choose others
	Uses    int               `json:"uses"`             // 1 for one-time
	Seconds int64             `json:"seconds"`          // lifetime
}

// Part is who may enrol with a join token.
type Part string

const (
	PartAgent Part = "agent"
	PartProxy Part = "proxy"
)

// JoinToken is a token without its secret.
type JoinToken struct {
	ID string `json:"id"`
	NewJoinToken
	Used    int    `json:"used"`
	Expires int64  `json:"expires"`
	Author  string `json:"author"`
}

// JoinTokenSecret is the only time that the secret is seen; the CA keeps its
// SHA-256.
type JoinTokenSecret struct {
	JoinToken
	Secret string `json:"secret"`
}
