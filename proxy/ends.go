package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// ends tells the CA which sessions have ended, in order, and tries again for as
// long as the CA is away. What a dying proxy could not tell is settled by its
// successor (wire.StartRequest).
type ends struct {
	ca  *wire.Client
	log *slog.Logger

	mu    sync.Mutex
	queue []sessionEnd
	more  chan struct{} // holds a token while the queue may not be empty
}

type sessionEnd struct {
	id  id.Session
	end wire.EndRequest
}

func newEnds(ca *wire.Client, log *slog.Logger) *ends {
	return &ends{ca: ca, log: log, more: make(chan struct{}, 1)}
}

func (e *ends) add(x id.Session, end wire.EndRequest) {
	e.mu.Lock()
	e.queue = append(e.queue, sessionEnd{x, end})
	e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// run sends until ctx ends.
func (e *ends) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.more:
		}
		for wait := retryMin; !e.flush(ctx); wait = min(2*wait, retryMax) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}
}

// flush sends what is queued, and says whether nothing is left.
func (e *ends) flush(ctx context.Context) bool {
	for {
		e.mu.Lock()
		if len(e.queue) == 0 {
			e.queue = nil
			e.mu.Unlock()
			return true
		}
		next := e.queue[0]
		e.mu.Unlock()

		call, cancel := context.WithTimeout(ctx, callLimit)
		err := e.ca.Do(call, http.MethodPost, strings.Replace(wire.PathProxyEnd, "{id}", string(next.id), 1), next.end, nil)
		cancel()
		if err != nil {
			e.log.Warn("end of session not told", "session", next.id, "err", err)
			if away(err).Kind == fault.Unavailable {
				return false
			}
		}
		e.mu.Lock()
		e.queue = e.queue[1:]
		e.mu.Unlock()
	}
}

// starts says once that this proxy has started, before its first session: what
// the CA still holds open of it then died with the process before.
type starts struct {
	ca       *wire.Client
	sessions func() []id.Session

	mu   sync.Mutex
	done bool
}

func (s *starts) once(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if err := s.ca.Do(ctx, http.MethodPost, wire.PathProxyStart, wire.StartRequest{Live: s.sessions()}, nil); err != nil {
		return away(err)
	}
	s.done = true
	return nil
}
