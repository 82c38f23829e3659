package veil

// answer follows whether keys that are not echoed are answered by a redrawn
// screen, each of them. One that is not was typed in silence, and after it
// nothing is taken for an answer until Enter.
type answer struct {
	size    int  // bytes that were typed and neither echoed nor revealed, the last ones
	waits   bool // the last key has no answer yet
	before  bool // the key before it had one, or was echoed
	answers bool // the last key has one
	silent  bool
}

// key notes that size bytes of text were typed.
func (a *answer) key(size int) {
	if a.waits {
		a.silent = true
	}
	a.before, a.answers, a.waits = a.answers, false, true
	a.size += size
}

// answered notes an answer, and says whether it is the second in a row.
func (a *answer) answered() bool {
	a.waits, a.answers = false, true
	return a.before && !a.silent
}

// revealed notes that nothing is under the veil any more.
func (a *answer) revealed() {
	*a = answer{answers: true}
}
