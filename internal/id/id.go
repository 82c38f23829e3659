// Package id holds the typed names that travel through every part, so that a
// login can never be passed where a node belongs, and the one place that says
// what a legal name looks like.
//
// Every Parse function refuses rather than repairs: a name that needed cleaning
// is a name that somebody chose in order to be mistaken for another one.
//
// The package is pure: no network, no database, no clock.
package id

import (
	"crypto/rand"
	"fmt"
	"strings"
)

type (
	// Identity is the stable name of a person or workload as the OIDC issuer
	// gives it, for example "you@example.com". It is the one principal of a
	// login certificate and never a Unix account. Empty means nobody.
	Identity string

	// LoginID names one act of logging in: it stands in the login certificate's
	// KeyID and in the audit log.
	LoginID string

	// Login is the account on a node: "root" in `ssh root@web-1`.
	Login string

	// Node is a node's identifier: random, given at enrolment, never given
	// again. Session certificates name it, so that a certificate for a node
	// that was removed does not open the next node of the same name.
	Node string

	// NodeName is what people type after the @. It may move to another Node.
	NodeName string

	// Session names one audited connection from one identity to one login on
	// one node, and its recording.
	Session string

	// Proxy is a proxy's name as its operator configured it.
	Proxy string

	// Serial is a certificate's serial number. Zero is never issued: OpenSSH
	// cannot revoke it, and a KRL that lists it is invalid as a whole.
	Serial uint64
)

// Limits of names, in bytes.
const (
	MaxIdentity = 254 // an e-mail address, RFC 5321 section 4.5.3.1.3
	MaxLogin    = 32  // useradd's limit
	MaxNodeName = 253 // a DNS name, RFC 1035 section 2.3.4
)

// alphabet is Crockford's base32 in lower case: no i, l, o or u to misread.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// random returns n characters of 5 random bits each.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails since Go 1.24
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b)
}

// NewNode returns a fresh node identifier of 60 random bits.
func NewNode() Node { return Node("n-" + random(12)) }

// NewSession returns a fresh session name of 45 random bits, grouped for the
// eye ("7kq2-m9x4d"). The store refuses a name that is taken; take another.
func NewSession() Session { return Session(random(4) + "-" + random(5)) }

// NewLoginID returns a fresh name of 60 random bits.
func NewLoginID() LoginID { return LoginID(random(12)) }

// Principal is the one principal of a session certificate, and what the node's
// AuthorizedPrincipalsCommand prints.
func Principal(l Login, n Node) string { return string(l) + "@" + string(n) }

// ParseIdentity accepts what may stand as a principal: printable ASCII without
// spaces, quotes, commas (OpenSSH's list separator), '=' (the KeyID's), or
// wildcards.
func ParseIdentity(s string) (Identity, error) {
	if err := check("identity", s, MaxIdentity, func(c byte) bool {
		return isAlnum(c) || strings.IndexByte("@._+-:/", c) >= 0
	}); err != nil {
		return "", err
	}
	return Identity(s), nil
}

// ParseLogin accepts the account names of useradd and of directory services
// that sshd takes without quoting. '@' is refused: it separates login and node.
func ParseLogin(s string) (Login, error) {
	if err := check("login", s, MaxLogin, func(c byte) bool {
		return isAlnum(c) || strings.IndexByte("._-$", c) >= 0
	}); err != nil {
		return "", err
	}
	if s[0] == '-' || s[0] == '.' {
		return "", fmt.Errorf("login %q starts with %q", s, s[0])
	}
	return Login(s), nil
}

// ParseNodeName accepts lower-case DNS names; ssh lower-cases what is typed.
func ParseNodeName(s string) (NodeName, error) {
	if err := check("node name", s, MaxNodeName, func(c byte) bool {
		return isAlnum(c) && (c < 'A' || c > 'Z') || c == '.' || c == '-' || c == '_'
	}); err != nil {
		return "", err
	}
	if s[0] == '-' || s[0] == '.' || strings.Contains(s, "..") {
		return "", fmt.Errorf("node name %q is no host name", s)
	}
	return NodeName(s), nil
}

// ParseNode accepts exactly what NewNode makes.
func ParseNode(s string) (Node, error) {
	rest, ok := strings.CutPrefix(s, "n-")
	if !ok || len(rest) != 12 || strings.Trim(rest, alphabet) != "" {
		return "", fmt.Errorf("node id %q is malformed", s)
	}
	return Node(s), nil
}

// ParseLoginID accepts exactly what NewLoginID makes.
func ParseLoginID(s string) (LoginID, error) {
	if len(s) != 12 || strings.Trim(s, alphabet) != "" {
		return "", fmt.Errorf("login id %q is malformed", s)
	}
	return LoginID(s), nil
}

// ParseSession accepts exactly what NewSession makes.
func ParseSession(s string) (Session, error) {
	a, b, ok := strings.Cut(s, "-")
	if !ok || len(a) != 4 || len(b) != 5 || strings.Trim(a+b, alphabet) != "" {
		return "", fmt.Errorf("session %q is malformed: it looks like 7kq2-m9x4d", s)
	}
	return Session(s), nil
}

func check(what, s string, limit int, ok func(byte) bool) error {
	if s == "" {
		return fmt.Errorf("%s is empty", what)
	}
	if len(s) > limit {
		return fmt.Errorf("%s is longer than %d bytes", what, limit)
	}
	for i := range len(s) {
		if !ok(s[i]) {
			return fmt.Errorf("%s %q has %q in it", what, s, s[i])
		}
	}
	return nil
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
