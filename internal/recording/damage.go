package recording

import "fmt"

// DamageError says that bytes are not what a writer wrote, and where. Nothing
// after the place can be trusted.
type DamageError struct {
	Where  string // "header", "block", "frame", "tail"
	Number uint64 // of the block, from 0, or of the frame
	Offset int64  // in bytes from the start of the file or stream; -1 where there is none
	What   string
	Err    error // may be nil
}

func (e *DamageError) Error() string {
	s := "recording is damaged: " + e.Where
	if e.Where != "header" {
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
