package install

import (
	"context"
	"fmt"
	"os"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
)

// Recover ends what an earlier process began and did not finish: a generation
// in force that nobody has seen work is seen to work now, or taken back.
func (in *Installer) Recover(ctx context.Context) error {
	if err := in.Disk.Mkdir(in.Dir); err != nil {
		return err
	}
	now, err := in.look()
	if err != nil {
		return err
	}
	if now.generation == "" {
		// Somebody may have removed what the drop-in leads to. sshd would not
		// start with an Include that dangles (tried on 9.2).
		return in.unhook()
	}
	if now.good {
		in.prune(now.generation, "")
		return nil
	}
	in.Log.Warn("an installation was not finished", "generation", now.generation)
	if now.hooked {
		err := in.settle(ctx, now.generation, now.certificates, true)
		if err == nil {
			return nil
		}
		in.Log.Warn("it does not work and is taken back", "generation", now.generation, "err", err)
	}
	before, err := in.lastGood()
	if err != nil {
		return err
	}
	return in.rollback(ctx, before, now.generation)
}

// lastGood is the state to go back to: the newest generation that was seen to
// work, or nothing of ours.
func (in *Installer) lastGood() (state, error) {
	have, err := in.generations()
	if err != nil {
		return state{}, err
	}
	best := 0
	for n, good := range have {
		if good {
			best = max(best, n)
		}
	}
	if best == 0 {
		return state{}, nil
	}
	config, err := os.ReadFile(in.Config)
	if err != nil {
		return state{}, fmt.Errorf("read configuration: %w", err)
	}
	return state{
		generation: name(best), good: true, hooked: true,
		included: sshdconf.HasInclude(config, in.DropIn),
	}, nil
}

// prune removes all generations but the two named.
func (in *Installer) prune(current, last string) {
	have, err := in.generations()
	if err != nil {
		in.Log.Warn("old generations stay", "err", err)
		return
	}
	for n, good := range have {
		if g := name(n); g != current && g != last && (last != "" || !good) {
			in.remove(g)
		}
	}
}

// remove is for a generation that is no longer referred to; it may stay if it
// must.
func (in *Installer) remove(generation string) {
	if number(generation) == 0 {
		return // never the directory itself
	}
	if err := in.Disk.Remove(in.path(generation)); err != nil {
		in.Log.Warn("an old generation stays", "generation", generation, "err", err)
	}
}
