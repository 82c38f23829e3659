// Package home is the directory ~/.ssh/sallyport: what the person's side keeps on
// disk, and the only package that writes there.
//
// # Promises
//
// The directory is 0700 and every file in it 0600. A file is replaced whole or
// not at all (temporary file, fsync, rename), so that an ssh which starts in
// between reads the old one or the new one. Whoever changes more than one file
// holds the lock. No file but the login key and, where there is no keyring, the
// refresh token is a secret.
package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// File is a file of ours by its name.
type File string

const (
	Key         File = "id_ed25519"          // OpenSSH's own form, without a passphrase
	PublicKey   File = "id_ed25519.pub"      // its public half
	Certificate File = "id_ed25519-cert.pub" // the login certificate, whatever the key is called
	SecurityKey File = "id_ed25519_sk"       // a security key's handle, if we had it made
	KnownHosts  File = "known_hosts"         // host CA keys
	Config      File = "config"              // what ~/.ssh/config includes
	stateFile   File = "state.json"
	refreshFile File = "refresh_token" // where there is no keyring
	lockFile    File = "lock"
)

// Dir is the directory. Make it with Find; the zero Dir has no files.
type Dir struct {
	home   string              // the person's home directory, absolute
	ssh    bool                // whether ssh itself means home by ~
	getenv func(string) string // to find the keyring
}

// Find locates the directory below HOME (USERPROFILE on Windows). It creates
// nothing.
func Find(getenv func(string) string) (Dir, error) {
	name := "HOME"
	if runtime.GOOS == "windows" {
		name = "USERPROFILE"
	}
	home := getenv(name)
	if home == "" || !filepath.IsAbs(home) {
		return Dir{}, fault.New(fault.Invalid, fault.ConfigInvalid, "%s does not say where your home directory is", name)
	}
	// ssh takes the home directory from the account database and not from HOME.
	// They differ under `sudo -E` and in tests; then the Include line has to
	// spell the path out.
	account, err := user.Current()
	same := err == nil && filepath.Clean(account.HomeDir) == filepath.Clean(home)
	return Dir{home: filepath.Clean(home), ssh: same, getenv: getenv}, nil
}

// Path is where f stands.
func (d Dir) Path(f File) string { return filepath.Join(d.home, ".ssh", "sallyport", string(f)) }

// UserConfig is the person's own ssh_config.
func (d Dir) UserConfig() string { return filepath.Join(d.home, ".ssh", "config") }

// Include is the path of Config as it stands in UserConfig: with a ~ where ssh
// and we mean the same home, so that the file can travel with its owner.
func (d Dir) Include() string {
	if d.ssh {
		return d.Show(d.Path(Config))
	}
	return filepath.ToSlash(d.Path(Config))
}

// Show is path as people write it.
func (d Dir) Show(path string) string {
	if rest, ok := strings.CutPrefix(path, d.home+string(filepath.Separator)); ok && d.home != "" {
		return "~/" + filepath.ToSlash(rest)
	}
	return path
}

// Make creates the directory, and ~/.ssh as ssh would.
func (d Dir) Make() error {
	if d.home == "" {
		return errors.New("make ~/.ssh/sallyport: no home directory")
	}
	dir := filepath.Dir(d.Path(Key))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.New(fault.Internal, fault.InternalError, "%s cannot be made", d.Show(dir)).Because(err)
	}
	// Somebody may have made it before, wider.
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	return nil
}

// Read returns the content of f; a file that is not there is fs.ErrNotExist.
func (d Dir) Read(f File) ([]byte, error) { return os.ReadFile(d.Path(f)) }

// Write replaces f.
func (d Dir) Write(f File, data []byte) error { return Replace(d.Path(f), data, 0o600) }

// Remove removes f; that it is not there is no error.
func (d Dir) Remove(f File) error {
	if err := os.Remove(d.Path(f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", f, err)
	}
	return nil
}

// Clear removes every file of ours and the directory, unless something of the
// person's stands in it. The lock goes last; its holder keeps it until Unlock.
func (d Dir) Clear() error {
	d.sweep()
	var errs []error
	for _, f := range []File{Key, PublicKey, Certificate, SecurityKey, SecurityKey + ".pub", KnownHosts, Config, stateFile, refreshFile, lockFile} {
		errs = append(errs, d.Remove(f))
	}
	dir := filepath.Dir(d.Path(Key))
	left, err := os.ReadDir(dir)
	if err == nil && len(left) == 0 {
		err = os.Remove(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(append(errs, err)...)
}

// temporary is in the name of a file that is not yet, or not ever, renamed.
const temporary = ".sallyport-tmp-"

// sweep removes what a crash between writing and renaming left: it may be a key.
// The caller holds the lock, and so nobody else is writing.
func (d Dir) sweep() {
	left, _ := filepath.Glob(d.Path(".*" + temporary + "*"))
	for _, path := range left {
		os.Remove(path)
	}
}

// Replace writes data to path as a whole: after a crash the file is the old one
// or the new one.
func Replace(path string, data []byte, mode fs.FileMode) error {
	dir, name := filepath.Split(path)
	f, err := os.CreateTemp(dir, "."+name+temporary+"*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
