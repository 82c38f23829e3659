package sessions

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/export"
)

// calm gives a terminal back as a shell expects it: main screen, cursor shown,
// no attributes, all lines scroll, no mouse reports, no bracketed paste.
const calm = "\x1b[?1049l\x1b[?25h\x1b[m\x1b[r\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\r\n"

// blank is where a recording begins.
const blank = "\x1b[?1049l\x1b[m\x1b[r\x1b[H\x1b[2J"

// step is how far an arrow goes.
const step = 10 * time.Second

// player plays one channel in time.
type player struct {
	rec     *recording.Recording
	channel uint32
	out     io.Writer
	speed   float64
	idle    time.Duration // longest wait, in the recording's time; 0: no limit
	keys    <-chan key    // nil: nobody listens

	at     time.Duration // where we are
	paused bool
	next   func() (export.Event, error, bool)
	stop   func()
	event  export.Event // the one that comes next
	more   bool         // whether there is one
}

// play runs from the moment at until the end, ctx's end, or the key for it.
func (p *player) play(ctx context.Context, at time.Duration) error {
	defer func() { p.stop() }()
	if err := p.seek(at); err != nil {
		return err
	}
	for p.more {
		k, err := p.wait(ctx)
		switch {
		case err != nil:
			return err
		case k == keyQuit:
			return nil
		case k != keyNone:
			err = p.press(k)
		default:
			p.at = p.event.At
			err = p.show()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wait returns when the next event is due, or a key was pressed.
func (p *player) wait(ctx context.Context) (key, error) {
	gap := max(p.event.At-p.at, 0)
	if p.idle > 0 && gap > p.idle {
		p.at, gap = p.event.At-p.idle, p.idle
	}
	var due <-chan time.Time // never, while it is paused
	if !p.paused {
		timer := time.NewTimer(time.Duration(float64(gap) / p.speed))
		defer timer.Stop()
		due = timer.C
	}
	began := time.Now()
	select {
	case <-ctx.Done():
		return keyNone, ctx.Err()
	case <-due:
		return keyNone, nil
	case k, ok := <-p.keys:
		if !ok {
			p.keys, p.paused = nil, false // the terminal is gone: nobody could go on
		}
		if due != nil {
			p.at = min(p.at+time.Duration(float64(time.Since(began))*p.speed), p.event.At)
		}
		if !ok {
			return keyOther, nil
		}
		return k, nil
	}
}

// press does what a key means.
func (p *player) press(k key) error {
	switch k {
	case keyPause:
		p.paused = !p.paused
	case keyFaster:
		p.speed = min(p.speed*2, 1000)
	case keySlower:
		p.speed = max(p.speed/2, 1.0/16)
	case keyForward:
		return p.forward(p.at + step)
	case keyBack:
		return p.seek(max(p.at-step, 0))
	}
	return nil
}

// seek goes to the moment to: to what the screen showed when the block began in
// which it lies, and from there on to what came since. Without such a screen all
// since the start is needed.
func (p *player) seek(to time.Duration) error {
	if p.stop != nil {
		p.stop()
	}
	if err := p.rec.SeekScreen(to); err != nil {
		return err
	}
	if _, err := io.WriteString(p.out, blank); err != nil {
		return err
	}
	resumed := false
	if list, ok := p.rec.Screens(); ok {
		for _, s := range list {
			if s.Channel != p.channel {
				continue
			}
			resumed = true
			if _, err := p.out.Write(s.ANSI); err != nil {
				return err
			}
		}
	}
	p.next, p.stop = iter.Pull2(export.Resume(p.rec, p.channel, resumed))
	p.at = 0
	if err := p.read(); err != nil {
		return err
	}
	return p.forward(to)
}

// forward shows everything up to the moment to at once.
func (p *player) forward(to time.Duration) error {
	for p.more && p.event.At <= to {
		if err := p.show(); err != nil {
			return err
		}
	}
	p.at = to
	return nil
}

// show writes the event in hand and reads the next.
func (p *player) show() error {
	if p.event.Code == export.Output {
		if _, err := p.out.Write(p.event.Data); err != nil {
			return err
		}
	}
	return p.read()
}

func (p *player) read() error {
	e, err, more := p.next()
	if err != nil {
		return err
	}
	p.event, p.more = e, more
	return nil
}
