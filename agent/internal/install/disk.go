package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Disk is what the procedure does to the file system. Each call has happened
// durably when it returns nil; when it returns an error it has happened or not,
// and never half.
type Disk interface {
	// Mkdir makes a directory of mode 0755, with its parents; one that is there
	// is left as it is.
	Mkdir(path string) error
	// Write puts a whole file in place of what is there.
	Write(path string, data []byte, mode fs.FileMode) error
	// Link makes path a symbolic link to target in place of what is there.
	Link(target, path string) error
	// Remove removes path and all below it; nothing there is no error.
	Remove(path string) error
}

// OS is the real file system.
type OS struct{}

func (OS) Mkdir(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// Write keeps the owner of a file that it replaces.
func (OS) Write(path string, data []byte, mode fs.FileMode) (err error) {
	tmp := temporary(path)
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode)) // whatever the umask says
	if info, statErr := os.Stat(path); statErr == nil {
		if owner := info.Sys().(*syscall.Stat_t); int(owner.Uid) != os.Geteuid() || int(owner.Gid) != os.Getegid() {
			err = errors.Join(err, f.Chown(int(owner.Uid), int(owner.Gid)))
		}
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

func (OS) Link(target, path string) error {
	tmp := temporary(path)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("link %s: %w", path, err)
	}
	if err := os.Symlink(target, tmp); err != nil {
		return fmt.Errorf("link %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("link %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

func (OS) Remove(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// temporary is where a file is prepared: beside it, because a rename works in
// one file system only, and under a name that no Include's pattern matches.
func temporary(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".sallyport-new")
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}
