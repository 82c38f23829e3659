package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/proxy/internal/gate"
	"github.com/sallyport-ssh/sallyport/proxy/internal/hostcerts"
	"github.com/sallyport-ssh/sallyport/proxy/internal/quickack"
	"github.com/sallyport-ssh/sallyport/proxy/internal/recorder"
	"github.com/sallyport-ssh/sallyport/proxy/internal/sshwire"
	"github.com/sallyport-ssh/sallyport/proxy/internal/voice"
)

// Limits that no operator needs to change.
const (
	greetLimit    = 15 * time.Second // until the client has said its first line
	farewellLimit = 64               // clients at once that are told why they are turned away
	endLimit      = 10 * time.Second // for sessions to end after the drain's limit, and for ends to be told
)

// Server is a proxy that serves. Make it with open.
type Server struct {
	config     Config
	log        *slog.Logger
	now        func() time.Time
	ca         *wire.Client
	keys       keys
	follower   *follower
	recordings *recorder.Dir
	uploads    *uploads // nil: recordings stay here
	hostcerts  *hostcerts.Cache
	gate       *gate.Gate
	register   *register
	reports    *reports
	starts     *starts
	farewells  chan struct{}  // holds a token for each farewell under way
	work       sync.WaitGroup // connections

	mu    sync.Mutex
	conns map[*conn]struct{} // authenticated
}

// open enrols the proxy if it is not yet, and prepares everything that serving
// needs.
func open(ctx context.Context, c Config, log *slog.Logger) (*Server, error) {
	k, err := loadKeys(c.Data)
	if err != nil {
		return nil, err
	}
	m, err := loadMembership(c.Data)
	if err != nil {
		return nil, err
	}
	if m == nil {
		if m, err = enrol(ctx, c, k); err != nil {
			return nil, err
		}
		log.Info("enrolled", "name", c.Name, "ca", c.CA)
	}
	ca, err := wire.NewPartsClient(m.Door, k.identity)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: c, log: log, now: time.Now, ca: ca, keys: k,
		gate: gate.New(c.Limits.gate()), register: newRegister(), reports: newReports(ca, log),
		farewells: make(chan struct{}, farewellLimit), conns: map[*conn]struct{}{},
	}
	if s.follower, err = newFollower(c.Data, k, m, ca, log); err != nil {
		return nil, err
	}
	s.starts = &starts{ca: ca, sessions: func() []id.Session { return append(s.register.sessions(), s.reports.pending()...) }}
	s.hostcerts = hostcerts.New(k.host, s.follower.certify, time.Now)
	if err := s.openRecordings(); err != nil {
		return nil, err
	}
	return s, nil
}

// serve serves l until ctx ends, and then drains.
func (s *Server) serve(ctx context.Context, l net.Listener) error {
	defer runtime.KeepAlive(ballast)
	defer s.recordings.Close()
	alive, die := context.WithCancel(context.Background()) // outlives ctx, for the sessions that drain
	defer die()
	var background sync.WaitGroup
	follow, stop := context.WithCancel(alive)
	if err := s.follower.poll(ctx, 0); err != nil {
		s.log.Warn("the CA does not answer at the start", "err", err)
	}
	background.Go(func() { s.follower.run(follow) })
	background.Go(func() { s.reports.run(follow) })
	background.Go(func() { s.uploads.run(follow) })

	failed := make(chan error, 1)
	background.Go(func() { failed <- s.accept(alive, l) })
	s.log.Info("serving", "name", s.config.Name, "listen", l.Addr())
	var err error
	select {
	case <-ctx.Done():
		s.drain()
	case err = <-failed:
	}
	s.register.drain()
	s.register.endAll(draining())
	s.endConns()
	l.Close()
	die()
	s.await(endLimit)
	s.uploads.drain(endLimit)
	stop()
	background.Wait()
	// What is left is told now, or by the next start of this proxy.
	last, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	s.reports.flush(last)
	return err
}

// await waits for the connections, but not for ever: one whose recorder hangs
// cannot end.
func (s *Server) await(limit time.Duration) {
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
		s.log.Error("connections do not end; leaving them", "sessions", s.register.sessions())
	}
}

// drain turns new connections away, and waits until the sessions have ended or
// the limit is over. Then they are told, and have a moment more.
func (s *Server) drain() {
	idle := s.register.drain()
	s.log.Info("draining", "sessions", len(s.register.sessions()), "limit", s.config.Drain)
	s.endIdle()
	select {
	case <-idle:
		return
	case <-time.After(s.config.Drain.Std()):
	}
	s.register.endAll(draining())
	select {
	case <-idle:
	case <-time.After(endLimit):
	}
}

// accept serves every connection of l until it is closed.
func (s *Server) accept(ctx context.Context, l net.Listener) error {
	for {
		nc, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil: // out of descriptors, mostly: some connection will end
			s.log.Error("accept", "err", err)
			select {
			case <-ctx.Done():
				return fmt.Errorf("accept connections: %w", err)
			case <-time.After(100 * time.Millisecond):
			}
		default:
			s.work.Go(func() { s.connection(ctx, nc) })
		}
	}
}

// connection serves one TCP connection from its first byte to its last.
func (s *Server) connection(ctx context.Context, nc net.Conn) {
	client := addrPort(nc.RemoteAddr())
	leave, err := s.gate.Enter(client.Addr())
	if err == nil && s.register.isDraining() {
		leave()
		err = draining()
	}
	if err != nil {
		s.turnDown(nc, fault.Of(err))
		return
	}
	defer leave()
	limit := time.AfterFunc(min(greetLimit, s.config.Limits.LoginTime.Std()), func() { nc.Close() })
	defer limit.Stop()
	g, line, err := sshwire.Greet(quickack.New(nc))
	if err != nil {
		s.log.Debug("no SSH", "client", client, "err", err)
		nc.Close()
		return
	}
	limit.Reset(s.config.Limits.LoginTime.Std())
	a, err := s.arrival(ctx, client, line)
	if err != nil {
		s.log.Info("turned away", "client", client, "err", err)
		farewell(nc, sshwire.ByApplication, voice.Line(fault.Of(err)))
		return
	}
	s.serveSSH(ctx, g, a, func() { limit.Stop(); leave() })
}

// track remembers an authenticated connection, so that it can be ended.
func (s *Server) track(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
}

func (s *Server) untrack(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// endConns ends every connection.
func (s *Server) endConns() { s.endSome(func(*conn) bool { return true }) }

// endIdle ends the connections on which nobody has a session: menus that wait
// for a choice, and outsides of jumps without an inside.
func (s *Server) endIdle() { s.endSome((*conn).isIdle) }

func (s *Server) endSome(which func(*conn) bool) {
	s.mu.Lock()
	var some []*conn
	for c := range s.conns {
		if which(c) {
			some = append(some, c)
		}
	}
	s.mu.Unlock()
	for _, c := range some {
		c.end()
	}
}
