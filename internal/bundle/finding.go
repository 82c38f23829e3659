package bundle

import "fmt"

// Flaw is what is wrong with evidence, from a closed list: scripts that run
// `sallyport recording verify --json` read it.
type Flaw string

const (
	Damaged   Flaw = "damaged"        // a recording is not what was sealed
	Foreign   Flaw = "foreign"        // signed by nobody who is trusted
	Mixed     Flaw = "mixed"          // pieces of two sessions
	Unlogged  Flaw = "not in the log" // the signed log does not hold an entry
	Left      Flaw = "left out"       // an entry that there must be is not there
	Untimely  Flaw = "untimely"       // not valid when it was used
	Disorder  Flaw = "disorder"       // entries as they cannot follow each other
	Transport Flaw = "transport"      // what is no evidence was changed
)

// Means is what the flaw is to somebody who relies on the evidence, in one line.
func (f Flaw) Means() string {
	switch f {
	case Damaged:
		return "it was changed after it was sealed, or damaged on its way: rely on nothing after it"
	case Foreign:
		return "nobody whom you trust signed it: it was made up, or your keys are of another house"
	case Mixed:
		return "the pieces are not of one session: somebody put them together"
	case Unlogged:
		return "the signed log does not hold it: it was changed, or is of another place or log"
	case Left:
		return "without it the log does not vouch for this recording: it was left out, or never written"
	case Untimely:
		return "it was used when it was not valid: a clock was wrong, or something went past the check"
	case Disorder:
		return "the log does not tell it as a session goes"
	case Transport:
		return "it was damaged on its way, or changed by hand; what is evidence holds"
	}
	return "it cannot be relied on"
}

// Finding is one thing that does not hold.
type Finding struct {
	Where string `json:"where"` // which piece: "recording", "login certificate", "log entry 17 (...)", ...
	Flaw  Flaw   `json:"flaw"`
	What  string `json:"what"` // what is wrong with it, and where in it
}

// findings gathers them.
type findings []Finding

func (f *findings) add(where string, flaw Flaw, what string, args ...any) {
	*f = append(*f, Finding{Where: where, Flaw: flaw, What: fmt.Sprintf(what, args...)})
}

// same adds a finding where two pieces do not say the same of one thing.
func (f *findings) same(where, of string, got, want any, by string) {
	if got != want {
		f.add(where, Mixed, "it says %s %v, and %s says %v", of, show(got), by, show(want))
	}
}

// show makes nothing visible.
func show(v any) string {
	if s := fmt.Sprint(v); s != "" {
		return s
	}
	return "nothing"
}
