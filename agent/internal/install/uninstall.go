package install

import (
	"context"
	"errors"
)

// Uninstall takes everything of the agent's out of sshd's configuration, has
// sshd reload, and then removes the generations. When it fails, what was in
// force is so still.
func (in *Installer) Uninstall(ctx context.Context) error {
	before, err := in.look()
	if err != nil {
		return err
	}
	// 1. The configuration without us is tested on a copy.
	if _, err := in.Bare(ctx); err != nil {
		return in.blame(ctx, err)
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
