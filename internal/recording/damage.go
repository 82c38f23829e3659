package recording

import "fmt"

// Damage is how bytes differ from what a writer wrote.
type Damage string

const (
	Malformed  Damage = "malformed"              // no writer writes this
	Changed    Damage = "changed"                // a checksum, digest or signature does not fit its bytes
	Truncated  Damage = "truncated"              // it ends within something
	Removed    Damage = "removed"                // something is missing before the place
	Reordered  Damage = "reordered"              // it stands before what it follows
	Repeated   Damage = "repeated"               // it was there before
	Foreign    Damage = "of another recording"   // it was taken from there
	AfterEnd   Damage = "after the end"          // something follows the end or the seal
	SecondEnd  Damage = "a second end"           // or a second seal
	Unsealed   Damage = "unsealed"               // nothing proves where it ends
	Forged     Damage = "not the proxy's"        // seal or certificate is not by whom it says
	Misnamed   Damage = "not what its log says"  // certificates and meta contradict each other
	WrongKey   Damage = "of another content key" // the key that was given is not this recording's
	OldVersion Damage = "of version 1"           // which was never released
)

// DamageError says that bytes are not what a writer wrote, and where. Nothing
// after the place can be trusted.
type DamageError struct {
	How    Damage
	Where  string // "header", "block", "frame", "tail", "seal"
	Number uint64 // of the block, from 0, or of the frame
	Offset int64  // in bytes from the start of the file or stream; -1 where there is none
	What   string
	Err    error // may be nil
}

func (e *DamageError) Error() string {
	s := "recording is damaged: " + e.Where
	if e.Where != "header" && e.Where != "seal" {
		s += fmt.Sprintf(" %d", e.Number)
	}
	if e.Offset > 0 {
		s += fmt.Sprintf(" at byte %d", e.Offset)
	}
	s += ": " + e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *DamageError) Unwrap() error { return e.Err }
