package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Kind is what happened, from the closed list below. SIEM rules and saved
// queries depend on the strings: add, never rename.
type Kind string

const (
	// People.
	LoginGranted Kind = "login_granted" // a login certificate was reserved for a verified person or workload
	LoginRefused Kind = "login_refused"
	LoginEnded   Kind = "login_ended" // logout: the login certificate was revoked

	// Certificates. The leaf stands before the certificate is signed.
	CertificateIssued  Kind = "certificate_issued"  // host certificates; those of logins and sessions are told there
	CertificateRevoked Kind = "certificate_revoked" // any but a login certificate: that is login_ended

	// Sessions.
	SessionGranted Kind = "session_granted" // decided, session certificate reserved
	SessionDenied  Kind = "session_denied"
	SessionEnded   Kind = "session_ended"

	// Recordings.
	RecordingStarted  Kind = "recording_started"
	RecordingSealed   Kind = "recording_sealed"
	RecordingLost     Kind = "recording_lost"     // the proxy ended, or came back, without it
	RecordingRead     Kind = "recording_read"     // somebody was given it
	RecordingOpened   Kind = "recording_opened"   // somebody was given its content key by the CA's own identity
	RecordingHeld     Kind = "recording_held"     // legal hold
	RecordingReleased Kind = "recording_released" // from it
	RecordingDeleted  Kind = "recording_deleted"  // its retention was over; the digest stays here
	RecordingSearched Kind = "recording_searched" // somebody searched in what was recorded

	// Nodes, proxies, tokens.
	NodeEnrolled     Kind = "node_enrolled"
	NodeAdded        Kind = "node_added"
	NodeChanged      Kind = "node_changed"
	NodeRemoved      Kind = "node_removed"
	ProxyEnrolled    Kind = "proxy_enrolled"
	EnrolmentRefused Kind = "enrolment_refused"
	TokenMade        Kind = "token_made"
	TokenRemoved     Kind = "token_removed"

	// Policy and the CA itself.
	PolicyApplied Kind = "policy_applied"
	PolicyRefused Kind = "policy_refused" // it did not load
	AdminRefused  Kind = "admin_refused"  // somebody asked for what is an admin's or auditor's
	CAStarted     Kind = "ca_started"     // with which keys and settings
	LogDamaged    Kind = "log_damaged"    // the tree in the database is not what was signed
)

// Kinds is the closed list, in the order above.
func Kinds() []Kind {
	return []Kind{
		LoginGranted, LoginRefused, LoginEnded,
		CertificateIssued, CertificateRevoked,
		SessionGranted, SessionDenied, SessionEnded,
		RecordingStarted, RecordingSealed, RecordingLost, RecordingRead, RecordingOpened, RecordingHeld,
		RecordingReleased, RecordingDeleted, RecordingSearched,
		NodeEnrolled, NodeAdded, NodeChanged, NodeRemoved, ProxyEnrolled, EnrolmentRefused, TokenMade, TokenRemoved,
		PolicyApplied, PolicyRefused, AdminRefused, CAStarted, LogDamaged,
	}
}

// Outcome is whether what was asked for happened.
type Outcome string

const (
	Success Outcome = "success"
	Refused Outcome = "refused"
	Failed  Outcome = "failed"
)

// CA is the actor where the CA does something by itself, or somebody with its
// own rights on its own machine.
const CA = "ca"

// NodeActor is a node's agent as an actor.
func NodeActor(name id.NodeName) string { return "node:" + string(name) }

// ProxyActor is a proxy as an actor.
func ProxyActor(name id.Proxy) string { return "proxy:" + string(name) }

