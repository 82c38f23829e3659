package idtoken

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// keySet is go-oidc's cached key set, and tells a key set that could not be
// fetched from a signature that is wrong: go-oidc flattens both into text.
type keySet struct{ remote *oidc.RemoteKeySet }

// keysOutcome travels in the context of one verification.
type keysOutcome struct{ away error }

type keysOutcomeKey struct{}

func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, jwt)
	var away *awayError
	if outcome, ok := ctx.Value(keysOutcomeKey{}).(*keysOutcome); ok && (errors.As(err, &away) || ctx.Err() != nil) {
		outcome.away = err
	}
	return payload, err
}

// awayError is an answer that an issuer did not give.
type awayError struct{ err error }

func (e *awayError) Error() string { return e.err.Error() }
func (e *awayError) Unwrap() error { return e.err }

var errTooOften = errors.New("the issuer's keys were asked for a moment ago, and none of them fits")

// sparing limits how often an issuer is asked for its keys. A token with an
// unknown key makes go-oidc ask anew (keys rotate), so anybody who sends forged
// tokens could turn this CA against its issuer. A burst is allowed, and then one
// question in fetchEvery.
type sparing struct {
	next http.RoundTripper

	mu    sync.Mutex
	spent int       // of fetchBurst
	since time.Time // when spent was last lowered
	away  error     // of the last question; nil after an answer
}

const (
	fetchBurst = 10
	fetchEvery = 5 * time.Second
)

func (s *sparing) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := s.spend(time.Now()); err != nil {
		return nil, err
	}
	resp, err := s.next.RoundTrip(r)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		err = fmt.Errorf("HTTP status %s", resp.Status)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = nil
	if err != nil {
		s.away = &awayError{err}
		return nil, s.away
	}
	return resp, nil
}

// spend says whether one more question may be asked now.
func (s *sparing) spend(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if back := int(now.Sub(s.since) / fetchEvery); back > 0 {
		s.spent, s.since = max(0, s.spent-back), now
	}
	if s.spent >= fetchBurst {
		if s.away != nil {
			return s.away
		}
		return errTooOften
	}
	s.spent++
	return nil
}

// asking is the transport of every question to an issuer: it bounds the answer
// and notes its status for a caller that wants it.
type asking struct{ next http.RoundTripper }

type status int

type statusKey struct{}

func (a *asking) RoundTrip(r *http.Request) (*http.Response, error) {
	next := a.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if s, ok := r.Context().Value(statusKey{}).(*status); ok {
		*s = status(resp.StatusCode)
	}
	resp.Body = &bounded{resp.Body, answerLimit}
	return resp, nil
}

// bounded fails, rather than ends, beyond its limit: half a key set is none.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the answer is too large")
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
