// Package audit is what an auditor does with the audit log: list and follow
// events, keep a copy of all of it, and prove, offline and with public keys
// alone, that nothing in the copy was changed, removed or reordered.
//
// # Promises
//
// verify says "verified." and ends with status 0 only if everything was checked
// and holds. It needs no CA, no network and no login. fetch verifies what it
// takes before it keeps it, and is continued where it stopped; whatever happens
// in the middle, the copy that was there still verifies. A checkpoint that
// contradicts an earlier one is kept beside the copy: it is evidence.
//
// What is printed about an event is quoted; --json prints it as it was logged.
package audit

import (
	"context"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Connect returns a client of the people's door with the person's proof.
type Connect func(context.Context, cli.Env) (*wire.Client, error)

// Commands are the commands by name: "audit", with ls, fetch, verify and prove
// below it.
func Commands(connect Connect) map[string]cli.Run {
	return map[string]cli.Run{
		"audit": func(ctx context.Context, env cli.Env, args []string) error {
			var g grammar
			k, err := cli.Parse(env, "sallyport audit", "Read the audit log, keep a copy of it, and verify it.", &g, args)
			if err != nil {
				return err
			}
			return k.Run(&call{ctx: ctx, env: env, connect: connect, now: time.Now()})
		},
	}
}

type grammar struct {
	LS     lsCommand     `cmd:"" name:"ls" help:"List events, and follow the log."`
	Fetch  fetchCommand  `cmd:"" help:"Make a copy of the whole log, or continue one."`
	Verify verifyCommand `cmd:"" help:"Verify a copy of the log, a proof or a checkpoint, offline."`
	Prove  proveCommand  `cmd:"" help:"Write a proof that an event is in the log."`
}

// call is one call of a command.
type call struct {
	ctx     context.Context
	env     cli.Env
	connect Connect
	now     time.Time // in the zone in which times are told
}
