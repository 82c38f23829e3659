package ca

import (
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/outlet"
	"github.com/sallyport-ssh/sallyport/internal/config"
)

// Config is the CA's configuration file. What is not said has the value that
// Defaults gives; what has none there must be said.
type Config struct {
	// Name is shown to people at login, "Example Inc.".
	Name string `yaml:"name"`
	// URL is the people's door as people type it: https://access.example.com,
	// without a path. Requests are signed for its host.
	URL string `yaml:"url"`
	// Listen is where the people's door is served, host:port.
	Listen string `yaml:"listen"`
	// TLS is the certificate of the people's door. Without it the door speaks
	// plain HTTP, which is taken on loopback or with behind_proxy.
	TLS TLS `yaml:"tls"`
	// BehindProxy says that a load balancer ends TLS before the people's door and
	// sets X-Forwarded-For. Nothing else may then reach Listen.
	BehindProxy bool `yaml:"behind_proxy"`
	// Parts is the door of agents and proxies.
	Parts Parts `yaml:"parts"`

	// Data is the directory in which files stand that have no place of their own.
	Data string `yaml:"data"`
	// Database is where everything is kept: sqlite:///absolute/path, or
	// postgres://user@host/name?passfile=/path with the password in a libpq
	// passfile and never here. CAs that share a PostgreSQL are one CA. Default:
	// ca.db under Data.
	Database string `yaml:"database"`
	// Keys are the CA keys. The signer alone reads them.
	Keys Keys `yaml:"keys"`
	// Recordings is the directory in which proxies on this machine record.
	// Default: recordings under Data.
	Recordings string `yaml:"recordings"`
	// Storage is where proxies bring their recordings.
	Storage Storage `yaml:"storage"`
	// Recording is what holds for the recordings of all sessions. Roles may ask for
	// more.
	Recording Recording `yaml:"recording"`

	// OIDC is who signs people in.
	OIDC OIDC `yaml:"oidc"`
	// Workloads are the issuers of CI jobs and other programs.
	Workloads []Workload `yaml:"workloads"`
	// Admins may change policy, nodes and tokens; Auditors see everybody's
	// sessions. Roles can say so, too; these hold before there is a policy.
	Admins   People `yaml:"admins"`
	Auditors People `yaml:"auditors"`

	// Names are ssh host patterns (ssh_config(5), PATTERNS) of hosts that are
	// reached through Sallyport, beside the nodes that `ls` lists.
	Names []string `yaml:"names"`
	// Certificates says how long they live and what they ask for.
	Certificates Certificates `yaml:"certificates"`
	// Audit is the log of everything that is decided and done.
	Audit Audit `yaml:"audit"`
	// PolicyDir is a directory of policy files that is watched. While it is set
	// the policy cannot be applied over the API. "" is none.
	PolicyDir string `yaml:"policy_dir"`
	// Search says whether what was said in sessions can be found.
	Search Search `yaml:"search"`
	// Outlets carry the audit log to other systems as it grows. See OUTLETS.md.
	Outlets []outlet.Config `yaml:"outlets"`
	// Log is how this part logs.
	Log config.Log `yaml:"log"`
}

// Storage is where recordings are kept.
type Storage struct {
	// URL is file:///absolute/path, or s3://bucket/prefix with what follows a "?":
	// endpoint=https://..., region=..., credentials=/path of an AWS credentials file
	// (default: the AWS chain), profile=..., lock=compliance or governance. The same
	// as the proxies'. Default: the directory of recordings.
	URL string `yaml:"url"`
}

// Search is an index of sealed recordings, for `sallyport sessions search`.
type Search struct {
	// Index reads each recording that the CA can open, and keeps its lines in the
	// database, in clear. What is encrypted to keys that the CA has not is left
	// out.
	Index bool `yaml:"index"`
}

// Recording is how sessions are recorded.
type Recording struct {
	// Recipients are age recipients, age1... or age1pq1...: the auditors who can
	// read recordings. Without any, and without key_file, recordings are in clear.
	Recipients []string `yaml:"recipients"`
	// Retain is how long recordings are kept, from the session's start, 400d; then
	// they are deleted, but for those under legal hold. 0 is for ever.
	Retain config.Duration `yaml:"retain"`
	// KeyFile holds an age identity of the CA's own, as age-keygen writes it. With it
	// the CA can open recordings: for replay in the console, and for search. Every
	// recording is then encrypted to it, too, and the audit log says so.
	KeyFile string `yaml:"key_file"`
}

