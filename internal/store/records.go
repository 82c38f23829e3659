package store

import (
	"encoding/json"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Times in records are Unix seconds, 0 for never.

// Profile is which CA key a certificate was asked of.
type Profile string

const (
	ProfileLogin   Profile = "login"
	ProfileSession Profile = "session"
	ProfileHost    Profile = "host"
)

// Intent is a certificate that is about to be signed. It is stored, with its
// serial, before the signer is asked: no certificate exists without its record.
type Intent struct {
	Profile     Profile
	Subject     string // identity, or node name, or proxy name
	KeyPrint    string // SHA256:... of the key to certify
	ValidAfter  int64
	ValidBefore int64

	// What only the audit log keeps of it: Certificate does not return these.
	KeyID  string
	Node   id.NodeName // that a host certificate is for; "" for a proxy's own
	NodeID id.Node
	Proxy  id.Proxy // that holds it

	LoginSerial id.Serial // of the login certificate that a session was opened with
}

// certificate is i in the audit log.
func (i Intent) certificate(serial id.Serial) *audit.Certificate {
	return &audit.Certificate{
		Serial: serial, Profile: string(i.Profile), KeyID: i.KeyID, Key: i.KeyPrint,
		ValidAfter: i.ValidAfter, ValidBefore: i.ValidBefore, LoginSerial: i.LoginSerial,
	}
}

// Certificate is an Intent with what became of it. Blob is nil where the
// process died between intent and result.
type Certificate struct {
	Intent
	Serial   id.Serial
	Reserved int64
	Blob     []byte
	Revoked  int64
}

// Once is something that may be used a single time: a nonce, an ID token, a
// request's signature. Hash is a SHA-256; after Expires the row may go, because
// what it guards is refused for its age.
type Once struct {
	Kind    string
	Hash    []byte
	Expires int64
}

// Login is a verified login, stored with the use of its token and the intent of
// its certificate in one transaction.
type Login struct {
	Identity Identity
	Client   string // the person's address
	Once     []Once
	Intent   Intent
}

// Identity is a person or workload as their issuer last described them.
type Identity struct {
	Name    id.Identity
	Issuer  string
	Subject string // the issuer's sub; a name never moves to another
	Groups  []string
	Claims  json.RawMessage
	Seen    int64
}

// Opening is a granted session, stored with the intent of its certificate in one
// transaction.
type Opening struct {
	Session   wire.Session // its Serial is ignored
	Roles     []string     // all that granted
	Recording wire.RecordingOrder
	Intent    Intent
}

// Enrolment is by what a part enrols, and the host certificates that it gets.
type Enrolment struct {
	Secret  []byte // SHA-256 of the join token's secret
	Client  string // the part's address
	Intents []Intent
}

// Node is a node's row.
type Node struct {
	wire.Node
	Pin      []byte // SHA-256 of the agent's TLS key; nil without an agent
	Token    string // the join token it came by
	Problems []string
}

// Proxy is a proxy's row.
type Proxy struct {
	wire.ProxyAddr
	Pin     []byte
	HostKey string
	Seen    int64
}

// Revision is one applied policy.
type Revision struct {
	wire.Policy
}
