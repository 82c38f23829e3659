// Package export makes of a recording what other programs read: asciicast of
// both versions, which every asciinema player takes, and a plain transcript.
//
// An export is for eyes and never evidence: asciicast is JSON, so bytes that are
// no UTF-8 become U+FFFD there, and only there. Runes that two frames share are
// put together first.
//
// The package is pure: no network, no database, no clock.
package export

import (
	"bytes"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Code says what an event is; the values are asciicast's.
type Code string

const (
	Output Code = "o" // Data went to the person's screen
	Input  Code = "i" // Data came from the person
	Resize Code = "r" // the terminal has Columns and Rows now
	Marker Code = "m" // Data is a label
	Exit   Code = "x" // Data is the exit status, or the signal's name
)

// Event is a moment at one channel as a person would have seen it.
type Event struct {
	At      time.Duration
	Code    Code
	Data    []byte // valid until the next event
	Stderr  bool   // of an Output: it came apart, as stderr
	Told    bool   // of a Marker: no screen showed it, and a transcript tells it
	Columns int
	Rows    int
}

// Events yields the events of one channel; what the proxy said for the whole
// connection is among them. Typed text comes when it was echoed; what was not is
// no event. An error ends them.
func Events(frames recording.Frames, channel uint32) iter.Seq2[Event, error] {
	return Resume(frames, channel, false)
}

// Resume is Events of frames that begin in the middle; terminal says whether the
// channel has one by then.
func Resume(frames recording.Frames, channel uint32, terminal bool) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			f, err := frames.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			e, ok, err := Of(f, channel, &terminal)
			if err != nil {
				yield(Event{}, err)
				return
			}
			if ok && !yield(e, nil) {
				return
			}
		}
	}
}

// Of is the event that f is at channel, if it is one. terminal says whether the
// channel has one by then, and is set when it gets one.
func Of(f recording.Frame, channel uint32, terminal *bool) (e Event, ok bool, err error) {
	if f.Channel != channel && !(f.Channel == 0 && f.Kind == recording.KindNotice) {
		return Event{}, false, nil
	}
	return event(f, terminal)
}

// withSilences is Events of c, and what was typed there without echo at its time.
func withSilences(frames recording.Frames, c *recording.Channel) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		left := c.Silences
		until := func(at time.Duration) bool {
			for ; len(left) > 0 && left[0].At < at; left = left[1:] {
				if !yield(Event{At: left[0].At, Code: Marker, Data: []byte(left[0].String()), Told: true}, nil) {
					return false
				}
			}
			return true
		}
		for e, err := range Events(frames, c.Number) {
			if err == nil && !until(e.At) || !yield(e, err) {
				return
			}
		}
		until(1<<63 - 1)
	}
}

// event makes an event of f; ok is false where there is none to see.
func event(f recording.Frame, terminal *bool) (e Event, ok bool, err error) {
	e = Event{At: f.At, Data: f.Payload}
	switch f.Kind {
	case recording.KindOutput, recording.KindStderr:
		e.Code, e.Stderr = Output, f.Kind == recording.KindStderr
		if !*terminal {
			e.Data = returns(f.Payload)
		}
		return e, true, nil
	case recording.KindInput:
		e.Code = Input
		return e, true, nil
	case recording.KindReveal:
		runs, err := recording.ParseReveal(f)
		e.Code, e.Data = Input, nil
		for _, r := range runs {
			e.Data = append(e.Data, r.Bytes...)
		}
		return e, err == nil, err
	case recording.KindNotice:
		e.Code = Output
		e.Data = returns(f.Payload)
		return e, true, nil
	case recording.KindFile:
		var o recording.FileOp
		err := f.Decode(&o)
		return Event{At: f.At, Code: Marker, Data: []byte(o.String()), Told: true}, err == nil, err
	case recording.KindTransfer:
		var t recording.Transfer
		err := f.Decode(&t)
		return Event{At: f.At, Code: Marker, Data: []byte(t.String()), Told: true}, err == nil, err
	case recording.KindRequest:
		var r recording.Request
		if err := f.Decode(&r); err != nil {
			return e, false, err
		}
		e, ok = request(f.At, r, terminal)
		return e, ok, nil
	}
	return e, false, nil
}

func request(at time.Duration, r recording.Request, terminal *bool) (Event, bool) {
	if r.Type == "pty-req" {
		*terminal = true
	}
	if columns, rows, ok := r.Size(); ok {
		return Event{At: at, Code: Resize, Columns: columns, Rows: rows}, true
	}
	if status, ok := r.ExitStatus(); ok && r.From == recording.Node {
		return Event{At: at, Code: Exit, Data: strconv.AppendUint(nil, uint64(status), 10)}, true
	}
	switch r.Type {
	case "shell", "exec", "subsystem", "signal", "exit-signal":
		return Event{At: at, Code: Marker, Data: []byte(r.String())}, true
	}
	return Event{}, false
}

// returns does what a terminal's line discipline would have done to the output
// of a program that had none (termios(3), ONLCR).
func returns(b []byte) []byte {
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}
