package sshconf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
)

// InstallFile puts the Include into dir's UserConfig and says whether it had to.
// A symbolic link is followed and stays. An error says how to do it by hand.
func InstallFile(dir home.Dir) (added bool, err error) {
	return change(dir, func(content []byte, made bool) ([]byte, bool) {
		return Install(content, dir.Include(), made), false
	}, "put this line at the top of it: Include "+word(dir.Include()))
}

// UninstallFile takes the Include out again, and the file if we had made it and
// nothing else is in it.
func UninstallFile(dir home.Dir) error {
	_, err := change(dir, func(content []byte, _ bool) ([]byte, bool) {
		rest, made := Uninstall(content)
		return rest, made && len(rest) == 0
	}, "remove this line from it: Include "+word(dir.Include()))
	return err
}

// change rewrites the file by edit, which is told whether there is none yet and
// answers with the new content, or with true for no file.
func change(dir home.Dir, edit func(content []byte, made bool) ([]byte, bool), byHand string) (changed bool, err error) {
	path := dir.UserConfig()
	refuse := func(why string, err error) error {
		return fault.New(fault.Invalid, fault.ConfigInvalid, "%s was left as it is: %s", dir.Show(path), why).Then("%s", byHand).Because(err)
	}
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err == nil {
			return false, refuse("it is a link to nowhere", err)
		}
		content, none := edit(nil, true)
		if none || len(content) == 0 {
			return false, nil
		}
		if err := home.Replace(path, content, 0o600); err != nil {
			return false, refuse("it cannot be made", err)
		}
		return true, nil
	}
	if err != nil {
		return false, refuse("it cannot be found", err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return false, refuse("it cannot be read", err)
	}
	content, err := os.ReadFile(target)
	if err != nil {
		return false, refuse("it cannot be read", err)
	}
	now, none := edit(content, false)
	switch {
	case !none && string(now) == string(content):
		return false, nil
	case info.Mode().Perm()&0o200 == 0:
		return false, refuse("it is read-only", nil)
	case !ownedByUs(info):
		return false, refuse("it belongs to somebody else", nil)
	case none:
		err = os.Remove(path)
	default:
		err = home.Replace(target, now, info.Mode().Perm())
	}
	if err != nil {
		return false, refuse("it cannot be written", fmt.Errorf("change ssh_config: %w", err))
	}
	return true, nil
}
