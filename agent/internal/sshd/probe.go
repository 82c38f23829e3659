package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Limits of a probe. A busy sshd drops connections at random (MaxStartups), and
// one that has just been told to reload does not listen for a moment.
const (
	probeLimit = 10 * time.Second
	probeWait  = 5 * time.Second // of one connection
	probePause = 100 * time.Millisecond
)

// Probe connects to the running sshd until it has proved each host key by its
// certificate: exactly these, so that an sshd which still has the former ones
// does not pass. No certificates need no more than an sshd that answers.
func (p Program) Probe(ctx context.Context, certificates []*ssh.Certificate) error {
	addr := p.Addr
	if addr == "" {
		e, err := p.Effective(ctx, p.Config, "")
		if err != nil {
			return err
		}
		if addr, err = Addr(e); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	for {
		err := probeAll(ctx, addr, certificates)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, fault.NodeHostKey, "sshd at %s does not show what was installed", addr).Because(err)
		case <-time.After(probePause):
		}
	}
}

func probeAll(ctx context.Context, addr string, certificates []*ssh.Certificate) error {
	if len(certificates) == 0 {
		return handshake(ctx, addr, nil)
	}
	for _, want := range certificates {
		if err := handshake(ctx, addr, want); err != nil {
			return err
		}
	}
	return nil
}

// errSeen ends a handshake that has shown what it was for, before the login.
var errSeen = errors.New("the host key is proven")

// handshake asks for the host key of want's type and compares certificates.
// x/crypto calls the callback after it has verified the exchange's signature.
func handshake(ctx context.Context, addr string, want *ssh.Certificate) error {
	conn, err := (&net.Dialer{Timeout: probeWait}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(probeWait))
	config := &ssh.ClientConfig{User: "sallyport-agent", HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if want != nil && !bytes.Equal(key.Marshal(), want.Marshal()) {
			return fmt.Errorf("it shows another %s", key.Type())
		}
		return errSeen
	}}
	if want != nil {
		config.HostKeyAlgorithms = algorithms(want)
	}
	_, _, _, err = ssh.NewClientConn(conn, addr, config)
	if errors.Is(err, errSeen) {
		return nil
	}
	return fmt.Errorf("handshake: %w", err)
}

// algorithms under which a certificate is asked for. Those of RSA keys have
// names of their own for the SHA-2 signatures (draft-ietf-sshm-cert).
func algorithms(c *ssh.Certificate) []string {
	if c.Key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01}
	}
	return []string{c.Type()}
}

// Addr is where a running sshd with this configuration is reached from its own
// machine.
func Addr(e sshdconf.Effective) (string, error) {
	for _, listen := range e["listenaddress"] {
		ap, err := netip.ParseAddrPort(listen)
		if err != nil {
			continue
		}
		if !ap.Addr().IsUnspecified() {
			return ap.String(), nil
		}
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if ap.Addr().Is6() {
			loopback = netip.IPv6Loopback()
		}
		return netip.AddrPortFrom(loopback, ap.Port()).String(), nil
	}
	return "", fault.New(fault.Invalid, fault.ConfigInvalid, "sshd listens on no address that can be dialled: %q", e["listenaddress"])
}
