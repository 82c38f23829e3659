package wire

import (
	"encoding/json"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// LogTrust is by what a checkpoint of the audit log is known.
type LogTrust struct {
	Origin    string   `json:"origin"`              // first line of every checkpoint
	Keys      []string `json:"keys"`                // verifier keys of the log, name+hash+key (C2SP signed-note)
	Witnesses []string `json:"witnesses,omitempty"` // verifier keys of the witnesses (C2SP tlog-cosignature)
	Quorum    int      `json:"quorum,omitempty"`    // of how many witnesses a checkpoint must have cosignatures
}

// AuditFilter narrows the audit log; zero fields do not narrow.
type AuditFilter struct {
	Identity id.Identity // as identity or actor
	Login    id.Login
	Node     id.NodeName
	Session  id.Session
	Kind     []string
	Reason   string
	Since    int64 // Unix seconds
	Until    int64
	From     int64 // events with this index or a larger one alone
	Before   int64 // events with a smaller index alone; 0 does not narrow
	Oldest   bool  // oldest first; else newest first
	Limit    int   // 0 is 100; 1000 at most
	Wait     int   // with Oldest: seconds to wait for an event, 60 at most
}

// AuditPage is a page of the log.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	Size    int64        `json:"size"` // of the log when it was read
}

// AuditEntry is a leaf at its place.
type AuditEntry struct {
	Index int64           `json:"index"`
	Event json.RawMessage `json:"event"` // the leaf, byte for byte
}

// AuditProof shows that Entry is in the tree of Checkpoint.
type AuditProof struct {
	Entry      AuditEntry `json:"entry"`
	Checkpoint string     `json:"checkpoint"` // signed note, with cosignatures
	Hashes     [][]byte   `json:"hashes"`     // RFC 6962, section 2.1.1
}

// Evidence is what stands in the log about one session.
type Evidence struct {
	Session    Session      `json:"session"`
	Checkpoint string       `json:"checkpoint"` // one for all
	Proofs     []AuditProof `json:"proofs"`     // each with an empty Checkpoint
	Trust      Trust        `json:"trust"`
	Log        LogTrust     `json:"log"`
}

// RecordingKey opens an encrypted recording.
type RecordingKey struct {
	Key []byte `json:"key"` // recording.ContentKey
}

// SetHold puts a recording under legal hold.
type SetHold struct {
	Reason string `json:"reason"`
}

// SearchQuery asks what was said in sessions.
type SearchQuery struct {
	Text     string // words; in quotes, a phrase
	Kind     []string
	Identity id.Identity
	Node     id.NodeName
	Login    id.Login
	Since    int64 // Unix seconds
	Until    int64
	Limit    int    // 0 is 50; 500 at most
	Before   string // SearchResult.Next of the page before
}

// SearchResult is a page of hits, newest first.
type SearchResult struct {
	Hits []SearchHit `json:"hits"`
	Next string      `json:"next,omitempty"` // "" at the end
	// Locked counts the sessions that match the filters and could not be searched,
	// because they are encrypted to keys that this CA has not.
	Locked int64 `json:"locked,omitempty"`
	// Pending counts those that are not indexed yet.
	Pending int64 `json:"pending,omitempty"`
}

// SearchHit is a line of a session.
type SearchHit struct {
	Session  id.Session  `json:"session"`
	Identity id.Identity `json:"identity"`
	Login    id.Login    `json:"login"`
	Node     id.NodeName `json:"node"`
	Started  int64       `json:"started"` // Unix seconds
	At       int64       `json:"at"`      // Unix milliseconds: where in time the line stands
	Offset   int64       `json:"offset"`  // milliseconds since the session's start: play --at
	Kind     string      `json:"kind"`    // command, typed, output, file, identity
	Text     string      `json:"text"`    // the line, printable
}
