package signin

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

const callbackPath = "/callback"

// loopback is the page to which the issuer sends the browser back. It takes one
// answer, and holds that browser until the login has ended in one way or another.
type loopback struct {
	addr   string // the Host that a browser must name; a rebound DNS name is none
	state  string
	issuer *Issuer

	once   sync.Once
	result chan outcome // one outcome
	over   chan struct{}
	err    error // how the login ended; read after over is closed
	closed sync.Once
}

// outcome is a code, or why there is none.
type outcome struct {
	code string
	err  error
}

func newLoopback(addr, state string, issuer *Issuer) *loopback {
	return &loopback{addr: addr, state: state, issuer: issuer, result: make(chan outcome, 1), over: make(chan struct{})}
}

// answer ends the wait of the browser with err, nil for success. Only the first
// call counts.
func (l *loopback) answer(err error) {
	l.closed.Do(func() { l.err = err; close(l.over) })
}

// errForeign: a callback that is none of this login's. Another program or page
// may send as many as it likes; the login goes on waiting.
var errForeign = fault.New(fault.Invalid, fault.BadRequest, "this address belongs to no login that is under way").Then("run: sallyport login")

func (l *loopback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Host != l.addr || r.URL.Path != callbackPath || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	q := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(l.state)) != 1 {
		writePage(w, r, errForeign)
		return
	}
	first := false
	l.once.Do(func() { first = true; l.result <- l.read(q.Get) })
	if !first {
		writePage(w, r, fault.New(fault.Conflict, fault.BadRequest, "this address was used already").Then("run: sallyport login"))
		return
	}
	select {
	case <-l.over:
		writePage(w, r, l.err)
	case <-r.Context().Done():
	}
}

// read takes an authorization response apart (RFC 6749, section 4.1.2).
func (l *loopback) read(get func(string) string) outcome {
	// RFC 9207: a response of another issuer is a mix-up attack.
	if iss := get("iss"); iss != l.issuer.issuer && (iss != "" || l.issuer.names) {
		return outcome{err: fault.New(fault.Unauthentic, fault.TokenIssuer, "the answer came from another issuer than %s", l.issuer.host).Then("run: sallyport login")}
	}
	if code := get("error"); code != "" {
		return outcome{err: l.issuer.refusalCode(code).Because(errors.New(get("error_description")))}
	}
	if get("code") == "" {
		return outcome{err: l.issuer.refusalCode("")}
	}
	return outcome{code: get("code")}
}
