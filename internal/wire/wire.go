// Package wire is what the parts say to each other: the JSON bodies of the CA's
// API, its paths, and the client that speaks them. It is the only thing that ca,
// proxy, agent and login have in common at run time.
//
// # Two doors
//
// The people's door (Config.Listen of the CA; HTTPS, or plain HTTP behind a load
// balancer or on loopback) serves discovery, login and everything that a person
// asks. A person's request after login is proven by a signature of the login key
// (see Prove): no bearer token exists that outlives the certificate.
//
// The parts' door (TLS 1.3, client keys pinned at enrolment, the server's key
// pinned by the part) serves agents and proxies. X.509 names and dates mean
// nothing there; the SHA-256 of the SubjectPublicKeyInfo does.
//
// # Rules
//
// Bodies are JSON, decoded strictly: unknown fields are refused. Errors are
// problem+json (RFC 9457) and come back from the client as *fault.Error with
// kind, reason, text and next step intact. Keys and certificates travel as the
// SSH wire blob in standard base64 (encoding/json's form of []byte); times are
// Unix seconds.
package wire

// Paths of the people's door.
const (
	PathDiscovery      = "/.well-known/sallyport" // GET, anyone: Discovery
	PathHealth         = "/healthz"               // GET, anyone
	PathInstall        = "/install"               // GET, anyone: a shell script
	PathBinary         = "/bin/sallyport"         // GET ?os=linux&arch=amd64, anyone: this CA's own executable
	PathLogin          = "/v1/login"              // POST LoginRequest: LoginResponse
	PathRenew          = "/v1/renew"              // POST RenewRequest: LoginResponse
	PathLogout         = "/v1/logout"             // POST, proven: ends the login certificate
	PathNodes          = "/v1/nodes"              // GET, proven: []ReachableNode
	PathSessions       = "/v1/sessions"           // GET, proven: []Session; query of SessionFilter
	PathSession        = "/v1/sessions/{id}"      // GET, proven: Session
	PathRecording      = "/v1/sessions/{id}/recording"
	PathRecordingKey   = "/v1/sessions/{id}/recording/key"      // POST, auditors: RecordingKey; the CA's own identity opens it, and the log says so
	PathRecordingProof = "/v1/sessions/{id}/recording/evidence" // GET, proven: Evidence
	PathSearch         = "/v1/search"                           // GET, proven: SearchResult; query of SearchQuery

	PathAudit        = "/v1/audit"       // GET, auditors: AuditPage; query of AuditFilter
	PathAuditProof   = "/v1/audit/proof" // GET ?index=&size=, auditors: AuditProof
	PathAuditEntries = "/v1/audit/tile/" // + C2SP entry bundle path, auditors

	// The log as C2SP tlog-tiles has it, for anybody.
	PathLog = "/log/" // + checkpoint, tile/..., and where the configuration says so tile/entries/...

	PathAdminHold     = "/v1/admin/sessions/{id}/hold" // PUT SetHold; DELETE
	PathPolicy        = "/v1/admin/policy"             // GET: Policy; PUT ApplyPolicy: Policy
	PathPolicyExplain = "/v1/admin/policy/explain"     // POST ExplainRequest: Explanation
	PathAdminNodes    = "/v1/admin/nodes"              // GET: []Node; POST AddNode: NodeAdded
	PathAdminNode     = "/v1/admin/nodes/{name}"       // PATCH SetNode: Node; DELETE
	PathAdminTokens   = "/v1/admin/tokens"             // GET: []JoinToken; POST NewJoinToken: JoinTokenSecret
	PathAdminToken    = "/v1/admin/tokens/{id}"        // DELETE
)

// Paths of the parts' door.
const (
	PathEnroll       = "/v1/enroll"                        // POST EnrollRequest: EnrollResponse; any client key, the token decides
	PathAgentRenew   = "/v1/agent/host-certificate"        // POST HostCertificateRequest: HostCertificate
	PathAgentState   = "/v1/agent/state"                   // GET ?since=version&wait=seconds: AgentState
	PathAgentReport  = "/v1/agent/report"                  // POST AgentReport
	PathProxyOpen    = "/v1/proxy/sessions"                // POST OpenRequest: OpenResponse
	PathProxyEnd     = "/v1/proxy/sessions/{id}/end"       // POST EndRequest
	PathProxyStarted = "/v1/proxy/sessions/{id}/recording" // POST RecordingStarted
	PathProxyHost    = "/v1/proxy/host-certificate"        // POST HostCertificateRequest: HostCertificate
	PathProxyNodes   = "/v1/proxy/nodes"                   // POST MenuRequest: []ReachableNode
	PathProxyStart   = "/v1/proxy/start"                   // POST StartRequest: ends what a crash left open
	PathProxyState   = "/v1/proxy/state"                   // GET ?since=version&wait=seconds: ProxyState
)

// Problem is an RFC 9457 body. Type is "about:blank"; Reason and Next are
// extension members.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Reason string `json:"reason"`
	Next   string `json:"next,omitempty"`
}
