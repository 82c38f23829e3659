package audit

import "fmt"

// Damage is what is wrong with a log, from a closed list: scripts that run
// `sallyport audit verify --json` read it.
type Damage string

const (
	Changed     Damage = "changed"     // an event, or a hash, is not what was signed
	Removed     Damage = "removed"     // an event is gone, and what followed moved up
	Inserted    Damage = "inserted"    // an event stands where another was, which moved down
	Reordered   Damage = "reordered"   // events stand at each other's places
	Missing     Damage = "missing"     // a file of the copy is not there
	Forked      Damage = "forked"      // two checkpoints are not of one log
	RolledBack  Damage = "rolled back" // the log is smaller than it was
	WrongKey    Damage = "wrong key"   // signed by nobody who is trusted
	Unwitnessed Damage = "unwitnessed" // too few witnesses have seen it
	Malformed   Damage = "malformed"   // no checkpoint, tile, bundle or proof at all
)

// DamageError is a log that does not verify.
type DamageError struct {
	Damage Damage
	Index  int64  // the first event that is known to be touched; -1 where it is not one event
	Text   string // what, where: safe to show
}

func (e *DamageError) Error() string { return e.Text }

func damage(d Damage, format string, args ...any) *DamageError {
	return &DamageError{Damage: d, Index: -1, Text: fmt.Sprintf(format, args...)}
}

func damageAt(d Damage, index int64, format string, args ...any) *DamageError {
	return &DamageError{Damage: d, Index: index, Text: fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) *DamageError { return damage(Malformed, format, args...) }
