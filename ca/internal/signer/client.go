package signer

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

const (
	// readyPatience is how long a signer may take to open its keys.
	readyPatience = 30 * time.Second
	// endPatience is how long one may take to end after its connection closed.
	endPatience = 5 * time.Second

	firstPause = 100 * time.Millisecond
	longPause  = 5 * time.Second
)

// Config says how the CA reaches its signer: either it starts one (Keys), or one
// runs already (Socket).
type Config struct {
	Keys           string // the key folder; for a signer that is started
	PassphraseFile string // empty: systemd's credential, see keyfile.PassphraseFile
	RequireFence   bool   // refuse a kernel without seccomp

	// Program and first arguments of the signer; empty is this executable with
	// the argument "signer".
	Program []string
	// Stderr is where a started signer logs; nil is this process's.
	Stderr io.Writer

	Socket     string // unix socket of a signer that runs already
	SocketUser string // OS user that it must run as, name or number

	Log *slog.Logger // required
}

// Client is the CA's side. It is safe for concurrent use, and faster the more
// callers it has: their requests share writes. The zero Client is a signer that
// is away.
type Client struct {
	config Config
	stop   context.CancelFunc
	done   chan struct{} // closed when the last link has ended

	mu   sync.Mutex
	link *link // nil while the signer is away
	keys PublicKeys
}

// Start starts a signer, or reaches the one at c.Socket, and returns when it is
// ready. What keeps it from becoming ready (a wrong passphrase, a kernel without
// seccomp) is returned as the signer's own fault. A signer that ends later is
// started again, and reads its keys again, until ctx ends or Close.
func Start(ctx context.Context, c Config) (*Client, error) {
	first, err := connect(ctx, c)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	client := &Client{config: c, stop: stop, done: make(chan struct{}), link: first, keys: first.keys}
	go client.keep(ctx, first)
	return client, nil
}

// Keys returns the public CA keys of the signer, the last known ones while it
// is away.
func (c *Client) Keys() PublicKeys {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys
}

// Sign returns the certificate that r asks for. What the profile does not allow
// is profile_refused or key_refused; a signer that is away is kind Unavailable,
// reason signer_away, at once. When Sign fails for any other cause than a
// refusal, the signer may have signed nonetheless, so r's serial is used up.
func (c *Client) Sign(ctx context.Context, r cert.Request) (*ssh.Certificate, error) {
	// 1. Refuse here what the profile does not allow.
	if _, err := r.Derive(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l == nil {
		return nil, away(nil)
	}
	// 2. Ask.
	a, err := l.ask(ctx, func(requestID uint32) ([]byte, error) { return encodeRequest(nil, requestID, r) })
	if err != nil {
		return nil, err
	}
	// 3. Derive again, and compare every byte of what came back but the nonce;
	// verify the signature, by the profile's own CA.
	got, err := cert.Check(r, a.blob, l.keys.Of(r.Profile())[0])
	if err != nil {
		return nil, fault.New(fault.Internal, fault.ProfileRefused, "the signer returned another certificate than was asked for").Because(err)
	}
	return got, nil
}

// SignCheckpoint returns the signed note of next, which begins with all of the
// tree of size old by proof. Where old is not what the signer has signed last, or
// next is smaller than that, note is nil and last says what it is. A log that
// forked is kind Conflict, reason log_damaged.
func (c *Client) SignCheckpoint(ctx context.Context, old int64, next audit.Checkpoint, proof audit.Proof) (note []byte, last int64, err error) {
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l == nil {
		return nil, 0, away(nil)
	}
	a, err := l.ask(ctx, func(requestID uint32) ([]byte, error) { return encodeCheckpoint(requestID, old, next, proof), nil })
	if err != nil || a.blob == nil {
		return nil, a.last, err
	}
	trust, err := audit.NewTrust([]string{l.keys.Log}, nil, 0)
	if err != nil {
		return nil, 0, err
	}
	signed, err := trust.Open(a.blob)
	if err != nil || signed.Checkpoint != next {
		return nil, 0, fault.New(fault.Internal, fault.LogDamaged, "the signer returned another checkpoint than was asked for").Because(err)
	}
	return a.blob, next.Size, nil
}

// Close ends the signer that Start started, waits for it, and fails every Sign.
func (c *Client) Close() error {
	if c.stop == nil {
		return nil
	}
	c.stop()
	<-c.done
	return nil
}

// keep watches over the link, and makes a new one when it ends.
func (c *Client) keep(ctx context.Context, l *link) {
	defer close(c.done)
	pause := firstPause
	for {
		born := time.Now()
		l.live(ctx)
		c.set(nil)
		if ctx.Err() != nil {
			return
		}
		c.config.Log.Error("signer is away", "error", l.err)
		if time.Since(born) > longPause {
			pause = firstPause
		}
		for l = nil; l == nil; pause = min(2*pause, longPause) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			var err error
			if l, err = connect(ctx, c.config); err != nil && ctx.Err() == nil {
				c.config.Log.Error("signer does not start", "error", err)
			}
		}
		c.set(l)
		c.config.Log.Info("signer is back")
	}
}

func (c *Client) set(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	if l != nil {
		c.keys = l.keys
	}
}

// connect starts or reaches a signer and greets it.
func connect(ctx context.Context, c Config) (*link, error) {
	var conn net.Conn
	var err error
	wait := func() error { return nil }
	if c.Socket != "" {
		conn, err = dialSocket(ctx, c)
	} else {
		conn, wait, err = startProcess(c)
	}
	if err != nil {
		return nil, away(err)
	}
	l := newLink(conn, wait)
	if err := l.greet(ctx); err != nil {
		conn.Close()
		wait()
		return nil, err
	}
	return l, nil
}

func away(err error) *fault.Error {
	f := fault.New(fault.Unavailable, fault.SignerAway, "the CA's signer is away; no certificates for the moment")
	if err != nil {
		f = f.Because(err)
	}
	return f
}
