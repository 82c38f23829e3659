package recordings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sallyport-ssh/sallyport/internal/bundle"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
)

type trustCommand struct{}

// Run prints the keys of the house where the person is logged in.
func (*trustCommand) Run(c *call) error {
	keys, house, err := c.loginTrust()
	if err != nil {
		return err
	}
	text, err := keys.Render("Public keys of " + house + ", as this login knows them. For: sallyport recording verify --trust FILE")
	if err != nil {
		return err
	}
	_, err = c.env.Stdout.Write(text)
	return err
}

// loginTrust is what login learned of the house, without asking anybody.
func (c *call) loginTrust() (keys bundle.Trust, house string, err error) {
	dir, err := home.Find(c.env.Getenv)
	if err != nil {
		return keys, "", err
	}
	s, err := dir.LoadState()
	if err != nil {
		return keys, "", err
	}
	return bundle.NewTrust(s.Discovery.Trust, s.Discovery.Log), s.URL, nil
}

// origin says where the keys came from by which something was checked.
type origin string

const (
	fromFile   origin = "file"   // --trust
	fromLogin  origin = "login"  // this machine's login
	fromBundle origin = "bundle" // they came along, and the person said that they compared them
	fromNobody origin = "nobody" // they came along
)

// trusted says whether what holds by these keys may be called verified.
func (o origin) trusted() bool { return o == fromFile || o == fromLogin || o == fromBundle }

// trustOptions choose the keys by which something is checked.
type trustOptions struct {
	Trust       string `help:"Check with the public keys in this file, which did not come with the evidence." placeholder:"FILE" xor:"trust"`
	TrustBundle bool   `help:"Check with the keys in the bundle: you have compared their fingerprints." xor:"trust"`
}

// choose returns the keys by which to check what came with the keys in along,
// nil where none did.
func (o *trustOptions) choose(c *call, along *bundle.Trust) (bundle.Trust, origin, error) {
	switch {
	case o.Trust != "":
		text, err := os.ReadFile(o.Trust)
		if errors.Is(err, fs.ErrNotExist) {
			return bundle.Trust{}, "", fault.New(fault.Missing, fault.NotFound, "there are no keys at %s", o.Trust).Then("run, where somebody is logged in: sallyport recording trust > trust.json")
		}
		if err != nil {
			return bundle.Trust{}, "", fmt.Errorf("read keys: %w", err)
		}
		keys, err := bundle.ParseTrust(text)
		if err != nil {
			return bundle.Trust{}, "", fault.New(fault.Invalid, fault.ConfigInvalid, "%s: %v", o.Trust, err)
		}
		return keys, fromFile, nil
	case o.TrustBundle && along != nil:
		return *along, fromBundle, nil
	case o.TrustBundle:
		return bundle.Trust{}, "", fault.New(fault.Invalid, fault.BadRequest, "--trust-bundle is for bundles: a bare recording brings no keys").Then("use --trust FILE")
	}
	// Somebody's login is a reason to trust; that there is none is no error.
	if keys, _, err := c.loginTrust(); err == nil {
		return keys, fromLogin, nil
	}
	if along != nil {
		return *along, fromNobody, nil
	}
	return bundle.Trust{}, "", fault.New(fault.Missing, fault.NotFound, "there are no keys to check a bare recording with").
		Then("use --trust FILE; sallyport recording trust writes it, where somebody is logged in")
}
