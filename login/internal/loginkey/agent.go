package loginkey

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Limits of time for one call of the agent. A signature may wait for a touch, or
// for the window in which some agents ask.
const (
	agentLimit = 2 * time.Second
	touchLimit = 60 * time.Second
)

// Agent is the person's ssh-agent (RFC 9987). A nil Agent holds nothing.
type Agent struct {
	conn   net.Conn
	client agent.ExtendedAgent
	socket string
}

// Dial connects to the agent that SSH_AUTH_SOCK names; without one, or where it
// does not answer, it returns nil: files work without an agent.
func Dial(getenv func(string) string) *Agent {
	socket := getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil
	}
	conn, err := net.DialTimeout("unix", socket, agentLimit)
	if err != nil {
		return nil
	}
	return &Agent{conn: conn, client: agent.NewClient(conn), socket: socket}
}

// Close hangs up.
func (a *Agent) Close() {
	if a != nil {
		a.conn.Close()
	}
}

// within bounds the calls that f makes. A connection that ran out of time is out
// of step, and is not used again.
func (a *Agent) within(limit time.Duration, f func() error) error {
	if err := a.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	err := f()
	var timeout net.Error
	if errors.As(err, &timeout) {
		a.conn.Close()
	}
	return err
}

// Add gives the agent the certificate with its key, and the key alone, until the
// certificate ends. What it had of this key before is replaced. ssh looks for the
// key that a CertificateFile is for among the plain ones; other clients take the
// certificate as the agent shows it.
func (a *Agent) Add(k Key, c *ssh.Certificate, comment string, now time.Time) error {
	if a == nil || k.Private == nil {
		return nil
	}
	left := int64(c.ValidBefore) - now.Unix()
	if left <= 0 {
		return nil
	}
	if err := a.Remove(k.PublicKey()); err != nil {
		return err
	}
	err := a.within(agentLimit, func() error {
		add := agent.AddedKey{PrivateKey: &k.Private, Certificate: c, Comment: comment, LifetimeSecs: uint32(left)}
		if err := a.client.Add(add); err != nil {
			return err
		}
		add.Certificate = nil
		return a.client.Add(add)
	})
	if err != nil {
		return fmt.Errorf("add login key to ssh-agent: %w", err)
	}
	return nil
}

// Remove takes key and its certificates out of the agent.
func (a *Agent) Remove(key ssh.PublicKey) error {
	if a == nil {
		return nil
	}
	err := a.within(agentLimit, func() error {
		held, err := a.client.List()
		if err != nil {
			return err
		}
		for _, one := range held {
			if of, err := ssh.ParsePublicKey(one.Blob); err == nil && sameKey(of, key) {
				err = a.client.Remove(of)
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove login key from ssh-agent: %w", err)
	}
	return nil
}

// sameKey: held is key, or a certificate for it.
func sameKey(held, key ssh.PublicKey) bool {
	if c, ok := held.(*ssh.Certificate); ok {
		held = c.Key
	}
	return bytes.Equal(held.Marshal(), key.Marshal())
}

// signer returns the signer of key in the agent, nil if it does not hold it.
func (a *Agent) signer(key ssh.PublicKey) (ssh.Signer, error) {
	var found ssh.Signer
	err := a.within(agentLimit, func() error {
		all, err := a.client.Signers()
		for _, one := range all {
			if bytes.Equal(one.PublicKey().Marshal(), key.Marshal()) {
				found = one
			}
		}
		return err
	})
	if err != nil {
		return nil, fault.New(fault.Unavailable, fault.KeyRefused, "ssh-agent does not answer").Because(err)
	}
	return found, nil
}
