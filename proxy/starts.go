package proxy

import (
	"context"
	"net/http"
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// starts says once that this proxy has started, before its first session: what
// the CA still holds open of it then died with the process before, but for what
// sessions names.
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
