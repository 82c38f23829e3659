// Package outfile writes the files that a person asks for with -o. A file is there
// whole or not at all: whatever stops in the middle, a disk that is full, a CA that
// goes away or Ctrl-C, leaves what was there before and nothing half-written.
package outfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Stdout is the path that means standard output.
const Stdout = "-"

// Write calls write for the file at path, or for stdout where path is Stdout.
// The file is the person's alone: what was typed in a session is nobody else's to
// read.
func Write(path string, stdout io.Writer, write func(io.Writer) error) error {
	if path == Stdout {
		return write(stdout)
	}
	// A device or a pipe is written where it stands.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		return errors.Join(write(f), f.Close())
	}
	dir, name := filepath.Split(path)
	f, err := os.CreateTemp(dir, "."+name+".part-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err = write(f); err != nil {
		f.Close()
		os.Remove(f.Name())
		return err
	}
	if err = errors.Join(f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
