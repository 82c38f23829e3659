package config

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// maxSecret is more than any passphrase, key or token needs.
const maxSecret = 64 << 10

// ReadSecret reads the secret in the file at path and takes off one newline at
// its end. It refuses a file that its group or others may read, write or
// execute, an empty one, one of more than 64 KiB, and what is no regular file.
//
// Files in the directory that systemd made for this service
// ($CREDENTIALS_DIRECTORY) are taken with any mode: nobody else enters that
// directory, and systemd's access list shows as a group's permission there.
//
// The secret stands in no error.
func ReadSecret(path string) ([]byte, error) {
	if path == "" {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "no path to a secret file is given")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	info, err := f.Stat() // of the open file: the path may be another file by now
	if err != nil {
		return nil, unreadable(path, err)
	}
	if err := checkSecret(path, info); err != nil {
		return nil, err
	}
	secret, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	if len(secret) > maxSecret {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "%s is too large for a secret", path)
	}
	if trimmed, ok := bytes.CutSuffix(secret, []byte("\n")); ok {
		secret = bytes.TrimSuffix(trimmed, []byte("\r"))
	}
	if len(secret) == 0 {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "%s is empty; a secret is expected", path)
	}
	return secret, nil
}

func checkSecret(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fault.New(fault.Invalid, fault.ConfigInvalid, "%s is no regular file", path).
			Because(errors.New(info.Mode().String()))
	}
	mode := info.Mode().Perm()
	if mode&0o077 == 0 || runtime.GOOS == "windows" || isCredential(path) { // Windows has no such bits
		return nil
	}
	return fault.New(fault.Invalid, fault.ConfigInvalid,
		"%s holds a secret, and others than its owner may use it (mode %04o)", path, mode).
		Then("run: chmod 600 %s", path)
}

func isCredential(path string) bool {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	return dir != "" && filepath.Dir(filepath.Clean(path)) == filepath.Clean(dir)
}
