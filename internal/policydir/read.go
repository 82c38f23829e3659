package policydir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// maxTotal bounds what a folder may cost before policy.Load judges it, in bytes.
const maxTotal = 8 << 20

// Read returns the text of the policy files at path: the file itself, or, of a
// folder, every file directly in it whose name ends in .yaml or .yml and does
// not begin with a dot. Names are without the folder. One file that cannot be
// read is an error for all: it could be the one that denies. Errors are
// *fault.Error of kind Invalid with reason policy_invalid.
func Read(path string) (map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.IsDir() {
		text, err := readFile(path)
		if err != nil {
			return nil, err
		}
		return map[string]string{filepath.Base(path): text}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	files, total := map[string]string{}, 0
	for _, entry := range entries {
		if !isPolicy(entry.Name()) {
			continue
		}
		text, err := readFile(filepath.Join(path, entry.Name()))
		if err != nil {
			return nil, err
		}
		files[entry.Name()] = text
		if total += len(text); total > maxTotal {
			return nil, fault.New(fault.Invalid, fault.PolicyInvalid, "the policy files in %s are more than %d MiB", path, maxTotal>>20)
		}
	}
	if len(files) == 0 {
		return nil, fault.New(fault.Invalid, fault.PolicyInvalid, "no file in %s ends in .yaml or .yml", path)
	}
	return files, nil
}

func isPolicy(name string) bool {
	ext := filepath.Ext(name)
	return (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(name, ".")
}

func readFile(path string) (string, error) {
	// Not os.Open first: opening a pipe waits for its other end.
	info, err := os.Stat(path)
	if err != nil {
		return "", unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return "", fault.New(fault.Invalid, fault.PolicyInvalid, "%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", unreadable(path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, config.MaxBytes+1))
	if err != nil {
		return "", unreadable(path, err)
	}
	if len(text) > config.MaxBytes {
		return "", fault.New(fault.Invalid, fault.PolicyInvalid, "%s is more than %d KiB", path, config.MaxBytes>>10)
	}
	return string(text), nil
}

func unreadable(path string, err error) *fault.Error {
	why := "cannot be read"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "does not exist"
	case errors.Is(err, fs.ErrPermission):
		why = "may not be read by this user"
	}
	return fault.New(fault.Invalid, fault.PolicyInvalid, "%s %s", path, why).Because(err)
}
