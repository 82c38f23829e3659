package store

import (
	"context"
	"sync"
	"time"
)

// newsPoll is how often the database is asked for events of other CAs, while
// somebody waits.
const newsPoll = 500 * time.Millisecond

// news says how large the log is, as far as this process knows.
type news struct {
	mu    sync.Mutex
	size  int64
	grown chan struct{} // closed, and another one made, when size rises
}

func (n *news) tell(size int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if size <= n.size {
		return
	}
	n.size = size
	if n.grown != nil {
		close(n.grown)
		n.grown = nil
	}
}

func (n *news) now() (size int64, grown <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.grown == nil {
		n.grown = make(chan struct{})
	}
	return n.size, n.grown
}

// WaitEvents returns the size of the log once it is larger than size, or when ctx
// ends, which is no error. Events of this process are news at once, those of
// other CAs within a second.
func (s *Store) WaitEvents(ctx context.Context, size int64) (int64, error) {
	poll := time.NewTicker(newsPoll)
	defer poll.Stop()
	for {
		known, grown := s.news.now()
		if known > size {
			return known, nil
		}
		state, err := s.LogState(ctx)
		switch {
		case ctx.Err() != nil:
			return max(known, size), nil
		case err != nil:
			return 0, err
		}
		s.news.tell(state.Size)
		if state.Size > size {
			return state.Size, nil
		}
		select {
		case <-ctx.Done():
			return max(known, size), nil
		case <-grown:
		case <-poll.C:
		}
	}
}
