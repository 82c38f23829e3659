package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/proxy/internal/quickack"
	"github.com/sallyport-ssh/sallyport/proxy/internal/sshwire"
)

// Limits of reaching a node.
const (
	dialLimit = 10 * time.Second // until TCP is connected
	nodeLimit = 20 * time.Second // from there until sshd has accepted
)

// upstreamConn is a connection to a node's sshd that took the session
// certificate.
type upstreamConn struct {
	ssh.Conn
	channels <-chan ssh.NewChannel
	requests <-chan *ssh.Request
}

// dial connects to a node as login. The node's host key is always verified:
// against the keys that an admin pinned, or as a host certificate of exactly this
// node. Faults are node_away, node_host_key and node_refused.
func dial(ctx context.Context, t wire.Target, login id.Login, key ssh.Signer, hostCAs []ssh.PublicKey) (*upstreamConn, error) {
	verify, algorithms, err := hostVerifier(t, hostCAs, time.Now)
	if err != nil {
		return nil, err
	}
	awayFault := fault.New(fault.Unavailable, fault.NodeAway, "%s does not answer", t.Name)
	d := net.Dialer{Timeout: dialLimit}
	tcp, err := d.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, awayFault.Because(err)
	}
	// x/crypto knows no context; closing is what interrupts it.
	stop := context.AfterFunc(ctx, func() { tcp.Close() })
	defer stop()
	tcp.SetDeadline(time.Now().Add(nodeLimit))

	var hostKey error
	verified := false
	conn, channels, requests, err := ssh.NewClientConn(quickack.New(tcp), t.Addr, &ssh.ClientConfig{
		Config: upstream, User: string(login), Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		ClientVersion: sshwire.Version, HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			hostKey = verify(key)
			verified = hostKey == nil
			return hostKey
		},
	})
	var none *ssh.AlgorithmNegotiationError
	switch {
	case err == nil:
	case errors.As(err, &none) && none.What == "host key":
		return nil, fault.New(fault.Denied, fault.NodeHostKey, "%s shows no host key by which it could be known: nothing was sent to it", t.Name).
			Then("tell the admins: its host certificate is gone; if the machine was set up anew, it has to be enrolled again").Because(err)
	case errors.As(err, &none):
		return nil, fault.New(fault.Unavailable, fault.NodeAway, "sshd on %s and the proxy have no %s in common", t.Name, none.What).Because(err)
	case hostKey != nil:
		return nil, fault.New(fault.Denied, fault.NodeHostKey, "%s shows a host key that is not its own: nothing was sent to it", t.Name).
			Then("tell the admins; if the machine was set up anew, it has to be enrolled again").Because(hostKey)
	case ctx.Err() != nil:
		return nil, awayFault.Because(ctx.Err())
	case !verified:
		return nil, awayFault.Because(err)
	default:
		return nil, fault.New(fault.Unavailable, fault.NodeRefused, "sshd on %s did not take the certificate for %s", t.Name, login).
			Then("does the login exist there, and are the clocks right? The log of sshd there says why").Because(err)
	}
	tcp.SetDeadline(time.Time{})
	return &upstreamConn{conn, channels, requests}, nil
}

// hostVerifier says how to know the node t, and which algorithms to ask of it so
// that it shows what can be verified. With pinned keys a certificate does too.
func hostVerifier(t wire.Target, hostCAs []ssh.PublicKey, now func() time.Time) (func(ssh.PublicKey) error, []string, error) {
	pinned, err := parseKeys(t.HostKeys)
	if err != nil {
		return nil, nil, fault.New(fault.Denied, fault.NodeHostKey, "the host keys that are known of %s cannot be read", t.Name).Because(err)
	}
	var algorithms []string
	for _, key := range pinned {
		algorithms = append(algorithms, signatures(key.Type())...)
	}
	if len(hostCAs) > 0 {
		algorithms = append(algorithms, ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01,
			ssh.CertAlgoECDSA521v01, ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01)
	}
	if len(algorithms) == 0 {
		return nil, nil, fault.New(fault.Denied, fault.NodeHostKey, "nothing is known by which to tell %s from another machine", t.Name)
	}
	verify := func(key ssh.PublicKey) error {
		if c, ok := key.(*ssh.Certificate); ok {
			return cert.VerifyNode(c, hostCAs, t.Name, t.Node, now())
		}
		for _, pin := range pinned {
			if bytes.Equal(pin.Marshal(), key.Marshal()) {
				return nil
			}
		}
		if len(pinned) == 0 {
			return errors.New("a plain key, where a host certificate is expected")
		}
		return fmt.Errorf("host key %s is not a pinned one", ssh.FingerprintSHA256(key))
	}
	return verify, algorithms, nil
}

// signatures are the signature algorithms of a kind of key, without SHA-1.
func signatures(kind string) []string {
	if kind == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{kind}
}
