package login

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// checkCommand is what `Match exec` runs before every ssh to a host of ours. With
// a fresh certificate it reads one file and ends; no flags are parsed, no address
// is looked up.
//
// Exit status 0 means that there is a valid certificate. ssh then reads the files
// that this very call may have written.
func checkCommand(ctx context.Context, env cli.Env, args []string) error {
	p, err := newPerson(env)
	if err != nil {
		return err
	}
	if len(args) > 0 {
		return fault.New(fault.Invalid, fault.BadRequest, "check takes no arguments: ssh runs it, to renew the certificate in time").
			Then("see: sallyport status")
	}
	return p.freshen(ctx)
}
