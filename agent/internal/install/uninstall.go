package install

import (
	"context"
	"errors"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Uninstall takes everything of the agent's out of sshd's configuration, has
// sshd reload, and then removes the generations. When it fails, what was in
// force is so still.
func (in *Installer) Uninstall(ctx context.Context) error {
	before, err := in.look()
	if err != nil {
		return err
	}
	// 1. The configuration without us is tested on a copy, and leads to none of
	// the files that are about to go.
	if err := in.rehearseLeaving(ctx); err != nil {
		return err
	}
	// 2. sshd reads the drop-in no longer.
	err = in.unhook()
	// 3. The very configuration is tested and reloaded, and sshd still answers.
	if err == nil {
		err = in.Sshd.Test(ctx, in.Config)
	}
	if err == nil {
		err = in.Sshd.Reload(ctx)
	}
	if err == nil {
		err = in.Sshd.Probe(ctx, nil)
	}
	if err != nil {
		if before.generation == "" {
			return err
		}
		return errors.Join(err, in.rollback(ctx, before, before.generation))
	}
	// 4. The files go, the link before what it leads to.
	if err := in.Disk.Remove(in.path(currentLink)); err != nil {
		return err
	}
	have, err := in.generations()
	if err != nil {
		return err
	}
	for n := range have {
		in.remove(name(n))
	}
	return nil
}

func (in *Installer) rehearseLeaving(ctx context.Context) error {
	tree, _, err := in.bare(ctx)
	if err != nil {
		return in.blame(ctx, err)
	}
	for _, s := range tree.Settings() {
		for _, arg := range s.Args {
			if strings.HasPrefix(arg, in.Dir+"/") {
				return fault.New(fault.Conflict, fault.ConfigInvalid, "%s leads to %s, which would go", s.Place(), arg).
					Then("take that line out, then try again")
			}
		}
	}
	return nil
}
