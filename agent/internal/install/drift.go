package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/krl"
)

// Source returns what the set in force was made from, nil when there is none.
func (in *Installer) Source() ([]byte, error) {
	data, err := os.ReadFile(in.path(currentLink, sourceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what is installed: %w", err)
	}
	return data, nil
}

// Settled says whether what is in force was seen to work, and no installation is
// under way.
func (in *Installer) Settled() bool {
	now, err := in.look()
	return err == nil && now.good
}

// Has says whether set is in force.
func (in *Installer) Has(set Set) bool {
	now, err := in.look()
	if err != nil || !now.good || !now.hooked {
		return false
	}
	for _, f := range set.files(in.path(currentLink)) {
		data, err := os.ReadFile(in.path(currentLink, f.name))
		if err != nil || !bytes.Equal(data, f.data) {
			return false
		}
	}
	return true
}

// Watched are the directories in which a change may be drift.
func (in *Installer) Watched() []string {
	dirs := []string{in.Dir, filepath.Dir(in.DropIn), filepath.Dir(in.Config)}
	if generation, err := os.Readlink(in.path(currentLink)); err == nil {
		dirs = append(dirs, in.path(generation))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// Drift says, a line each, where what is there differs from what was installed:
// files that somebody edited or removed, and lines of sshd_config that win over
// the drop-in now.
func (in *Installer) Drift(ctx context.Context) ([]string, error) {
	now, err := in.look()
	if err != nil {
		return nil, err
	}
	if now.generation == "" {
		return []string{in.path(currentLink) + " is gone: nothing is installed"}, nil
	}
	drift := in.changed()
	switch {
	case now.hooked:
	case now.foreign != nil:
		drift = append(drift, in.DropIn+" was replaced")
	default:
		drift = append(drift, in.DropIn+" is gone")
	}
	tree, err := sshdconf.Load(in.Config, nil)
	if err != nil {
		return nil, err
	}
	if now.hooked && !tree.Includes(in.DropIn) {
		return append(drift, in.Config+" no longer includes "+in.DropIn), nil
	}
	if !now.hooked {
		return drift, nil
	}
	lost, err := in.lost(ctx, tree)
	return append(drift, lost...), err
}

// Broken says whether sshd reads something of ours that makes it refuse every
// key, or refuse to start: a KRL that is gone or damaged, a drop-in that leads
// nowhere. What only differs is not broken.
func (in *Installer) Broken() bool {
	now, err := in.look()
	if err != nil || !now.hooked && !in.derived(now.foreign) {
		return false
	}
	if _, err := os.Stat(in.DropIn); err != nil {
		return true
	}
	list, err := os.ReadFile(in.path(currentLink, sshdconf.KRLFile))
	if err != nil {
		return true
	}
	_, err = krl.Parse(list)
	return err != nil
}

// changed compares the generation with its manifest.
func (in *Installer) changed() (drift []string) {
	manifest, err := os.ReadFile(in.path(currentLink, manifestFile))
	if err != nil {
		return []string{in.path(currentLink, manifestFile) + " is gone"}
	}
	for line := range strings.Lines(string(manifest)) {
		want, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || name != strings.ReplaceAll(name, "/", "") {
			return append(drift, in.path(currentLink, manifestFile)+" was edited")
		}
		path := in.path(currentLink, name)
		data, err := os.ReadFile(path)
		switch sum := sha256.Sum256(data); {
		case errors.Is(err, fs.ErrNotExist):
			drift = append(drift, path+" is gone")
		case err != nil:
			drift = append(drift, path+" cannot be read")
		case hex.EncodeToString(sum[:]) != want:
			drift = append(drift, path+" was edited")
		}
	}
	return drift
}

// lost are the drop-in's settings that are not in effect.
func (in *Installer) lost(ctx context.Context, tree *sshdconf.Tree) ([]string, error) {
	dropIn, err := os.ReadFile(in.DropIn)
	if err != nil {
		return nil, fmt.Errorf("read drop-in: %w", err)
	}
	effective, err := in.Sshd.Effective(ctx, in.Config, "")
	if err != nil {
		return []string{"sshd refuses its own configuration: " + in.Config}, nil
	}
	var drift []string
	for _, keyword := range sshdconf.WantOf(dropIn).Missing(effective) {
		drift = append(drift, keyword+" is set elsewhere: "+in.place(tree, keyword))
	}
	return drift, nil
}

// place is the first line outside of our drop-in that sets keyword for all.
func (in *Installer) place(tree *sshdconf.Tree, keyword string) string {
	for _, s := range tree.Settings() {
		if s.Keyword == keyword && s.Match == "" && s.File != in.DropIn {
			return s.Place()
		}
	}
	return "unknown"
}

// Exceptions are the lines in Match blocks that set, for some connections,
// something else than the drop-in does. They are the admin's to make; people
// should know of them, above all in strict mode.
func (in *Installer) Exceptions() ([]string, error) {
	dropIn, err := os.ReadFile(in.DropIn)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read drop-in: %w", err)
	}
	tree, err := sshdconf.Load(in.Config, nil)
	if err != nil {
		return nil, err
	}
	ours := sshdconf.WantOf(dropIn)
	var all []string
	for _, s := range tree.Settings() {
		if s.Match != "" && ours[s.Keyword] != nil && !same(ours[s.Keyword], strings.Join(s.Args, " ")) {
			all = append(all, fmt.Sprintf("%s makes an exception for Match %s: %s", s.Place(), s.Match, strings.Join(append([]string{s.Keyword}, s.Args...), " ")))
		}
	}
	return all, nil
}

func same(values []string, value string) bool {
	return len(values) == 1 && strings.EqualFold(values[0], value)
}
