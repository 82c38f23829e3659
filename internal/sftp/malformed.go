package sftp

import (
	"fmt"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Cause is why a conversation could not be followed, from the closed list below.
type Cause string

const (
	Length          Cause = "length"         // a packet's length is 0 or beyond the limit
	Truncated       Cause = "truncated"      // a field reaches beyond its packet
	Trailing        Cause = "trailing"       // bytes after a packet's last field
	Type            Cause = "type"           // a packet that version 3 does not have
	Version         Cause = "version"        // not version 3, or a change of it
	Order           Cause = "order"          // before INIT and VERSION, or these twice
	IDReused        Cause = "id-reused"      // a request with the id of one that waits
	NoQuestion      Cause = "no-question"    // an answer without a request
	WrongAnswer     Cause = "wrong-answer"   // not what its request can be answered with
	TooMuchData     Cause = "too-much-data"  // more than was asked for, or beyond any file
	UnknownHandle   Cause = "unknown-handle" // of no open file
	WrongHandle     Cause = "wrong-handle"   // of a directory where a file belongs, or the reverse
	HandleReused    Cause = "handle-reused"  // given while it is open
	TooManyRequests Cause = "too-many-requests"
	TooManyHandles  Cause = "too-many-handles"
	TooManyNames    Cause = "too-many-names" // paths that must be remembered
)

// Malformed is a conversation that cannot be followed any further.
type Malformed struct {
	Cause Cause
	From  recording.Side // who sent it
	At    int64          // bytes of this side before the packet that is not understood
	Type  uint8          // of that packet; 0 where it is not known
}

func (e *Malformed) Error() string {
	what := "packet"
	if e.Type != 0 {
		what = fmt.Sprintf("packet of type %d", e.Type)
	}
	return fmt.Sprintf("SFTP: %s at byte %d from the %s: %s", what, e.At, e.From, e.Cause)
}

// bad is a cause on its way to the direction that knows the place.
type bad Cause

func (b bad) Error() string { return string(b) }
