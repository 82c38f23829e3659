package sessions

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/export"
)

// deed is something that was done in a session: a command, a typed line, a file
// operation, a transfer, a forward.
type deed struct {
	at      time.Duration
	channel uint32
	kind    string
	text    string
}

// story reads what was done, in order. Of a damaged recording it is what stands
// before the damage: whoever reads it has met that before.
func story(r *recording.Recording) (list []deed, err error) {
	if err := r.Seek(0); err != nil {
		return nil, err
	}
	terminals := map[uint32]*export.Typed{}
	for {
		f, err := r.Next()
		var damage *recording.DamageError
		if errors.Is(err, io.EOF) || errors.As(err, &damage) {
			break
		}
		if err != nil {
			return nil, err
		}
		d := deed{at: f.At, channel: f.Channel}
		switch f.Kind {
		case recording.KindRequest:
			var q recording.Request
			if err := f.Decode(&q); err != nil {
				return nil, err
			}
			if q.Type == "pty-req" {
				terminals[f.Channel] = &export.Typed{}
			}
			if q.Type == "exec" || q.Type == "subsystem" {
				d.kind, d.text = "command", q.String()
			}
		case recording.KindInput, recording.KindVeiled:
			if t := terminals[f.Channel]; t != nil {
				t.Add(f)
			}
		case recording.KindReveal:
			runs, err := recording.ParseReveal(f)
			if err != nil {
				return nil, err
			}
			if t := terminals[f.Channel]; t != nil {
				t.Reveal(runs)
			}
		case recording.KindFile:
			var o recording.FileOp
			if err := f.Decode(&o); err != nil {
				return nil, err
			}
			d.kind, d.text = "file", o.String()
		case recording.KindTransfer:
			var x recording.Transfer
			if err := f.Decode(&x); err != nil {
				return nil, err
			}
			if d.kind, d.text = "transfer", x.String(); x.Tool == "forward" {
				d.kind = "forward"
			}
		}
		if d.kind != "" {
			list = append(list, d)
		}
	}
	for channel, t := range terminals {
		for _, l := range t.Lines() {
			list = append(list, deed{l.At, channel, "typed", l.String()})
		}
	}
	slices.SortStableFunc(list, func(a, b deed) int { return int(a.at - b.at) })
	return list, nil
}

// tell prints what was done.
func tell(out io.Writer, list []deed, start time.Time) error {
	if len(list) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nTIME\tCHANNEL\tWHAT")
	for _, d := range list {
		fmt.Fprintf(w, "%s\t%d\t%s\n", start.Add(d.at).Format("15:04:05"), d.channel, d.text)
	}
	return w.Flush()
}
