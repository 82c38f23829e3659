package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport-ssh/sallyport/internal/cli"
)

type uninstallCommand struct{ places }

// run takes this node out of Sallyport, as far as it is its own to do: an admin
// removes it at the CA.
func (u uninstallCommand) run(ctx context.Context, env cli.Env) error {
	say := func(format string, args ...any) { fmt.Fprintf(env.Stdout, "agent: "+format+"\n", args...) }
	if err := removeService(ctx, say); err != nil {
		return err
	}
	n, err := u.openNode(ctx, env, changing)
	if err != nil {
		return err
	}
	defer n.close()
	if err := n.installer.Uninstall(ctx); err != nil {
		return err
	}
	for _, name := range []string{enrolmentFile, identityFile, lockName} {
		err = errors.Join(err, n.installer.Disk.Remove(filepath.Join(n.config.Dir, name)))
	}
	os.Remove(n.config.Dir) // unless somebody else put something there
	if err == nil {
		say("sshd's configuration is as it was without Sallyport, tested and reloaded.")
		say("an admin takes the node off the list: sallyport node rm NAME")
	}
	return err
}
