package sessions

import (
	"encoding/hex"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// view is what show prints as JSON. Times are seconds since the start.
type view struct {
	recording.Meta
	Frames   uint64         `json:"frames"`
	Lasted   float64        `json:"lasted"`
	End      *recording.End `json:"end"` // null: it has not ended, or nobody has finished its recording
	Notices  []string       `json:"notices"`
	Requests []requestView  `json:"requests"`
	Channels []channelView  `json:"channels"`
	Deeds    []deedView     `json:"deeds"`
}

// deedView is something that was done: kind is command, typed, file, transfer or
// forward.
type deedView struct {
	At      float64 `json:"at"`
	Channel uint32  `json:"channel"`
	Kind    string  `json:"kind"`
	Text    string  `json:"text"`
}

type channelView struct {
	Number     uint32        `json:"number"`
	What       string        `json:"what"`
	Type       string        `json:"type"`
	Command    string        `json:"command,omitempty"`
	Opened     float64       `json:"opened"`
	Closed     float64       `json:"closed,omitempty"`
	Refused    bool          `json:"refused,omitempty"`
	Reason     string        `json:"reason,omitempty"` // why the proxy refused
	Columns    int           `json:"columns,omitempty"`
	Rows       int           `json:"rows,omitempty"`
	Input      flowView      `json:"input"`
	Output     flowView      `json:"output"`
	Stderr     flowView      `json:"stderr"`
	ExitStatus *uint32       `json:"exit_status,omitempty"`
	ExitSignal string        `json:"exit_signal,omitempty"`
	Requests   []requestView `json:"requests"`
}

type flowView struct {
	Bytes  int64  `json:"bytes"`
	AtMost int64  `json:"at_most"` // more than bytes only where a crash cut it
	Kept   int64  `json:"kept"`
	SHA256 string `json:"sha256,omitempty"` // of the first bytes, where not all are kept
}

type requestView struct {
	At      float64 `json:"at"`
	From    string  `json:"from"`
	Request string  `json:"request"`
	Refused bool    `json:"refused,omitempty"`
	Reason  string  `json:"reason,omitempty"`
}

func newView(s *recording.Summary, deeds []deed) view {
	v := view{Meta: s.Meta, Frames: s.Frames, Lasted: seconds(s.Lasted), End: s.End,
		Notices: append([]string{}, s.Notices...), Requests: requests(s.Requests), Channels: []channelView{}, Deeds: []deedView{}}
	for _, d := range deeds {
		v.Deeds = append(v.Deeds, deedView{seconds(d.at), d.channel, d.kind, d.text})
	}
	for i := range s.Channels {
		c := &s.Channels[i]
		w := channelView{
			Number: c.Number, What: c.What(), Type: c.Open.Type, Command: c.Command,
			Opened: seconds(c.Opened), Closed: seconds(c.Closed), Columns: c.Columns, Rows: c.Rows,
			Input: newFlow(c.Input), Output: newFlow(c.Output), Stderr: newFlow(c.Stderr),
			ExitStatus: c.ExitStatus, ExitSignal: c.ExitSignal, Requests: requests(c.Requests),
		}
		if c.Answer != nil && !c.Answer.OK {
			w.Refused, w.Reason = true, c.Answer.Reason
		}
		v.Channels = append(v.Channels, w)
	}
	return v
}

func requests(events recording.Events) []requestView {
	list := []requestView{}
	for _, e := range events.List {
		r := requestView{At: seconds(e.At), From: e.Request.From.String(), Request: e.Request.String()}
		if e.Answer != nil && !e.Answer.OK {
			r.Refused, r.Reason = true, e.Answer.Reason
		}
		list = append(list, r)
	}
	return list
}

func newFlow(f recording.Flow) flowView {
	return flowView{Bytes: f.Bytes, AtMost: f.AtMost, Kept: f.Kept, SHA256: hex.EncodeToString(f.SHA256)}
}

func seconds(d time.Duration) float64 { return d.Seconds() }
