package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Times of following the CA.
const (
	pollWait  = 60 * time.Second // of one long poll
	retryMin  = time.Second      // after a failure; doubled up to retryMax
	retryMax  = 30 * time.Second
	callLimit = 15 * time.Second // of one call while somebody waits
)

// trust is whom the proxy believes now, and for which nodes it answers. It is
// never changed, only replaced. The zero trust believes nobody.
type trust struct {
	version int64
	userCAs []ssh.PublicKey
	hostCAs []ssh.PublicKey
	nodes   map[id.NodeName]bool
	host    ssh.Signer // the host key with its certificate; nil without one
}

// follower keeps the trust current: it holds a long poll at the CA, renews the
// proxy's own host certificate at half life, and remembers both on disk.
type follower struct {
	dir  string
	keys keys
	ca   *wire.Client
	log  *slog.Logger

	current atomic.Pointer[trust]
	member  *membership // of run's goroutine
}

func newFollower(dir string, k keys, m *membership, ca *wire.Client, log *slog.Logger) (*follower, error) {
	f := &follower{dir: dir, keys: k, ca: ca, log: log, member: m}
	t, err := f.read()
	f.current.Store(t)
	return f, err
}

// trust returns whom to believe now.
func (f *follower) trust() *trust { return f.current.Load() }

// read makes a trust of the membership. An entry that cannot be read refuses the
// whole: a CA key that is left out would end in "another CA signed this".
func (f *follower) read() (*trust, error) {
	s := f.member.State
	t := &trust{version: s.Version, nodes: make(map[id.NodeName]bool, len(s.Nodes))}
	for _, name := range s.Nodes {
		if _, err := id.ParseNodeName(string(name)); err != nil {
			return &trust{}, fmt.Errorf("read nodes: %w", err)
		}
		t.nodes[name] = true
	}
	var err error
	if t.userCAs, err = parseKeys(s.Trust.UserCA); err != nil {
		return &trust{}, fmt.Errorf("read user CA: %w", err)
	}
	if t.hostCAs, err = parseKeys(s.Trust.HostCA); err != nil {
		return &trust{}, fmt.Errorf("read host CA: %w", err)
	}
	if len(f.member.Certificate) > 0 {
		c, err := cert.Parse(f.member.Certificate)
		if err != nil {
			return &trust{}, fmt.Errorf("read host certificate: %w", err)
		}
		if t.host, err = ssh.NewCertSigner(c, f.keys.host); err != nil {
			return &trust{}, fmt.Errorf("use host certificate: %w", err)
		}
	}
	return t, nil
}

func parseKeys(lines []string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for _, line := range lines {
		key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(rest) > 0 || strings.Contains(key.Type(), "-cert-") {
			return nil, fault.New(fault.Invalid, fault.BadRequest, "a CA key cannot be read").Because(err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	wait := retryMin
	for ctx.Err() == nil {
		asked := time.Now()
		err := f.poll(ctx, pollWait)
		if err == nil {
			err = f.renew(ctx)
		}
		rest := retryMin - time.Since(asked) // a CA that does not wait is not asked without pause
		switch {
		case err == nil:
			wait = retryMin
		case ctx.Err() == nil:
			f.log.Warn("the CA cannot be followed", "err", err, "retry", wait)
			rest, wait = wait, min(2*wait, retryMax)
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(rest, 0)):
		}
	}
}

// poll asks for a state that is newer than ours, and waits for it up to wait.
func (f *follower) poll(ctx context.Context, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait+callLimit)
	defer cancel()
	path := fmt.Sprintf("%s?since=%d&wait=%d", wire.PathProxyState, f.member.State.Version, int(wait/time.Second))
	var s wire.ProxyState
	if err := f.ca.Do(ctx, http.MethodGet, path, nil, &s); err != nil {
		return err
	}
	if s.Version == f.member.State.Version && slices.Equal(s.Nodes, f.member.State.Nodes) {
		return nil
	}
	was := f.member.State
	f.member.State = s
	if err := f.adopt(); err != nil {
		f.member.State = was
		return err
	}
	f.log.Info("state", "version", s.Version, "nodes", len(s.Nodes))
	return nil
}

// renew gets a new host certificate for the proxy's own names, when half of the
// old one's life is over.
func (f *follower) renew(ctx context.Context) error {
	if t := f.trust(); t.host != nil {
		c := t.host.PublicKey().(*ssh.Certificate)
		if uint64(time.Now().Unix()) < c.ValidAfter+(c.ValidBefore-c.ValidAfter)/2 {
			return nil
		}
	}
	c, err := f.certify(ctx, "")
	if err != nil {
		return err
	}
	f.member.Certificate = c.Marshal()
	f.log.Info("host certificate renewed", "until", time.Unix(int64(c.ValidBefore), 0).UTC())
	return f.adopt()
}

// adopt makes the membership count and remembers it.
func (f *follower) adopt() error {
	t, err := f.read()
	if err != nil {
		return err
	}
	f.current.Store(t)
	return f.member.store(f.dir)
}

// certify asks for a certificate of the host key: for node's name, or with ""
// for the proxy's own.
func (f *follower) certify(ctx context.Context, node id.NodeName) (*ssh.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var out wire.HostCertificate
	err := f.ca.Do(ctx, http.MethodPost, wire.PathProxyHost, wire.HostCertificateRequest{
		HostKey: string(ssh.MarshalAuthorizedKey(f.keys.host.PublicKey())), Node: node,
	}, &out)
	if err != nil {
		return nil, away(err)
	}
	return cert.Parse(out.Certificate)
}

// away is err, or ca_away where it is a limit of time that ran out.
func away(err error) *fault.Error {
	if fault.ReasonOf(err) == fault.InternalError {
		return fault.New(fault.Unavailable, fault.CAAway, "the CA does not answer").Because(err)
	}
	return fault.Of(err)
}
