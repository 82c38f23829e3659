package ca

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Limits of a connection. Those of a request stand in ca/internal/door.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 5 * time.Minute
	maxHeader     = 48 << 10         // a proof carries a certificate of up to 16 KiB in base64
	stopTimeout   = 15 * time.Second // for requests that are being answered
)

// server is one door.
type server struct {
	listener net.Listener
	http     *http.Server
}

func newServer(addr string, config *tls.Config, handler http.Handler, log *slog.Logger) (*server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fault.New(fault.Unavailable, fault.ConfigInvalid, "the address %s cannot be used", addr).
			Then("does another program listen there?").Because(err)
	}
	return &server{l, &http.Server{
		Handler: handler, TLSConfig: config,
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		// Failed handshakes and the like: what scanners cause is no news.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}, nil
}

func (s *server) addr() string { return s.listener.Addr().String() }

func (s *server) serve() error {
	var err error
	if s.http.TLSConfig != nil {
		err = s.http.ServeTLS(s.listener, "", "")
	} else {
		err = s.http.Serve(s.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", s.addr(), err)
}

// stop takes no more requests and waits for those that are being answered.
func (s *server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}

// config reads the files again when they have changed, because certificates of
// web servers are renewed by other programs. It is nil where there are none.
func (t TLS) config() (*tls.Config, error) {
	if t.Certificate == "" {
		return nil, nil
	}
	f := &tlsFiles{TLS: t}
	if _, err := f.get(nil); err != nil {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "the TLS certificate %s and key %s cannot be used", t.Certificate, t.Key).Because(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.get}, nil
}

// lookAgain is how often the files are looked at.
const lookAgain = 30 * time.Second

// tlsFiles holds the newest pair that could be read.
type tlsFiles struct {
	TLS

	mu      sync.Mutex
	pair    *tls.Certificate
	written time.Time // of the certificate's file
	looked  time.Time
}

func (f *tlsFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pair != nil && time.Since(f.looked) < lookAgain {
		return f.pair, nil
	}
	f.looked = time.Now()
	info, err := os.Stat(f.Certificate)
	if err == nil && (f.pair == nil || !info.ModTime().Equal(f.written)) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(f.Certificate, f.Key); err == nil {
			f.pair, f.written = &pair, info.ModTime()
		}
	}
	if f.pair != nil {
		return f.pair, nil // half a renewal: the old pair is good for now
	}
	return nil, err
}
