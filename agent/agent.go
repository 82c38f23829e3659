// Package agent is the node's side: `sallyport agent` enrols a node, puts its
// sshd under the session CA, renews its host certificates, keeps trust and KRL
// as the CA says, and tells the CA when somebody changes what it wrote.
//
// It is in nobody's way: sshd reads files, and people get in through the proxy
// whether the agent runs or not. While the CA is away everything stays as it is;
// host certificates last a week and are renewed at half of that.
//
// # Security model
//
// The agent runs as root and trusts the CA whose key it pinned at enrolment, as
// sshd does from then on: whoever holds the session CA opens every login here.
// What the CA says is nevertheless checked as if it came from a stranger, and
// refused as a whole when it is not understood as a whole: no trust, a user or
// host CA in the session CA's place, a KRL that is empty or does not parse, a
// host certificate for another node or key. The last good state stays. No answer
// of the CA becomes a path, a command or a line of configuration of its own
// making: only keys, a node's identifier of known shape, and IP addresses do.
//
// The CA learns what sshd is, which files differ, and the host's public keys.
// The identity key never leaves the node; a copy of it lets its holder be told
// this node's (public) state and have host certificates for this node's names,
// until an admin removes the node.
//
// Promise 6 of DESIGN, section 7, is package install's: the operators are not
// locked out, whatever fails.
package agent

import (
	"context"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/cli"
)

// grammar of `sallyport agent`.
type grammar struct {
	Enroll    enrollCommand    `cmd:"" help:"Make this machine a node, by a join token."`
	Run       runCommand       `cmd:"" help:"Keep certificates, trust and sshd's configuration, until told to stop."`
	Status    statusCommand    `cmd:"" help:"Say how this node stands."`
	Check     checkCommand     `cmd:"" help:"Print the effective configuration and what is wrong here."`
	Uninstall uninstallCommand `cmd:"" help:"Take everything of the agent's out of sshd's configuration."`
}

// Main runs `sallyport agent`.
func Main(ctx context.Context, env cli.Env, args []string) error {
	var g grammar
	k, err := cli.Parse(env, "sallyport agent", "The node's side: host certificates, trust, sshd's drop-in.", &g, args)
	if err != nil {
		return err
	}
	switch strings.Fields(k.Command())[0] {
	case "enroll":
		return g.Enroll.run(ctx, env)
	case "run":
		return g.Run.run(ctx, env)
	case "status":
		return g.Status.run(ctx, env)
	case "check":
		return g.Check.run(ctx, env)
	}
	return g.Uninstall.run(ctx, env)
}
