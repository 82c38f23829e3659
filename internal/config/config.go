// Package config reads what admins write: the configuration file of a part and
// the files of a policy. It is YAML, read without any of YAML's surprises.
//
// # Promises
//
// What is not understood completely is refused, with file, line, column, the
// lines around it and a caret: an unknown or doubled key, a value of another
// type than the field's (a number where text is expected is not turned into
// text), a key without a value, a second document where one is expected.
// Anchors, aliases, merge keys, tags and directives are refused as well: a file
// that decides about access must say what it means where it says it, and an
// alias bomb has nothing to go off with.
//
// Size, number of documents, number of tokens and depth are limited before the
// parser sees anything. The parser's work is then checked: every token of the
// file has to stand in the tree that it returned.
//
// A Config is filled with its defaults by its part, then by Load, then by the
// part's flags. Values that are absent from the file keep what was there; lists
// and maps are replaced as a whole. Secrets are never values: they are paths,
// read by ReadSecret.
//
// All errors are *fault.Error of kind Invalid, reason config_invalid, whose Text
// holds the excerpt.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/goccy/go-yaml"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// MaxBytes is the size of the largest file that is read.
const MaxBytes = 1 << 20

// A Checker knows more about its value than its type says. Check is called on
// every value of the file that has it, once the value is filled; Errors point
// at the key that they name (see At). A part calls Check of its Config again
// when flags have changed it.
type Checker interface {
	Check() error
}

// Load fills cfg, a pointer to a struct that holds the defaults, from the file
// at path. An empty file leaves the defaults.
func Load(path string, cfg any) error {
	data, err := read(path)
	if err != nil {
		return err
	}
	return Decode(path, data, cfg)
}

// Decode is Load for text that is already in memory; name stands in errors.
func Decode(name string, data []byte, v any) error {
	docs, err := Documents(name, data)
	if err != nil {
		return err
	}
	if len(docs) > 1 {
		return docs[1].start().errorf("a second document begins here; this file holds one")
	}
	if len(docs) == 0 {
		return nil
	}
	return docs[0].Decode(v)
}

// Print writes the effective configuration, as `check` shows it.
func Print(w io.Writer, cfg any) error {
	text, err := yaml.MarshalWithOptions(cfg, yaml.Indent(2), yaml.IndentSequence(true))
	if err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	_, err = w.Write(text)
	return err
}

// read stops at MaxBytes, so that a path to an endless device costs nothing.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return data, nil
}

// unreadable says why in the words of the kernel, which hold no secret.
func unreadable(path string, err error) *fault.Error {
	why := "cannot be read"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "does not exist"
	case errors.Is(err, fs.ErrPermission):
		why = "may not be read by this user"
	}
	return fault.New(fault.Invalid, fault.ConfigInvalid, "%s %s", path, why).Because(err)
}
