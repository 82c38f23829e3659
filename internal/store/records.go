package store

import (
	"encoding/json"

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
