package keyfile

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Credential is the name of the systemd credential (systemd.exec(5),
// LoadCredential=) that holds the passphrase.
const Credential = "sallyport-passphrase"

// minPassphrase is a floor against accidents (an empty mount, a placeholder),
// not a measure of strength.
const minPassphrase = 12

// Passphrase opens a key folder. It comes from a file, never from argv or the
// environment, and it does not print.
type Passphrase []byte

func (Passphrase) String() string   { return "(passphrase)" }
func (Passphrase) GoString() string { return "(passphrase)" }

// MarshalText keeps a passphrase out of JSON and of slog.
func (Passphrase) MarshalText() ([]byte, error) { return []byte("(passphrase)"), nil }

func (p Passphrase) check() error {
	if len(p) < minPassphrase {
		return fault.New(fault.Invalid, fault.ConfigInvalid,
			"the passphrase has less than %d bytes", minPassphrase)
	}
	return nil
}

// PassphraseFile is the file that holds the passphrase: path, or, where path is
// empty, systemd's credential. It is "" where there is neither.
func PassphraseFile(path string, getenv func(string) string) string {
	if path == "" {
		if dir := getenv("CREDENTIALS_DIRECTORY"); dir != "" {
			return filepath.Join(dir, Credential)
		}
	}
	return path
}

// ReadPassphrase reads the passphrase from the file at path (PassphraseFile
// finds it), without the newline at its end.
func ReadPassphrase(path string) (Passphrase, error) {
	if path == "" {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "no passphrase file is configured").
			Then("name a file, or give systemd's credential %s", Credential)
	}
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	p := Passphrase(bytes.TrimRight(text, "\r\n"))
	if bytes.ContainsAny(p, "\r\n\x00") {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "passphrase file %s has more than one line", path)
	}
	return p, p.check()
}
