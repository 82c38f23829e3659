package ca

import (
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport-ssh/sallyport/ca/internal/keyfile"
	"github.com/sallyport-ssh/sallyport/ca/internal/signer"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

type initCommand struct {
	configFlag
	Keys           string `help:"Folder for the keys, in place of the configuration's." placeholder:"DIR"`
	PassphraseFile string `help:"File with the passphrase, in place of the configuration's; made if it does not exist." placeholder:"FILE"`
	Origin         string `help:"Name of the audit log, in place of the configuration's." placeholder:"NAME"`
	Kind           string `help:"Kind of CA keys: ed25519 or p256." default:"ed25519" enum:"ed25519,p256"`
	Example        string `help:"Write an example configuration to FILE and make no keys." placeholder:"FILE"`
}

func (i initCommand) run(env cli.Env) error {
	if i.Example != "" {
		return writeExample(env, i.Example)
	}
	dir, file, origin := i.Keys, i.PassphraseFile, i.Origin
	if dir == "" || file == "" || origin == "" {
		c, err := i.load(env)
		if err != nil {
			return err
		}
		if dir == "" {
			dir = c.Keys.Dir
		}
		if file == "" {
			file = c.Keys.PassphraseFile
		}
		if origin == "" {
			origin = c.origin()
		}
	}
	if signer.HasAllButLogKey(dir) {
		return addLogKey(env, dir, file, origin)
	}
	if err := makePassphrase(env, file); err != nil {
		return err
	}
	pass, err := keyfile.ReadPassphrase(file)
	if err != nil {
		return err
	}
	defer clear(pass)
	keys, err := signer.Init(dir, pass, signer.KeyKind(i.Kind), origin)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "Keys are in %s, encrypted under %s. Back up both, apart from each other.\n", dir, file)
	printKeys(env.Stdout, keys)
	return nil
}

// addLogKey completes keys that were made before there was an audit log.
func addLogKey(env cli.Env, dir, file, origin string) error {
	pass, err := keyfile.ReadPassphrase(file)
	if err != nil {
		return err
	}
	defer clear(pass)
	keys, err := signer.AddLogKey(dir, pass, origin)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "Added the audit log's key to %s, beside the keys that were there. Back it up, too.\n  %s\n", dir, keys.Log)
	return nil
}

// makePassphrase writes a random passphrase where there is no file.
func makePassphrase(env cli.Env, path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // it is read next, with its own errors
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make directory of the passphrase: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make passphrase file: %w", err)
	}
	_, err = f.WriteString(rand.Text() + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("make passphrase file: %w", err)
	}
	fmt.Fprintf(env.Stdout, "Made a random passphrase in %s.\n", path)
	return nil
}

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
