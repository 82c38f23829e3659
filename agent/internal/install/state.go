package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
)

const currentLink = "current"

// state is what is in force.
type state struct {
	generation   string // "" for none
	good         bool
	hooked       bool               // the drop-in's link is ours and leads here
	foreign      []byte             // what stands in the drop-in's place instead, nil for nothing
	included     bool               // by our line in sshd_config
	certificates []*ssh.Certificate // that sshd shows then, if it is hooked
}

func (in *Installer) path(elem ...string) string {
	return filepath.Join(append([]string{in.Dir}, elem...)...)
}

// dropInTarget is what the drop-in's link says.
func (in *Installer) dropInTarget() string { return in.path(currentLink, dropInFile) }

func (in *Installer) look() (state, error) {
	var s state
	target, err := os.Readlink(in.path(currentLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("look at what is installed: %w", err)
	}
	if number(target) > 0 {
		s.generation = target
		_, err := os.Stat(in.path(target, goodFile))
		s.good = err == nil
	}
	if link, err := os.Readlink(in.DropIn); err == nil && link == in.dropInTarget() {
		s.hooked = true
		s.certificates = in.readCertificates(s.generation)
	} else if s.foreign, err = os.ReadFile(in.DropIn); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("look at what is installed: %w", err)
	}
	config, err := os.ReadFile(in.Config)
	if err != nil {
		return s, fmt.Errorf("read configuration: %w", err)
	}
	s.included = sshdconf.HasInclude(config, in.DropIn)
	return s, nil
}

// readCertificates returns the host certificates of a generation. What cannot
// be read is left out: sshd cannot show it, either.
func (in *Installer) readCertificates(generation string) (all []*ssh.Certificate) {
	paths, _ := filepath.Glob(in.path(generation, "*-cert.pub")) // the pattern is good
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(line)
		if c, ok := key.(*ssh.Certificate); ok && err == nil {
			all = append(all, c)
		}
	}
	return all
}

// number of a generation "g7", 0 for any other name.
func number(s string) int {
	digits, ok := strings.CutPrefix(s, "g")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n <= 0 || name(n) != s {
		return 0
	}
	return n
}

func name(n int) string { return "g" + strconv.Itoa(n) }

// generations on disk, by number.
func (in *Installer) generations() (map[int]bool, error) {
	entries, err := os.ReadDir(in.Dir)
	if err != nil {
		return nil, fmt.Errorf("look at what is installed: %w", err)
	}
	found := map[int]bool{}
	for _, e := range entries {
		if n := number(e.Name()); n > 0 {
			_, err := os.Stat(in.path(e.Name(), goodFile))
			found[n] = err == nil
		}
	}
	return found, nil
}

// write makes a generation. Until its last file is durable nothing refers to it.
func (in *Installer) write(set Set) (string, error) {
	have, err := in.generations()
	if err != nil {
		return "", err
	}
	newest := 0
	for n := range have {
		newest = max(newest, n)
	}
	next := name(newest + 1)
	err = in.Disk.Mkdir(in.path(next))
	for _, f := range set.files(in.path(currentLink)) {
		mode := fs.FileMode(0o644)
		if f.name == sourceFile {
			mode = 0o600
		}
		if err == nil {
			err = in.Disk.Write(in.path(next, f.name), f.data, mode)
		}
	}
	if err != nil {
		in.remove(next)
		return "", err
	}
	return next, nil
}

// hook makes sshd read the drop-in.
func (in *Installer) hook(include bool) error {
	if link, err := os.Readlink(in.DropIn); err != nil || link != in.dropInTarget() {
		if err := in.Disk.Mkdir(filepath.Dir(in.DropIn)); err != nil {
			return err
		}
		if err := in.Disk.Link(in.dropInTarget(), in.DropIn); err != nil {
			return err
		}
	}
	return in.include(include)
}

// editedSuffix is put on the name of a drop-in that somebody made of ours, when
// it is taken out of sshd's sight.
const editedSuffix = ".edited"

// unhook makes sshd read the drop-in no longer. A file in its place that leads
// to our files goes, too: without them sshd would refuse every key.
func (in *Installer) unhook() error {
	if err := in.include(false); err != nil {
		return err
	}
	s, err := in.look()
	if err != nil || !s.hooked && !in.derived(s.foreign) {
		return err // nothing, or not ours to remove
	}
	if s.foreign != nil {
		if err := in.Disk.Write(in.DropIn+editedSuffix, s.foreign, 0o644); err != nil {
			return err
		}
	}
	return in.Disk.Remove(in.DropIn)
}

// derived says whether a file in the drop-in's place was made of ours.
func (in *Installer) derived(foreign []byte) bool {
	return bytes.Contains(foreign, []byte(in.Dir+"/"))
}

// include puts our line into sshd_config, or takes it out.
func (in *Installer) include(want bool) error {
	config, err := os.ReadFile(in.Config)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	changed := sshdconf.WithoutInclude(config)
	if want {
		changed = sshdconf.WithInclude(config, in.DropIn)
	}
	if bytes.Equal(changed, config) {
		return nil
	}
	info, err := os.Stat(in.Config)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	return in.Disk.Write(in.Config, changed, info.Mode().Perm())
}

// restore makes the links and the line as they were in s.
func (in *Installer) restore(s state) error {
	if !s.hooked {
		if err := in.unhook(); err != nil { // before what it leads to goes
			return err
		}
	}
	if s.foreign != nil {
		if err := in.Disk.Write(in.DropIn, s.foreign, 0o644); err != nil {
			return err
		}
	}
	if s.generation == "" {
		return in.Disk.Remove(in.path(currentLink))
	}
	if err := in.Disk.Link(s.generation, in.path(currentLink)); err != nil {
		return err
	}
	if s.hooked {
		return in.hook(s.included)
	}
	return nil
}

// needsReload says whether sshd has to be told: keys and KRL it reads at each
// login, everything else when it is told.
func (in *Installer) needsReload(before state, next string, include bool) bool {
	if !before.good || !before.hooked || before.included != include {
		return true
	}
	names := func(generation string) string {
		data, err := os.ReadFile(in.path(generation, manifestFile))
		if err != nil {
			return generation // unlike any other
		}
		var kept []string
		for line := range strings.Lines(string(data)) {
			_, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
			if name != sshdconf.TrustFile && name != sshdconf.KRLFile && name != sourceFile {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	return names(before.generation) != names(next)
}
