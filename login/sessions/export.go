package sessions

import (
	"io"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/export"
	"github.com/sallyport-ssh/sallyport/login/internal/outfile"
)

type exportCommand struct {
	source
	Asciicast string `enum:",2,3" default:"" help:"As asciicast of this version, 2 or 3." placeholder:"VERSION"`
	Text      bool   `help:"As a transcript."`
	Times     bool   `help:"In a transcript, begin each line with its time of day."`
	Recording bool   `help:"As it is: every channel, every byte."`
	Input     bool   `help:"In asciicast, include what was typed and echoed."`
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
	open := x.open
	if x.Recording {
		open = x.fetch // it stays as it is, encrypted or not
	}
	r, done, err := open(c)
	if err != nil {
		return err
	}
	defer done()
	return outfile.Write(x.Output, c.env.Stdout, func(w io.Writer) error {
		if x.Recording {
			_, err := r.WriteTo(w)
			return Readable(err)
		}
		form := Form{Text: x.Text, Asciicast: x.Asciicast, Times: x.Times, Input: x.Input, Channel: x.Channel, Zone: c.now.Location()}
		return form.Write(w, r)
	})
}

// Form is how one channel of a session is written for other programs.
type Form struct {
	Text      bool   // a transcript; else asciicast
	Asciicast string // version "2" or "3"
	Times     bool   // in a transcript, each line begins with its time of day
	Input     bool   // in asciicast, what was typed as well
	Channel   uint32 // 0 is the one that a person would mean
	Zone      *time.Location
}

// Write writes r in this form to w.
func (f Form) Write(w io.Writer, r *recording.Recording) error {
	about, damage, err := summary(r)
	if err != nil {
		return err
	}
	ch, err := channel(about, f.Channel)
	if err != nil {
		if damage != nil {
			err = Readable(damage)
		}
		return err
	}
	if f.Text {
		return Readable(export.Transcript(w, r, about, ch, export.Times{Zone: f.Zone, Shown: f.Times}))
	}
	version := export.V3
	if f.Asciicast == "2" {
		version = export.V2
	}
	return Readable(export.Asciicast(w, r, about, ch, export.Options{Version: version, Input: f.Input}))
}

func count(set ...bool) (n int) {
	for _, b := range set {
		if b {
			n++
		}
	}
	return n
}
