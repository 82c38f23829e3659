package bundle

import (
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Report is what Verify found.
type Report struct {
	// Session is that of the recording, or where that cannot be read, of the
	// bundle; "" is unknown.
	Session id.Session `json:"session"`
	// Recording is what it says of itself. Nil where its beginning or its seal
	// cannot be read. With findings, none of it can be relied on.
	Recording *Recording `json:"recording"`
	// Log is where the log holds it. Nil of a bare recording, and where the
	// checkpoint is nobody's.
	Log *LogPlace `json:"log"`
	// Findings is what does not hold.
	Findings []Finding `json:"findings"`
	// Unchecked is what could not be looked at, for people.
	Unchecked []string `json:"unchecked"`
}

// Holds says whether all that was checked holds.
func (r Report) Holds() bool { return len(r.Findings) == 0 && r.Recording != nil }

// Recording is what a recording says of itself, in clear.
type Recording struct {
	Identity    id.Identity `json:"identity"`
	Login       id.Login    `json:"login"`
	Node        id.NodeName `json:"node"`
	NodeID      id.Node     `json:"node_id"`
	Client      string      `json:"client"` // host:port
	Way         string      `json:"way"`
	Roles       []string    `json:"roles"`
	Revision    int64       `json:"revision"` // of the policy
	LoginSerial id.Serial   `json:"login_serial"`
	Serial      id.Serial   `json:"serial"` // of the session certificate
	Proxy       id.Proxy    `json:"proxy"`  // that sealed it
	SealedBy    string      `json:"sealed_by"`
	Started     time.Time   `json:"started"`
	Sealed      time.Time   `json:"sealed"`
	Lasted      float64     `json:"lasted"` // seconds until the last frame
	End         string      `json:"end"`    // why it ended
	Cut         bool        `json:"cut"`    // a crash ended it
	Frames      uint64      `json:"frames"`
	Bytes       int64       `json:"bytes"`
	Commands    int64       `json:"commands"` // as the proxy counted
	Files       int64       `json:"files"`
	Digest      []byte      `json:"digest"`
	Encrypted   bool        `json:"encrypted"`
	Opened      bool        `json:"opened"` // its content was read as well
}
