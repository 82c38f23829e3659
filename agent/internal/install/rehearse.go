package install

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// rehearse has sshd test a copy of the whole configuration with the generation
// in it, and checks that the generation's settings win. It says whether that
// takes an Include line at the top of sshd_config.
func (in *Installer) rehearse(ctx context.Context, set Set, generation string) (include bool, err error) {
	dropIn := set.dropIn(in.path(generation)) // `current` still leads elsewhere
	config, err := os.ReadFile(in.Config)
	if err != nil {
		return false, fmt.Errorf("read configuration: %w", err)
	}
	var missing []string
	var tree *sshdconf.Tree
	for _, include = range []bool{sshdconf.HasInclude(config, in.DropIn), true} {
		over := sshdconf.Overlay{in.DropIn: dropIn, in.Config: sshdconf.WithoutInclude(config)}
		if include {
			over[in.Config] = sshdconf.WithInclude(config, in.DropIn)
		}
		var effective sshdconf.Effective
		if tree, effective, err = in.try(ctx, over); err != nil {
			return false, in.blame(ctx, err)
		}
		if missing = sshdconf.WantOf(dropIn).Missing(effective); len(missing) == 0 {
			return include, nil
		}
	}
	return false, in.overridden(tree, missing)
}

// Bare is what the configuration means without anything of the agent's.
func (in *Installer) Bare(ctx context.Context) (sshdconf.Effective, error) {
	_, effective, err := in.bare(ctx)
	return effective, err
}

func (in *Installer) bare(ctx context.Context) (*sshdconf.Tree, sshdconf.Effective, error) {
	config, err := os.ReadFile(in.Config)
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	return in.try(ctx, sshdconf.Overlay{in.DropIn: nil, in.Config: sshdconf.WithoutInclude(config)})
}

// try copies the configuration with over to a scratch directory and asks sshd.
func (in *Installer) try(ctx context.Context, over sshdconf.Overlay) (*sshdconf.Tree, sshdconf.Effective, error) {
	tree, err := sshdconf.Load(in.Config, over)
	if err != nil {
		return nil, nil, err
	}
	scratch, err := os.MkdirTemp("", "sallyport-sshd-") // mode 0700
	if err != nil {
		return nil, nil, fmt.Errorf("copy configuration: %w", err)
	}
	defer os.RemoveAll(scratch)
	copied, err := tree.Copy(scratch)
	if err != nil {
		return nil, nil, err
	}
	if err := in.Sshd.Test(ctx, copied); err != nil {
		return nil, nil, err
	}
	effective, err := in.Sshd.Effective(ctx, copied, "")
	return tree, effective, err
}

// blame tells a configuration that was broken before from one that only our
// part breaks: the admin has to mend the first.
func (in *Installer) blame(ctx context.Context, err error) error {
	if _, bare := in.Bare(ctx); bare != nil {
		return fault.New(fault.Invalid, fault.ConfigInvalid, "sshd's configuration is broken by itself: %s", fault.Of(bare).Text).
			Then("mend it (sshd -t), then try again").Because(bare)
	}
	return err
}

// overridden names the lines that win over the drop-in.
func (in *Installer) overridden(tree *sshdconf.Tree, missing []string) error {
	var places []string
	for _, keyword := range missing {
		places = append(places, fmt.Sprintf("%s (%s)", keyword, in.place(tree, keyword)))
	}
	return fault.New(fault.Invalid, fault.ConfigInvalid, "sshd does not take these settings from %s: %s", in.DropIn, strings.Join(places, ", ")).
		Then("remove them there, then try again")
}
