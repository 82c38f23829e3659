package fault

// Reason is from the closed list below; repo_test.go refuses a Reason that is
// made anywhere else. Dashboards and tests depend on the strings: add, never
// rename.
type Reason string

const (
	InternalError Reason = "internal_error"
	BadRequest    Reason = "bad_request"
	NotFound      Reason = "not_found"
	TooLarge      Reason = "too_large"
	ConfigInvalid Reason = "config_invalid"

	// Who is asking.
	TokenInvalid       Reason = "token_invalid"        // signature, algorithm, shape
	TokenIssuer        Reason = "token_issuer"         // no configured issuer
	TokenAudience      Reason = "token_audience"       // aud or azp is not us
	TokenExpired       Reason = "token_expired"        // or not yet valid, or too old
	TokenNonce         Reason = "token_nonce"          // does not commit to the key
	TokenReplayed      Reason = "token_replayed"       // seen before
	TokenClaims        Reason = "token_claims"         // name or groups missing, e-mail unverified, workload rules unmet
	TokenOtherIdentity Reason = "token_other_identity" // renewal for somebody else
	ProofInvalid       Reason = "proof_invalid"        // request signature
	KeyRefused         Reason = "key_refused"          // type or size, or a security key is required
	IssuerAway         Reason = "issuer_away"
	IssuerRefused      Reason = "issuer_refused" // the issuer did not sign the person in
	SignInEnded        Reason = "sign_in_ended"  // nobody finished it in time, or it was given up
	SSOEnded           Reason = "sso_ended"      // no refresh any more: sign in again
	CertificateInvalid Reason = "certificate_invalid"
	CertificateExpired Reason = "certificate_expired"
	CertificateRevoked Reason = "certificate_revoked"
	NotEnrolled        Reason = "not_enrolled" // a part's TLS key is not pinned

	// What they may do.
	NoRole            Reason = "no_role"             // no role gives any login there
	LoginNotAllowed   Reason = "login_not_allowed"   // roles give other logins there
	DeniedByRole      Reason = "denied_by_role"      // an explicit deny
	ChannelNotAllowed Reason = "channel_not_allowed" // shell, exec, sftp, forwarding
	NodeUnknown       Reason = "node_unknown"
	NoPolicy          Reason = "no_policy" // nothing has been applied yet
	NotAdmin          Reason = "not_admin"
	NotAuditor        Reason = "not_auditor"
	PolicyInvalid     Reason = "policy_invalid"
	PolicyStale       Reason = "policy_stale" // somebody applied in between

	// Enrolment.
	JoinTokenUnknown Reason = "join_token_unknown"
	JoinTokenExpired Reason = "join_token_expired"
	JoinTokenUsed    Reason = "join_token_used"
	JoinTokenNames   Reason = "join_token_names" // names or labels beyond the token
	NodeNameTaken    Reason = "node_name_taken"

	// Issuance.
	ProfileRefused Reason = "profile_refused" // the certificate is not what its profile allows
	SignerAway     Reason = "signer_away"

	CertificateStored Reason = "certificate_stored" // a serial has one certificate
	SessionTaken      Reason = "session_taken"      // take another name

	// Evidence.
	RecordingsFull   Reason = "recordings_full"   // no room to keep another recording: no new sessions
	RecordingAway    Reason = "recording_away"    // the storage of recordings does not answer
	RecordingDamaged Reason = "recording_damaged" // it is not what was sealed
	RecordingLocked  Reason = "recording_locked"  // none of the keys at hand opens it
	RecordingDeleted Reason = "recording_deleted" // its retention was over
	RecordingHeld    Reason = "recording_held"    // legal hold
	SealRefused      Reason = "seal_refused"      // not this proxy's, or not of this session
	LogDamaged       Reason = "log_damaged"       // the audit log is not what was signed
	SFTPMalformed    Reason = "sftp_malformed"    // the channel's SFTP could not be understood
	SearchOff        Reason = "search_off"
	OutletLost       Reason = "outlet_lost" // another CA delivers there

	// Connections.
	NodeAway       Reason = "node_away"
	NodeHostKey    Reason = "node_host_key" // neither certified nor pinned
	NodeRefused    Reason = "node_refused"  // sshd refused the session certificate
	RecorderFailed Reason = "recorder_failed"
	ProxyAway      Reason = "proxy_away"
	ProxyDraining  Reason = "proxy_draining"
	ProxyBusy      Reason = "proxy_busy"
	CAAway         Reason = "ca_away"
	StoreAway      Reason = "store_away"
	ClockSkew      Reason = "clock_skew"
	SessionExpired Reason = "session_expired" // the time that the role gives is over
)
