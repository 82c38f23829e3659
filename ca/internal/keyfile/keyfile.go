// Package keyfile keeps private keys in files, encrypted at rest under one
// passphrase, and beside each a .pub that anybody may read.
//
// The folder holds
//
//	data.age        an age identity, the data key, under the passphrase (scrypt)
//	<name>.age      a private key, PKCS #8 in PEM, encrypted to the data key
//	<name>.pub      its public key, and those still or already trusted beside it
//	door.age        the parts' door's TLS key and certificate, under the passphrase
//
// scrypt is run once per process and not once per key. The door's key does not
// hang on the data key: the CA loads it, and in production the CA's user cannot
// read data.age, so that what it can read never leads to a CA key.
//
// # Promises
//
// A file is written whole and synced, or not at all; nothing is ever written
// over. A file that was changed does not decrypt. A passphrase is never in an
// error or a log. What this does not do: keep a key from whoever may read both
// the folder and the passphrase. Their owners and modes are what keeps them apart.
package keyfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

const (
	dataFile = "data.age"
	// workFactor is scrypt's log2 N: 128 MiB and about 0.4 s. It is OWASP's
	// floor for a passphrase that a person chose.
	workFactor = 17
	// maxFile bounds what is read of any file here, in bytes.
	maxFile = 64 << 10
)

// Folder is a folder of keys that the passphrase has opened. The zero Folder
// opens and writes nothing.
type Folder struct {
	dir  string
	data *age.X25519Identity
}

// Create makes a folder (mode 0700) with a new data key. It refuses, with kind
// Conflict, where a file of a key folder stands already.
func Create(dir string, pass Passphrase) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make key folder: %w", err)
	}
	for _, pattern := range []string{"*.age", "*.pub"} {
		old, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, fmt.Errorf("look into key folder: %w", err)
		}
		if len(old) > 0 {
			return nil, fault.New(fault.Conflict, fault.ConfigInvalid,
				"%s holds keys already, and keys are never written over", dir).
				Then("choose an empty folder")
		}
	}
	data, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make data key: %w", err)
	}
	if err := writeUnderPassphrase(filepath.Join(dir, dataFile), pass, []byte(data.String())); err != nil {
		return nil, err
	}
	return &Folder{dir, data}, nil
}

// Open opens a folder that Create made. A wrong passphrase is a fault with
// reason config_invalid.
func Open(dir string, pass Passphrase) (*Folder, error) {
	text, err := readUnderPassphrase(filepath.Join(dir, dataFile), pass)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	data, err := age.ParseX25519Identity(string(text))
	if err != nil {
		return nil, fmt.Errorf("read data key: %w", err)
	}
	return &Folder{dir, data}, nil
}

// Write stores key as name.age and public, its lines of authorized_keys form,
// as name.pub.
func (f *Folder) Write(name string, key crypto.Signer, public []byte) error {
	if f == nil || f.data == nil {
		return errors.New("the key folder is not open")
	}
	text, err := encodeKey(key)
	if err != nil {
		return fmt.Errorf("write key %s: %w", name, err)
	}
	defer clear(text)
	if err := write(filepath.Join(f.dir, name+".age"), f.data.Recipient(), text); err != nil {
		return err
	}
	return writeFile(filepath.Join(f.dir, name+".pub"), public, 0o644)
}

// Read returns the private key name.
func (f *Folder) Read(name string) (crypto.Signer, error) {
	if f == nil || f.data == nil {
		return nil, errors.New("the key folder is not open")
	}
	text, err := read(filepath.Join(f.dir, name+".age"), f.data)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	key, err := decodeKey(text)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", name, err)
	}
	return key, nil
}

// Public returns the content of name.pub; it needs no passphrase.
func Public(dir, name string) ([]byte, error) {
	return readFile(filepath.Join(dir, name+".pub"))
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func decodeKey(text []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it is not one PEM private key")
	}
	defer clear(block.Bytes)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	}
	return nil, fmt.Errorf("a %T is not used here", key)
}

func writeUnderPassphrase(path string, pass Passphrase, text []byte) error {
	if err := pass.check(); err != nil {
		return err
	}
	to, err := age.NewScryptRecipient(string(pass))
	if err != nil {
		return fmt.Errorf("encrypt %s: %w", path, err)
	}
	to.SetWorkFactor(workFactor)
	return write(path, to, text)
}

func readUnderPassphrase(path string, pass Passphrase) ([]byte, error) {
	if err := pass.check(); err != nil {
		return nil, err
	}
	by, err := age.NewScryptIdentity(string(pass))
	if err != nil {
		return nil, fmt.Errorf("decrypt %s: %w", path, err)
	}
	// A header that asks for more would take our memory before it is known to
	// be ours.
	by.SetMaxWorkFactor(workFactor + 1)
	text, err := read(path, by)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "the passphrase does not open %s", path).Because(err)
	}
	return text, err
}

func write(path string, to age.Recipient, text []byte) error {
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err == nil {
		if _, err = w.Write(text); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("encrypt %s: %w", path, err)
	}
	return writeFile(path, sealed.Bytes(), 0o600)
}

func read(path string, by age.Identity) ([]byte, error) {
	sealed, err := readFile(path)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), by)
	if err != nil {
		return nil, fmt.Errorf("decrypt %s: %w", path, err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("decrypt %s: %w", path, err)
	}
	return text, nil
}

// writeFile writes a new file through a temporary one, so that a crash leaves
// either none or all of it. Link, unlike rename, never replaces.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Link(tmp.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Missing, fault.ConfigInvalid, "%s is not there", path).
			Then("run: sallyport ca init").Because(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read %s: it is larger than %d bytes", path, maxFile)
	}
	return data, nil
}
