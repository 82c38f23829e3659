package proxy

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/proxy/internal/hostcerts"
)

// counters are what /counters shows.
type counters struct {
	Sessions        int              `json:"sessions"`
	Connections     int              `json:"connections"`
	Unauthenticated int              `json:"unauthenticated"`
	HostCerts       hostcerts.Counts `json:"host_certificates"`
	Goroutines      int              `json:"goroutines"`
}

// debug serves profiles and counters on a loopback address until stop is called.
func (s *Server) debug(addr string) (stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fault.New(fault.Internal, fault.ConfigInvalid, "cannot listen on %s", addr).Because(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /counters", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		conns := len(s.conns)
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(counters{
			Sessions: len(s.register.sessions()), Connections: conns, Unauthenticated: s.gate.Inside(),
			HostCerts: s.hostcerts.Counts(), Goroutines: runtime.NumGoroutine(),
		})
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	return func() { server.Close(); <-done }, nil
}
