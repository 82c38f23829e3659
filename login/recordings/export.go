package recordings

import (
	"fmt"
	"io"

	"github.com/sallyport-ssh/sallyport/internal/bundle"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/login/internal/outfile"
	"github.com/sallyport-ssh/sallyport/login/sessions"
)

type exportCommand struct {
	Evidence string `arg:"" name:"session" help:"The session, as sessions ls lists it; or a recording or bundle that is here." placeholder:"SESSION"`
	As       string `required:"" enum:"bundle,recording,asciicast,text,files" help:"bundle: all that an outside auditor needs. recording: as it is stored. asciicast, text: what one channel showed. files: what was kept of files that were carried." placeholder:"bundle|recording|asciicast|text|files"`
	Output   string `short:"o" help:"The file to write (for files, a folder); - is standard output. Named after the session unless given." placeholder:"PATH"`
	Identity string `help:"Open the content with the age identity in this file." placeholder:"FILE"`
	Channel  uint32 `help:"For asciicast and text, which channel; the first shell, or else command, is the default." placeholder:"N"`
	Version  string `enum:"2,3" default:"3" help:"Of asciicast." placeholder:"2|3"`
	Times    bool   `help:"In a text, begin each line with its time of day."`
	Input    bool   `help:"In asciicast, include what was typed."`
}

// suffixes of files that are named after their session.
var suffixes = map[string]string{"bundle": bundle.Suffix, "recording": ".rec", "asciicast": ".cast", "text": ".txt", "files": ".files"}

// Run writes evidence, or content, as a whole or not at all.
func (x *exportCommand) Run(c *call) error {
	opener, err := sessions.Identity(x.Identity)
	if err != nil {
		return err
	}
	e, err := c.evidence(x.Evidence)
	if err != nil {
		return err
	}
	defer e.close()
	path, err := x.path(c, e)
	if err != nil {
		return err
	}
	switch x.As {
	case "bundle":
		if e.bundle == nil {
			return fault.New(fault.Invalid, fault.BadRequest, "%s is a recording alone: what the log says of it is with the CA", x.Evidence).
				Then("run, where somebody is logged in: sallyport recording export --as bundle SESSION")
		}
		err = outfile.Write(path, c.env.Stdout, func(w io.Writer) error { return bundle.Write(w, e.bundle) })
	case "recording":
		err = outfile.Write(path, c.env.Stdout, func(w io.Writer) error {
			_, err := io.Copy(w, io.NewSectionReader(e.recording, 0, e.recording.Size()))
			return err
		})
	default:
		r, openErr := e.open(opener)
		if openErr != nil {
			return openErr
		}
		if r.Locked() {
			return fault.New(fault.Denied, fault.RecordingLocked, "the content of session %s is encrypted to its auditors", r.Meta().Session).
				Then("name the file of an auditor's key: --identity FILE")
		}
		if x.As == "files" {
			err = writeFiles(path, r)
		} else {
			form := sessions.Form{Text: x.As == "text", Asciicast: x.Version, Times: x.Times, Input: x.Input, Channel: x.Channel, Zone: c.zone}
			err = outfile.Write(path, c.env.Stdout, func(w io.Writer) error { return form.Write(w, r) })
		}
	}
	if err != nil {
		return err
	}
	if path != outfile.Stdout {
		fmt.Fprintf(c.env.Stderr, "Wrote %s.\n", path)
	}
	return nil
}

// path is where to write.
func (x *exportCommand) path(c *call, e *evidence) (string, error) {
	switch {
	case x.Output == "":
		r, err := e.open(nil)
		if err != nil {
			return "", err
		}
		return string(r.Meta().Session) + suffixes[x.As], nil
	case x.Output == outfile.Stdout && x.As == "files":
		return "", fault.New(fault.Invalid, fault.BadRequest, "files go into a folder, and not to standard output").Then("name one with -o")
	case x.Output == outfile.Stdout && (x.As == "bundle" || x.As == "recording") && cli.IsTerminal(c.env.Stdout):
		return "", fault.New(fault.Invalid, fault.BadRequest, "a %s is no text", x.As).Then("write it to a file with -o")
	}
	return x.Output, nil
}
