// Package people is the people's door: discovery, login, and everything that a
// person asks once they hold a login certificate. Its table of routes (routes)
// is the list of what can be asked, and by whom.
//
// # Promises
//
// But for discovery, the installer and the login itself, every request is signed
// by a login key whose certificate is valid and not revoked, for this door's
// host, within two minutes, and is taken once. Who is an admin or an auditor is
// decided anew for each request. Sessions are shown to auditors and to the
// person they are of.
package people

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/auditlog"
	"github.com/sallyport-ssh/sallyport/ca/internal/directory"
	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/ca/internal/holder"
	"github.com/sallyport-ssh/sallyport/ca/internal/idtoken"
	"github.com/sallyport-ssh/sallyport/ca/internal/issue"
	"github.com/sallyport-ssh/sallyport/ca/internal/keep"
	"github.com/sallyport-ssh/sallyport/ca/internal/refusals"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Config is what the door stands on. All pointers are required.
type Config struct {
	Store     *store.Store
	Directory *directory.Directory
	Issuer    *issue.Issuer
	Tokens    *idtoken.Verifier
	Holders   *holder.Checker
	Refusals  *refusals.Log
	SessionCA []ssh.PublicKey // for the lines that AddNode prints

	URL         *url.URL       // the door as people address it
	BehindProxy bool           // the client's address stands in X-Forwarded-For
	Discovery   wire.Discovery // without proxies and time, which change

	Admins, Auditors Named

	AuditLog    *auditlog.Log
	AnyoneReads bool // the events of the log, and not auditors alone

	LoginLifetime time.Duration
	RenewWithin   time.Duration // after the end of the old certificate
	SourceAddress bool          // bind login certificates to the person's address

	Keep       *keep.Keep // where recordings are
	PolicyDir  string     // where the policy comes from; "" lets admins apply it here
	Search     bool       // recordings are indexed
	Executable string     // of this program, for the installer

	Now func() time.Time
	Log *slog.Logger
}

// Named are people that the configuration names.
type Named struct {
	Groups     []string
	Identities []string
}

// Caller is who stands before the door. For routes that anyone may call only
// From is set.
type Caller struct {
	holder.Holder
	Certificate *ssh.Certificate
	From        netip.Addr
	Admin       bool
	Auditor     bool
}

// Name is the caller's identity, "" for anyone.
func (c Caller) Name() id.Identity { return c.Identity.Name }

// actor is the caller as the audit log names them.
func (c Caller) actor() store.Actor {
	return store.Actor{Name: string(c.Name()), Client: c.From.String()}
}

type people struct {
	Config
	gate *gate
}

type call = door.Call[Caller]

// New makes the door's handler.
func New(c Config) (http.Handler, error) {
	p := newPeople(c)
	return door.New(p.routes(), p.gate, c.Log)
}

func newPeople(c Config) *people {
	p := &people{Config: c}
	p.gate = &gate{people: p, seen: newReplays(c.Now)}
	return p
}

// Limits of bodies, in bytes.
const (
	smallBody  = 16 << 10
	nodeBody   = 32 << 10
	tokenBody  = 128 << 10 // an ID token and an access token, each up to 48 KiB
	policyBody = 6 << 20   // policy.Load takes 4 MiB; JSON escapes some
)

func (p *people) routes() []door.Route[Caller] {
	return p.tellDuties([]door.Route[Caller]{
		{Method: "GET", Path: wire.PathDiscovery, Who: door.Anyone, Handle: door.Answers(p.discovery)},
		{Method: "GET", Path: wire.PathHealth, Who: door.Anyone, Quiet: true, Handle: door.Answers(p.health)},
		{Method: "GET", Path: wire.PathInstall, Who: door.Anyone, Handle: p.install},
		{Method: "GET", Path: wire.PathBinary, Who: door.Anyone, Handle: p.binary},

		{Method: "POST", Path: wire.PathLogin, Who: door.Anyone, Limit: tokenBody, Handle: door.Takes(p.login)},
		{Method: "POST", Path: wire.PathRenew, Who: door.Anyone, Limit: tokenBody, Handle: door.Takes(p.renew)},
		{Method: "POST", Path: wire.PathLogout, Who: door.Person, Handle: door.Answers(p.logout)},

		{Method: "GET", Path: wire.PathNodes, Who: door.Person, Handle: door.Answers(p.reachable)},
		{Method: "GET", Path: wire.PathSessions, Who: door.Person, Handle: door.Answers(p.sessions)},
		{Method: "GET", Path: wire.PathSession, Who: door.Person, Handle: door.Answers(p.session)},
		{Method: "GET", Path: wire.PathSearch, Who: door.Person, Handle: door.Answers(p.search)},
		{Method: "GET", Path: wire.PathRecording, Who: door.Person, Handle: p.recording},
		{Method: "POST", Path: wire.PathRecordingKey, Who: door.Person, Handle: door.Answers(p.recordingKey)},
		{Method: "PUT", Path: wire.PathAdminHold, Who: door.Person, Limit: smallBody, Handle: door.Takes(p.hold)},
		{Method: "DELETE", Path: wire.PathAdminHold, Who: door.Person, Handle: door.Answers(p.release)},
		{Method: "GET", Path: wire.PathRecordingProof, Who: door.Person, Handle: door.Answers(p.evidence)},

		{Method: "GET", Path: wire.PathAudit, Who: door.Person, Quiet: true, Handle: p.audit},
		{Method: "GET", Path: wire.PathAuditProof, Who: door.Person, Handle: p.auditProof},
		{Method: "GET", Path: wire.PathAuditEntries, Who: door.Person, Quiet: true, Handle: p.auditEntries},
		{Method: "GET", Path: wire.PathLog, Who: door.Anyone, Quiet: true, Handle: p.logFiles},

		{Method: "GET", Path: wire.PathPolicy, Who: door.Admin, Handle: door.Answers(p.policy)},
		{Method: "PUT", Path: wire.PathPolicy, Who: door.Admin, Limit: policyBody, Handle: door.Takes(p.applyPolicy)},
		{Method: "POST", Path: wire.PathPolicyExplain, Who: door.Admin, Limit: nodeBody, Handle: door.Takes(p.explain)},

		{Method: "GET", Path: wire.PathAdminNodes, Who: door.Admin, Handle: door.Answers(p.nodes)},
		{Method: "POST", Path: wire.PathAdminNodes, Who: door.Admin, Limit: nodeBody, Handle: door.Takes(p.addNode)},
		{Method: "PATCH", Path: wire.PathAdminNode, Who: door.Admin, Limit: nodeBody, Handle: door.Takes(p.setNode)},
		{Method: "DELETE", Path: wire.PathAdminNode, Who: door.Admin, Handle: door.Answers(p.removeNode)},

		{Method: "GET", Path: wire.PathAdminTokens, Who: door.Admin, Handle: door.Answers(p.tokens)},
		{Method: "POST", Path: wire.PathAdminTokens, Who: door.Admin, Limit: smallBody, Handle: door.Takes(p.newToken)},
		{Method: "DELETE", Path: wire.PathAdminToken, Who: door.Admin, Handle: door.Answers(p.deleteToken)},
	})
}

func badRequest(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, fault.BadRequest, format, args...)
}
