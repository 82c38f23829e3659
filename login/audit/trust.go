package audit

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
)

// trustOptions say whose signatures count.
type trustOptions struct {
	Key     []string `help:"Verifier key of the log, in place of what this login knows." placeholder:"VKEY"`
	Witness []string `help:"Verifier key of a witness, in place of what this login knows." placeholder:"VKEY"`
	Quorum  *int     `help:"Of how many witnesses there must be cosignatures; all that are named with --witness." placeholder:"N"`
}

// known is by what a log is verified, and who said so.
type known struct {
	*audit.Trust
	keys  []string
	login bool // this login said so: the CA itself, when the person signed in
}

// find returns the keys that were given, or else those that login was told.
func (o *trustOptions) find(c *call) (known, error) {
	trust := wire.LogTrust{Keys: o.Key, Witnesses: o.Witness}
	byLogin := len(o.Key) == 0
	if byLogin {
		said, err := c.told()
		if err != nil {
			return known{}, err
		}
		if len(o.Witness) > 0 {
			said.Witnesses, said.Quorum = o.Witness, 0
		}
		trust = said
	}
	switch {
	case o.Quorum != nil:
		trust.Quorum = *o.Quorum
	case len(o.Witness) > 0:
		trust.Quorum = len(o.Witness)
	}
	t, err := audit.NewTrust(trust.Keys, trust.Witnesses, trust.Quorum)
	if err != nil {
		return known{}, fault.New(fault.Invalid, fault.BadRequest, "%v", err)
	}
	return known{t, trust.Keys, byLogin}, nil
}

// told is what discovery said of the log when the person signed in last.
func (c *call) told() (wire.LogTrust, error) {
	dir, err := home.Find(c.env.Getenv)
	if err != nil {
		return wire.LogTrust{}, err
	}
	state, err := dir.LoadState()
	if err != nil && !errors.Is(err, home.ErrNotLoggedIn) {
		return wire.LogTrust{}, err
	}
	if err != nil || len(state.Discovery.Log.Keys) == 0 {
		return wire.LogTrust{}, fault.New(fault.Invalid, fault.BadRequest, "no key of the log is known on this machine").
			Then("say --key VKEY; the log's operators publish it, and on the CA `sallyport ca keys` prints it")
	}
	return state.Discovery.Log, nil
}

// by says whose keys they were.
func (k known) by() string {
	where := "the key that was given"
	if k.login {
		where = "the key that this login knows"
	}
	if len(k.keys) > 1 {
		where = strings.Replace(where, "the key", "the keys", 1)
	}
	return where + ": " + strings.Join(k.keys, ", ")
}

// readNote reads a file that should be a signed checkpoint.
func readNote(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxFile {
		return nil, fault.New(fault.Invalid, fault.TooLarge, "%s is no checkpoint or proof: it has %d bytes", path, info.Size())
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.New(fault.Missing, fault.NotFound, "there is nothing at %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

// maxFile bounds a file with a proof, in bytes: a leaf, its hashes and a note.
const maxFile = 256 << 10
