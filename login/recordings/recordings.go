// Package recordings is what somebody does with evidence: verify a recording or an
// evidence bundle, offline and with public keys alone, and export one.
//
// # Promises
//
// verify says "verified." and ends with status 0 only if everything that it is
// there to check was checked and holds, with keys that did not come along with
// what they check. It needs no CA, no network and no login.
//
// export leaves a whole file or none.
package recordings

import (
	"context"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Connect returns a client of the people's door with the person's proof.
type Connect func(context.Context, cli.Env) (*wire.Client, error)

// Commands are the commands by name: "recording", with verify, export and trust
// below it.
func Commands(connect Connect) map[string]cli.Run {
	return map[string]cli.Run{
		"recording": func(ctx context.Context, env cli.Env, args []string) error {
			var g grammar
			k, err := cli.Parse(env, "sallyport recording", "Verify and export the evidence of sessions.", &g, args)
			if err != nil {
				return err
			}
			return k.Run(&call{ctx: ctx, env: env, connect: connect, zone: time.Local})
		},
	}
}

type grammar struct {
	Verify verifyCommand `cmd:"" help:"Check recordings and evidence bundles, offline."`
	Export exportCommand `cmd:"" help:"Write a session's evidence, or its content, to a file."`
	Trust  trustCommand  `cmd:"" help:"Print the public keys that verify needs, as this login knows them."`
}

// call is one call of a command.
type call struct {
	ctx     context.Context
	env     cli.Env
	connect Connect
	zone    *time.Location // in which times are told to the person
}
