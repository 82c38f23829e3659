package cert

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// MaxForceCommand is the longest force-command, in bytes.
const MaxForceCommand = 8 << 10

// Session asks for a session certificate, which opens one login on one node,
// from one proxy, for about a minute. It is the only kind that a node's sshd
// trusts.
//
// X11 forwarding and ~/.ssh/rc are never permitted: the one hands the person's
// display to the node, the other runs what the last session left behind before
// anything is recorded.
type Session struct {
	Session     id.Session    // the recording's name, in the node's own log
	Identity    id.Identity   // for whom, in the node's own log
	Revision    int64         // of the policy that granted it; from 1
	Login       id.Login      // Login and Node make the one principal
	Node        id.Node       //
	Key         ssh.PublicKey // the proxy's, for this connection alone
	Serial      id.Serial     // reserved in the database before
	ValidAfter  int64         // Unix seconds, see Window
	ValidBefore int64         // Unix seconds, at most MaxSession after issuance

	// SourceAddress is from where the proxy reaches nodes. Never empty: a
	// certificate that is stolen from a proxy is then of use on that proxy alone.
	SourceAddress []netip.Prefix

	ForceCommand string // for sealed commands; empty is none

	// What the grant allows; all false is a bare exec channel.
	PTY             bool
	AgentForwarding bool
	PortForwarding  bool
}

func (Session) Profile() Profile     { return SessionProfile }
func (Session) Limit() time.Duration { return MaxSession }

// Derive implements Request.
func (r Session) Derive() (*ssh.Certificate, error) {
	const p = SessionProfile
	if err := r.checkNames(); err != nil {
		return nil, refuse(p, "%v", err)
	}
	if err := CheckKey(p, r.Key); err != nil {
		return nil, err
	}
	if err := checkFrame(p, uint64(r.Serial), r.ValidAfter, r.ValidBefore, MaxSession); err != nil {
		return nil, err
	}
	switch {
	case r.Revision <= 0:
		return nil, refuse(p, "no policy granted it")
	case len(r.SourceAddress) == 0:
		return nil, refuse(p, "it has no source address")
	case len(r.ForceCommand) > MaxForceCommand:
		return nil, refuse(p, "its command is longer than %d bytes", MaxForceCommand)
	case !utf8.ValidString(r.ForceCommand) || strings.ContainsRune(r.ForceCommand, 0):
		return nil, refuse(p, "its command is not text")
	}
	for _, s := range r.SourceAddress {
		if s.Addr().Is4() && s.Bits() < widestV4 || s.Addr().Is6() && s.Bits() < widestV6 {
			return nil, refuse(p, "source address %v is too wide for a proxy", s)
		}
	}
	sources, err := formatSources(r.SourceAddress)
	if err != nil {
		return nil, refuse(p, "%v", err)
	}
	critical := map[string]string{optSourceAddress: sources}
	if r.ForceCommand != "" {
		critical[optForceCommand] = r.ForceCommand
	}
	extensions := map[string]string{}
	for name, on := range map[string]bool{
		extPTY: r.PTY, extAgentForwarding: r.AgentForwarding, extPortForwarding: r.PortForwarding,
	} {
		if on {
			extensions[name] = ""
		}
	}
	return checkSize(p, &ssh.Certificate{
		Key:      r.Key,
		Serial:   uint64(r.Serial),
		CertType: ssh.UserCert,
		KeyId: keyID("session", string(r.Session), "identity", string(r.Identity),
			"policy", strconv.FormatInt(r.Revision, 10)),
		ValidPrincipals: []string{id.Principal(r.Login, r.Node)},
		ValidAfter:      uint64(r.ValidAfter),
		ValidBefore:     uint64(r.ValidBefore),
		Permissions:     ssh.Permissions{CriticalOptions: critical, Extensions: extensions},
	})
}

func (r Session) checkNames() error {
	if _, err := id.ParseSession(string(r.Session)); err != nil {
		return err
	}
	if _, err := id.ParseIdentity(string(r.Identity)); err != nil {
		return err
	}
	if _, err := id.ParseLogin(string(r.Login)); err != nil {
		return err
	}
	_, err := id.ParseNode(string(r.Node))
	return err
}

// ReadSession reads the request back that c was derived from. It proves nothing
// about c's signature, CA or time.
func ReadSession(c *ssh.Certificate) (Session, error) {
	r, err := sessionFields(c)
	if err != nil {
		return Session{}, err
	}
	if err := same(r, c); err != nil {
		return Session{}, err
	}
	return r, nil
}

// sessionFields is ReadSession without the check that c has nothing else.
func sessionFields(c *ssh.Certificate) (Session, error) {
	if c == nil {
		return Session{}, refuse(SessionProfile, "there is none")
	}
	const p = SessionProfile
	values, err := readKeyID(c.KeyId, "session", "identity", "policy")
	if err != nil {
		return Session{}, refuse(p, "%v", err)
	}
	revision, err := strconv.ParseInt(values[2], 10, 64)
	if err != nil {
		return Session{}, refuse(p, "KeyID %q names no policy revision", c.KeyId)
	}
	sources, err := parseSources(c.CriticalOptions[optSourceAddress])
	if err != nil {
		return Session{}, refuse(p, "%v", err)
	}
	if len(c.ValidPrincipals) != 1 {
		return Session{}, refuse(p, "it has %d principals and not one", len(c.ValidPrincipals))
	}
	// A login has no @, so the first one separates.
	login, node, _ := strings.Cut(c.ValidPrincipals[0], "@")
	r := Session{
		Session: id.Session(values[0]), Identity: id.Identity(values[1]), Revision: revision,
		Login: id.Login(login), Node: id.Node(node),
		Key: c.Key, Serial: id.Serial(c.Serial),
		ValidAfter: int64(c.ValidAfter), ValidBefore: int64(c.ValidBefore),
		SourceAddress: sources, ForceCommand: c.CriticalOptions[optForceCommand],
	}
	_, r.PTY = c.Extensions[extPTY]
	_, r.AgentForwarding = c.Extensions[extAgentForwarding]
	_, r.PortForwarding = c.Extensions[extPortForwarding]
	return r, nil
}
