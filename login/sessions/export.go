package sessions

import (
	"fmt"
	"io"
	"os"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/export"
)

type exportCommand struct {
	source
	Asciicast string `enum:",2,3" default:"" help:"As asciicast of this version, 2 or 3." placeholder:"VERSION"`
	Text      bool   `help:"As a transcript."`
	Times     bool   `help:"In a transcript, begin each line with its time of day."`
	Recording bool   `help:"As it is: every channel, every byte."`
	Input     bool   `help:"In asciicast, include what was typed, also what did not echo (passwords)."`
	Channel   uint32 `help:"Which channel; the first shell, or else command, is the default." placeholder:"N"`
	Output    string `short:"o" default:"-" help:"The file to write; - is standard output." placeholder:"PATH"`
}

// Run writes a session for other programs.
func (x *exportCommand) Run(c *call) error {
	if forms := count(x.Asciicast != "", x.Text, x.Recording); forms > 1 {
		return fault.New(fault.Invalid, fault.BadRequest, "choose one of --asciicast, --text and --recording")
	} else if forms == 0 {
		x.Asciicast = "3"
	}
	if x.Recording && x.Output == "-" && cli.IsTerminal(c.env.Stdout) {
		return fault.New(fault.Invalid, fault.BadRequest, "a recording is no text").Then("write it to a file with -o")
	}
	r, done, err := x.open(c)
	if err != nil {
		return err
	}
	defer done()
	if x.Output == "-" {
		return x.write(c.env.Stdout, c, r)
	}
	// What was typed in a session is nobody else's to read.
	f, err := os.OpenFile(x.Output, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	err = x.write(f, c, r)
	if closed := f.Close(); err == nil && closed != nil {
		err = fmt.Errorf("write export: %w", closed)
	}
	return err
}

func (x *exportCommand) write(w io.Writer, c *call, r *recording.Recording) error {
	if x.Recording {
		_, err := r.WriteTo(w)
		return readable(err)
	}
	about, damage, err := summary(r)
	if err != nil {
		return err
	}
	ch, err := channel(about, x.Channel)
	if err != nil {
		if damage != nil {
			err = readable(damage)
		}
		return err
	}
	if x.Text {
		return readable(export.Transcript(w, r, about, ch, export.Times{Zone: c.now.Location(), Shown: x.Times}))
	}
	version := export.V3
	if x.Asciicast == "2" {
		version = export.V2
	}
	return readable(export.Asciicast(w, r, about, ch, export.Options{Version: version, Input: x.Input}))
}

func count(set ...bool) (n int) {
	for _, b := range set {
		if b {
			n++
		}
	}
	return n
}
