package ca

import (
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// example is a configuration to start from; a test reads it.
//
//go:embed example.yaml
var example []byte

func writeExample(env cli.Env, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, fault.ConfigInvalid, "%s exists already, and is not written over", path)
	}
	if err != nil {
		return fmt.Errorf("write example: %w", err)
	}
	_, err = f.Write(example)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write example: %w", err)
	}
	fmt.Fprintf(env.Stdout, "Wrote %s. Say your issuer in it, then run:\n  sallyport ca init --config %[1]s\n  sallyport ca run --config %[1]s\n", path)
	return nil
}

// randomText has 130 random bits.
func randomText() string { return rand.Text() }
