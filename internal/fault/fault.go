// Package fault is the one error type at the core of Sallyport: what happened
// (a reason from a closed list), what a person may read about it, what they can
// do next, and the cause, which is only logged.
//
// The reason is at once the audit field, the metric label and what a test
// asserts. Text never carries a secret or the text of a foreign error; those
// stay in Err and reach the log alone.
//
// A policy denial becomes a fault only where it has to cross the API or a
// terminal; inside, it is a value (see internal/policy).
package fault

import (
	"errors"
	"fmt"
	"net/http"
)

// Kind sorts faults by whose turn it is. The zero Kind is Internal, so that a
// forgotten field never reads as the caller's success.
type Kind uint8

const (
	Internal    Kind = iota // ours: a bug or a broken disk
	Invalid                 // the request is malformed
	Unauthentic             // who is asking is not proven
	Denied                  // proven, and not allowed
	Missing                 // what was named does not exist
	Conflict                // somebody was faster, or it is used up
	Unavailable             // try again later: the CA, the database, the issuer or the node is away
)

// Status is the HTTP status that stands for k (RFC 9110, section 15).
func (k Kind) Status() int {
	switch k {
	case Invalid:
		return http.StatusBadRequest
	case Unauthentic:
		return http.StatusUnauthorized
	case Denied:
		return http.StatusForbidden
	case Missing:
		return http.StatusNotFound
	case Conflict:
		return http.StatusConflict
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// KindOfStatus is the inverse of Kind.Status; an unknown status is Internal.
func KindOfStatus(status int) Kind {
	for k := Invalid; k <= Unavailable; k++ {
		if k.Status() == status {
			return k
		}
	}
	return Internal
}

// Error is a fault. Text is one clause in lower case without a full stop; Next
// is the next step, if there is one that the reader can take.
type Error struct {
	Kind   Kind
	Reason Reason
	Text   string
	Next   string // for example "run: sallyport login"; may be empty
	Err    error  // the cause; logged, never shown
}

// New returns a fault with a text that is safe to show.
func New(k Kind, r Reason, format string, args ...any) *Error {
	return &Error{Kind: k, Reason: r, Text: fmt.Sprintf(format, args...)}
}

// Because returns f with its cause.
func (f *Error) Because(err error) *Error { g := *f; g.Err = err; return &g }

// Then returns f with the next step for the person who reads it.
func (f *Error) Then(format string, args ...any) *Error {
	g := *f
	g.Next = fmt.Sprintf(format, args...)
	return &g
}

// Error is for logs: it includes the cause.
func (f *Error) Error() string {
	if f.Err != nil {
		return f.Text + ": " + f.Err.Error()
	}
	return f.Text
}

func (f *Error) Unwrap() error { return f.Err }

// Is lets errors.Is compare by reason alone.
func (f *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Reason == f.Reason
}

// Show is what a person reads: text and next step, never the cause.
func (f *Error) Show() string {
	if f.Next != "" {
		return f.Text + "\n  " + f.Next
	}
	return f.Text
}

// Of finds the fault in err. Any other error becomes an Internal fault whose
// text says nothing about it.
func Of(err error) *Error {
	var f *Error
	if errors.As(err, &f) {
		return f
	}
	return &Error{Kind: Internal, Reason: InternalError, Text: "internal error; the log of this part has the details", Err: err}
}

// ReasonOf returns the reason of err, "" for nil.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	return Of(err).Reason
}
