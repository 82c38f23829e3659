// Package store keeps the CA's state: one set of SQL for SQLite and PostgreSQL.
//
// # Promises
//
// Each public method is one transaction, and has happened durably when it
// returns nil; when it returns an error nothing happened, or (a lost connection
// during commit) the caller may ask again. Methods that lose a race against a
// constraint return a *fault.Error of kind Conflict with its reason; a database
// that is away is kind Unavailable, reason store_away. Serials rise by one
// without gaps across all processes, start at 1 and are never used twice, also
// not after a crash. The serial and the intent are stored before a certificate is signed.
//
// Writes of concurrent callers are gathered into one commit (batch.go): each
// caller's closure runs in a savepoint of its own, so that one refusal undoes
// nobody else's work.
//
// SQL stands here and nowhere else, one literal per helper, above its Scan.
//
// # Methods
//
//	Open(ctx, Config) (*Store, error)          sqlite:///path or postgres://...; migrates
//	Close() error
//	Ping(ctx) error
//
//	RecordLogin(ctx, Login) (id.Serial, error)           uses up Once, upserts Identity, reserves
//	Identity(ctx, id.Identity) (Identity, error)
//	UseOnce(ctx, ...Once) error                          token_replayed
//	Reserve(ctx, Intent) (id.Serial, error)
//	Complete(ctx, id.Serial, blob []byte) error          once only
//	Certificate(ctx, id.Serial) (Certificate, error)
//	Revoke(ctx, id.Serial) error
//	RevokedLogins(ctx) ([]Certificate, error)            revoked, not yet expired
//
//	CreateToken(ctx, wire.JoinToken, secretHash []byte) error
//	Tokens(ctx) ([]wire.JoinToken, error)
//	DeleteToken(ctx, id string) error
//	EnrollNode(ctx, secretHash []byte, Node, ...Intent) (Node, []id.Serial, error)
//	EnrollProxy(ctx, secretHash []byte, Proxy, ...Intent) (Proxy, []id.Serial, error)
//	                                                     counts the token, join_token_*, node_name_taken; one transaction
//	AddNode(ctx, Node) error
//	NodeByName(ctx, id.NodeName) (Node, error)
//	NodeByPin(ctx, []byte) (Node, error)
//	Nodes(ctx) ([]Node, error)
//	UpdateNode(ctx, id.Node, func(*Node) error) (Node, error)   read, change, write; bumps the state version
//	TouchNode(ctx, id.Node, wire.AgentReport, now int64) error  no bump
//	ProveNode(ctx, id.Node, now int64) error                    bumps when it was never proven
//	RemoveNode(ctx, id.NodeName) error
//	ProxyByPin(ctx, []byte) (Proxy, error)
//	Proxies(ctx) ([]Proxy, error)
//
//	OpenSession(ctx, wire.Session, Intent) (id.Serial, error)   the session's row and its certificate's intent
//	EndSession(ctx, id.Session, wire.EndRequest, now int64) error
//	Session(ctx, id.Session) (wire.Session, error)
//	Sessions(ctx, wire.SessionFilter) ([]wire.Session, error)   newest first
//	EndLost(ctx, id.Proxy, now int64, live []id.Session) error  a proxy came back: rows it left open are ended as "lost"
//
//	Policy(ctx) (Revision, error)                        the newest; Revision 0 when none
//	ApplyPolicy(ctx, Revision, base int64) (int64, error) policy_stale
//	StateVersion(ctx) (int64, error)                     rises with nodes, proxies, policy, revocations
//
// Zero value: a zero Store refuses every call with store_away.
package store