// TLS are PEM files; a changed file is taken up within a minute.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// Parts is the door of agents and proxies: TLS 1.3 with pinned keys.
type Parts struct {
	// Listen is host:port.
	Listen string `yaml:"listen"`
	// URL is the door as parts reach it. Default: URL's host with Listen's port.
	URL string `yaml:"url"`
}

// Keys says where the keys are and who signs with them.
type Keys struct {
	// Dir holds the encrypted key files that `sallyport ca init` made: the CA
	// keys, and the TLS key of the parts' door. CAs that share a database share
	// these, too. Default: keys under Data.
	Dir string `yaml:"dir"`
	// PassphraseFile opens them. Default: systemd's credential
	// sallyport-passphrase, or without systemd passphrase under Data.
	PassphraseFile string `yaml:"passphrase_file"`
	// Socket is that of a signer that runs as OS user SocketUser. Without it the
	// CA starts one as a child.
	Socket     string `yaml:"socket"`
	SocketUser string `yaml:"socket_user"`
	// RequireFence refuses to start a signer where the kernel has no seccomp.
	RequireFence bool `yaml:"require_fence"`
}

// OIDC is the people's issuer.
type OIDC struct {
	Issuer   string `yaml:"issuer"`
	ClientID string `yaml:"client_id"`
	// ClientSecretFile is for issuers that insist on a secret for native apps. It
	// is given to everybody who logs in, and so is no secret (RFC 8252, section 8.5).
	ClientSecretFile string   `yaml:"client_secret_file"`
	Scopes           []string `yaml:"scopes"`
	// Claims are the names of the claims that are read.
	Claims Claims `yaml:"claims"`
	// Userinfo is when the userinfo endpoint is asked: auto (when the ID token
	// lacks the name or the groups), always, never.
	Userinfo string `yaml:"userinfo"`
	// MaxAge is how long ago people may have signed in at the issuer; 0 is any time.
	MaxAge config.Duration `yaml:"max_age"`
	// UnverifiedEmail takes the claim email as a name also where the issuer has
	// not verified it. Whoever can choose an address there can be anybody.
	UnverifiedEmail bool `yaml:"unverified_email"`
	// Device allows the device flow, whose tokens carry no nonce and so are bound
	// to the key by its signature alone.
	Device bool `yaml:"device"`
}

// Claims are claim names. Groups may name a nested claim: realm_access.roles.
type Claims struct {
	Name   string `yaml:"name"`
	Groups string `yaml:"groups"`
}

// Workload lets programs log in with the ID tokens of their platform.
type Workload struct {
	Issuer   string `yaml:"issuer"`
	Audience string `yaml:"audience"`
	// Name is what they are called here: a word, a colon, and claims in braces,
	// ci:{{repository}}. The word belongs to one issuer.
	Name string `yaml:"name"`
	// Rules are claims and the values that they may have, with * for any run of
	// characters but '/'. All must hold, and there is at least one.
	Rules map[string]config.OneOrMore[string] `yaml:"rules"`
	// Groups are given to them.
	Groups []string `yaml:"groups"`
}

// People are identities, and members of groups as the issuer names them.
type People struct {
	Groups     []string `yaml:"groups"`
	Identities []string `yaml:"identities"`
}

// Certificates are lifetimes and demands.
type Certificates struct {
	// Login is the lifetime of login certificates.
	Login config.Duration `yaml:"login"`
	// Renew is how long after its end a login certificate may be renewed with a
	// fresh token of the issuer, without a new sign-in.
	Renew config.Duration `yaml:"renew"`
	// Host is the lifetime of host certificates of nodes and proxies.
	Host config.Duration `yaml:"host"`
	// SecurityKeyRequired refuses keys that do not live in a FIDO authenticator.
	SecurityKeyRequired bool `yaml:"security_key_required"`
	// SourceAddress binds login certificates to the address from which the person
	// logged in. Not with behind_proxy.
	SourceAddress bool `yaml:"source_address"`
}

// Defaults are what the file need not say.
func Defaults() Config {
	return Config{
		Name:   "Sallyport",
		Listen: "127.0.0.1:8440",
		Parts:  Parts{Listen: "127.0.0.1:8441"},
		Data:   "/var/lib/sallyport/ca",
		OIDC: OIDC{
			Scopes:   []string{"openid", "profile", "email", "groups", "offline_access"},
			Claims:   Claims{Name: "email", Groups: "groups"},
			Userinfo: "auto",
		},
		Certificates: Certificates{
			Login: config.Duration(8 * time.Hour),
			Renew: config.Duration(7 * 24 * time.Hour),
			Host:  config.Duration(7 * 24 * time.Hour),
		},
		Search: Search{Index: true},
		Audit:  Audit{Entries: "auditors"},
		Log:    config.DefaultLog(),
	}
}
