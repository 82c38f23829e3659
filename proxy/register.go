package proxy

import (
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// register knows the live sessions, and whether there may be new ones.
type register struct {
	mu       sync.Mutex
	draining bool
	over     *fault.Error                      // what ended all; nil while sessions may live
	count    int                               // sessions that live or are being opened
	ends     map[id.Session]func(*fault.Error) // how to end each; nil while it has no client
	idle     chan struct{}                     // closed when draining and none is left
}

func newRegister() *register {
	return &register{ends: map[id.Session]func(*fault.Error){}, idle: make(chan struct{})}
}

func draining() *fault.Error {
	return fault.New(fault.Unavailable, fault.ProxyDraining, "this proxy is being restarted").Then("try again in a moment")
}

// begin counts a session that is about to be opened.
func (r *register) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return draining()
	}
	r.count++
	return nil
}

// cancel takes begin back.
func (r *register) cancel() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count--
	r.check()
}

func (r *register) add(x id.Session) { r.live(x, nil) }

// live says how to end x. Where the end of all came first, it is done at once.
func (r *register) live(x id.Session, end func(*fault.Error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends[x] = end
	if r.over != nil && end != nil {
		end(r.over)
	}
}

func (r *register) remove(x id.Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ends, x)
	r.count--
	r.check()
}

// check tells whoever drains that nothing is left; r.mu is held.
func (r *register) check() {
	if r.draining && r.count == 0 {
		select {
		case <-r.idle:
		default:
			close(r.idle)
		}
	}
}

// drain lets no new session begin. The channel is closed when none is left.
func (r *register) drain() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
	r.check()
	return r.idle
}

func (r *register) isDraining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// sessions are the names of all that live.
func (r *register) sessions() []id.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]id.Session, 0, len(r.ends))
	for x := range r.ends {
		names = append(names, x)
	}
	return names
}

// endAll ends every live session for f, and those that are just being opened.
func (r *register) endAll(f *fault.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = f
	for _, end := range r.ends {
		if end != nil {
			end(f)
		}
	}
}
