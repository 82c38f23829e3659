package recordings

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sallyport-ssh/sallyport/internal/bundle"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/login/sessions"
)

type verifyCommand struct {
	Evidence []string `arg:"" name:"file" help:"Recordings (.rec), evidence bundles, or sessions, which are asked of the CA." placeholder:"FILE"`
	trustOptions
	Identity string `help:"Also open the content, with the age identity in this file." placeholder:"FILE"`
	JSON     bool   `name:"json" help:"Print JSON."`
}

// errUnverified ends a command that has said why.
var errUnverified = &cli.Exit{Status: 1, Silent: true}

// result is what was found about one piece of evidence.
type result struct {
	Evidence string `json:"evidence"`
	Verified bool   `json:"verified"`
	Keys     origin `json:"keys"` // where the keys came from
	bundle.Report
	along bundle.Trust // that came with it
}

// Run checks each piece by itself, and ends with status 0 only if all of them
// hold.
func (v *verifyCommand) Run(c *call) error {
	opener, err := sessions.Identity(v.Identity)
	if err != nil {
		return err
	}
	results, all := []result{}, true
	for i, name := range v.Evidence {
		r, err := v.verify(c, name, opener)
		if err != nil {
			return err
		}
		all = all && r.Verified
		results = append(results, r)
		if !v.JSON {
			if i > 0 {
				fmt.Fprintln(c.env.Stdout)
			}
			r.print(c.env.Stdout, v)
		}
	}
	if v.JSON {
		e := json.NewEncoder(c.env.Stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(results); err != nil {
			return err
		}
	}
	if !all {
		return errUnverified
	}
	return nil
}

func (v *verifyCommand) verify(c *call, name string, opener recording.Opener) (result, error) {
	r := result{Evidence: name}
	e, err := c.evidence(name)
	var damage *bundle.DamageError
	if errors.As(err, &damage) {
		r.Report = bundle.Broken(damage)
		return r, nil
	}
	if err != nil {
		return r, err
	}
	defer e.close()
	var along *bundle.Trust
	if e.bundle != nil {
		along, r.along = &e.bundle.Trust, e.bundle.Trust
	}
	keys, from, err := v.choose(c, along)
	if err != nil {
		return r, err
	}
	r.Keys = from
	if e.bundle != nil {
		r.Report, err = bundle.Verify(e.bundle, keys, opener)
	} else {
		r.Report, err = bundle.VerifyRecording(e.recording, keys, opener)
	}
	if err != nil {
		return r, fmt.Errorf("verify %s: %w", name, err)
	}
	if about := r.Recording; v.Identity != "" && about != nil && about.Encrypted && !about.Opened && r.Holds() {
		return r, fault.New(fault.Denied, fault.RecordingLocked, "no key in %s opens the content of %s", v.Identity, name).
			Then("leave --identity out to verify it all the same")
	}
	r.Verified = r.Report.Holds() && from.trusted()
	return r, nil
}
