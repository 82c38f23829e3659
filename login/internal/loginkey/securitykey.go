package loginkey

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// errNoAgent: a security key's signature is made by a helper of OpenSSH's, which
// ssh-agent runs.
var errNoAgent = fault.New(fault.Unavailable, fault.KeyRefused, "a security key signs through ssh-agent, and none is running").
	Then(`run: eval "$(ssh-agent)"`)

// MakeSecurityKey has ssh-keygen make a key on the authenticator that is plugged
// in, with its handle at path. ssh-keygen asks for PIN and touch by itself. It
// needs the agent only in that no signature could be had without it.
func (a *Agent) MakeSecurityKey(ctx context.Context, path string, in io.Reader, out io.Writer) error {
	if a == nil {
		return errNoAgent
	}
	cmd := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519-sk", "-N", "", "-C", "sallyport", "-f", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, out
	fmt.Fprintln(out, "Touch your security key when it blinks.")
	if err := cmd.Run(); err != nil {
		return fault.New(fault.Unavailable, fault.KeyRefused, "no security key could be used; is it plugged in?").
			Then("for one that cannot do Ed25519: ssh-keygen -t ecdsa-sk -f %s, then sallyport login --key %s", path, path).Because(err)
	}
	return nil
}

// OpenSecurityKey returns the key whose handle stands at path.
func OpenSecurityKey(path string, agent *Agent) (Key, error) {
	public, err := readPublic(path)
	if err != nil {
		return Key{}, fault.New(fault.Invalid, fault.KeyRefused, "%s.pub cannot be read", path).
			Then("name the private file of a key that ssh-keygen made").Because(err)
	}
	if !IsSecurityKey(public) {
		return Key{}, fault.New(fault.Invalid, fault.KeyRefused, "%s is a %s key and not a security key", path, public.Type()).
			Then("run: sallyport login, which makes a fresh key for each login")
	}
	return FromSecurityKey(path, public, agent)
}

// FromSecurityKey returns the security key whose handle is at path, and gives the
// handle to agent if it does not have it.
func FromSecurityKey(path string, public ssh.PublicKey, agent *Agent) (Key, error) {
	if agent == nil {
		return Key{}, errNoAgent
	}
	signer, err := agent.signer(public)
	if err != nil {
		return Key{}, err
	}
	if signer == nil {
		// The library's client cannot add security keys; OpenSSH's can.
		cmd := exec.Command("ssh-add", "-q", path)
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+agent.socket)
		if out, err := cmd.CombinedOutput(); err != nil {
			return Key{}, fault.New(fault.Unavailable, fault.KeyRefused, "ssh-agent does not take the security key %s", path).
				Then("try: ssh-add %s", path).Because(fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out))))
		}
		if signer, err = agent.signer(public); err != nil {
			return Key{}, err
		}
	}
	if signer == nil {
		return Key{}, fault.New(fault.Unavailable, fault.KeyRefused, "ssh-agent does not hold the security key %s", path).Then("try: ssh-add %s", path)
	}
	return Key{Signer: touchSigner{signer, agent}}, nil
}

// touchSigner waits for the touch as long as a person may need.
type touchSigner struct {
	ssh.Signer
	agent *Agent
}

func (s touchSigner) Sign(random io.Reader, data []byte) (sig *ssh.Signature, err error) {
	err = s.agent.within(touchLimit, func() error {
		sig, err = s.Signer.Sign(random, data)
		return err
	})
	if err != nil {
		return nil, fault.New(fault.Unavailable, fault.KeyRefused, "the security key did not sign; was it touched?").Then("run: sallyport login").Because(err)
	}
	return sig, nil
}