// Event is one thing that happened. Which fields a kind has stands in AUDIT.md;
// what is empty is left out. Times are Unix microseconds.
type Event struct {
	Kind    Kind    `json:"kind"`
	At      int64   `json:"at"` // by the CA's clock, set by the store; it never falls within the log
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"` // fault.Reason where it was refused, or why something ended
	Text    string  `json:"text,omitempty"`   // a line for people

	// Actor is who did it: a person's or workload's identity, "node:NAME",
	// "proxy:NAME", or CA. "" is somebody unknown.
	Actor  string `json:"actor,omitempty"`
	Client string `json:"client,omitempty"` // the actor's address: IP, or host:port

	Identity id.Identity `json:"identity,omitempty"` // whom it is about
	Login    id.Login    `json:"login,omitempty"`
	Node     id.NodeName `json:"node,omitempty"`
	NodeID   id.Node     `json:"node_id,omitempty"`
	Proxy    id.Proxy    `json:"proxy,omitempty"`
	Session  id.Session  `json:"session,omitempty"`
	Way      string      `json:"way,omitempty"`
	Roles    []string    `json:"roles,omitempty"`    // that granted, or the one that denied
	Groups   []string    `json:"groups,omitempty"`   // of the identity, at a login
	Revision int64       `json:"revision,omitempty"` // of the policy

	Certificate *Certificate      `json:"certificate,omitempty"`
	Recording   *Recording        `json:"recording,omitempty"`
	Policy      *Policy           `json:"policy,omitempty"`
	Token       *Token            `json:"token,omitempty"`
	Changes     []Change          `json:"changes,omitempty"`
	Settings    map[string]string `json:"settings,omitempty"` // of a CA that started
	Bytes       int64             `json:"bytes,omitempty"`    // that a session carried
	Count       int64             `json:"count,omitempty"`    // so many alike, where they are gathered (refused logins)
}

// Certificate is what is to be signed.
type Certificate struct {
	Serial      id.Serial `json:"serial"`
	Profile     string    `json:"profile"` // login, session, host
	KeyID       string    `json:"key_id,omitempty"`
	Key         string    `json:"key"`          // SHA256:... of the certified key
	ValidAfter  int64     `json:"valid_after"`  // Unix seconds
	ValidBefore int64     `json:"valid_before"` // Unix seconds
	LoginSerial id.Serial `json:"login_serial,omitempty"`
}

// Recording is what is known of a session's recording.
type Recording struct {
	Header     []byte   `json:"header,omitempty"`     // SHA-256 with which its chain begins
	Digest     []byte   `json:"digest,omitempty"`     // SHA-256 with which its chain ends; in a seal
	Seal       []byte   `json:"seal,omitempty"`       // SHA-256 of the seal, as it stands in the file
	SealedBy   string   `json:"sealed_by,omitempty"`  // SHA256:... of the proxy's key
	Frames     uint64   `json:"frames,omitempty"`     // in all
	Bytes      int64    `json:"bytes,omitempty"`      // of the file
	Recipients []string `json:"recipients,omitempty"` // to whom it is encrypted; none: to nobody
	Retain     int64    `json:"retain,omitempty"`     // Unix seconds until which it is kept; 0: for ever
}

// Policy is an applied policy, or one that was refused.
type Policy struct {
	Revision int64  `json:"revision,omitempty"`
	SHA256   []byte `json:"sha256"` // of what sha256sum prints for the files, in the order of their names
	Files    int    `json:"files"`
}

// PolicyOf names the files of a policy, name to text, by one digest:
//
//	LC_ALL=C sha256sum * | sha256sum
func PolicyOf(revision int64, files map[string]string) *Policy {
	all := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(all, "%x  %s\n", sha256.Sum256([]byte(files[name])), name)
	}
	return &Policy{Revision: revision, SHA256: all.Sum(nil), Files: len(files)}
}

// Token is a join token without its secret.
type Token struct {
	ID      string            `json:"id"`
	Part    string            `json:"part"`
	Names   []string          `json:"names,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Uses    int               `json:"uses,omitempty"`
	Expires int64             `json:"expires,omitempty"` // Unix seconds
}

// Change is one thing of a node that is not as it was.
type Change struct {
	What string `json:"what"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// MaxLeaf is how long a leaf may be, in bytes: tlog-tiles' entry bundles count
// them with 16 bits.
const MaxLeaf = 1<<16 - 1

// ErrTooLarge is of an event whose leaf would be longer than MaxLeaf.
var ErrTooLarge = errors.New("larger than a leaf may be")

// Leaf is the event as it enters the tree. Whoever has it keeps these bytes.
func (e Event) Leaf() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a leaf is no web page, and < is one byte
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("encode audit event: %w", err)
	}
	leaf := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(leaf) > MaxLeaf {
		return nil, fmt.Errorf("encode audit event: %s of %d bytes is %w", e.Kind, len(leaf), ErrTooLarge)
	}
	return leaf, nil
}

// Entry is an event at its place in the log.
type Entry struct {
	Index int64
	Leaf  []byte // Event.Leaf, as it was written
}

// Event reads the entry's leaf. Fields that this version does not know are
// passed over.
func (e Entry) Event() (Event, error) {
	var event Event
	if err := json.Unmarshal(e.Leaf, &event); err != nil {
		return Event{}, fmt.Errorf("read audit event %d: %w", e.Index, err)
	}
	return event, nil
}
