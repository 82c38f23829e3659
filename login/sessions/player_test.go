package sessions

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// film is a recording that prints a letter at each of these times.
func film(t *testing.T, times ...time.Duration) *recording.Recording {
	t.Helper()
	h, p := begin(recording.Meta{Session: session, Started: start.UnixMicro()})
	for i, at := range times {
		p.Add(recording.Frame{Number: uint64(i + 1), At: at, Channel: 1, Kind: recording.KindOutput, Payload: []byte{'a' + byte(i)}})
	}
	r, err := recording.Join(nil, bytes.NewReader(p.Block(h.Append(nil))))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// clocked notes when what was written: "a@1s".
type clocked struct {
	began time.Time
	text  strings.Builder
}

func (c *clocked) Write(b []byte) (int, error) {
	if string(b) == blank {
		c.text.WriteString("[blank]")
		return len(b), nil
	}
	c.text.Write(b)
	c.text.WriteString("@" + time.Since(c.began).String() + " ")
	return len(b), nil
}

func TestThePlayerKeepsTime(t *testing.T) {
	type press struct {
		at  time.Duration
		key key
	}
	s := time.Second
	for _, test := range []struct {
		name  string
		film  []time.Duration
		speed float64
		idle  time.Duration
		from  time.Duration
		keys  []press
		want  string
	}{
		{"in its own time", []time.Duration{s, 3 * s, 60 * s}, 1, 0, 0, nil, "[blank]a@1s b@3s c@1m0s "},
		{"twice as fast", []time.Duration{s, 3 * s, 60 * s}, 2, 0, 0, nil, "[blank]a@500ms b@1.5s c@30s "},
		{"without the pauses", []time.Duration{s, 3 * s, 60 * s}, 1, 2 * s, 0, nil, "[blank]a@1s b@3s c@5s "},
		{"from a moment on", []time.Duration{s, 3 * s, 60 * s}, 1, 0, 30 * s, nil, "[blank]a@0s b@0s c@30s "},
		{"from after the end", []time.Duration{s}, 1, 0, time.Hour, nil, "[blank]a@0s "},
		{"a pause stops the clock", []time.Duration{s, 3 * s}, 1, 0, 0, []press{{2 * s, keyPause}, {100 * s, keyPause}}, "[blank]a@1s b@1m41s "},
		{"faster in the middle", []time.Duration{s, 11 * s}, 1, 0, 0, []press{{s + s/2, keyFaster}}, "[blank]a@1s b@6.25s "},
		{"slower in the middle", []time.Duration{s, 3 * s}, 1, 0, 0, []press{{2 * s, keySlower}}, "[blank]a@1s b@4s "},
		{"a jump forward", []time.Duration{s, 9 * s, 20 * s}, 1, 0, 0, []press{{2 * s, keyForward}}, "[blank]a@1s b@2s c@10s "},
		{"a jump back shows all again", []time.Duration{s, 15 * s, 16 * s}, 1, 0, 0, []press{{15*s + s/2, keyBack}}, "[blank]a@1s b@15s [blank]a@15.5s b@25s c@26s "},
		{"a jump back before the start", []time.Duration{s, 5 * s}, 1, 0, 0, []press{{2 * s, keyBack}}, "[blank]a@1s [blank]a@3s b@7s "},
		{"the end by a key", []time.Duration{s, time.Hour}, 1, 0, 0, []press{{2 * s, keyQuit}}, "[blank]a@1s "},
		{"a key that means nothing", []time.Duration{s, 3 * s}, 1, 0, 0, []press{{2 * s, keyOther}}, "[blank]a@1s b@3s "},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				keys := make(chan key)
				out := &clocked{began: time.Now()}
				ctx, cancel := context.WithCancel(t.Context())
				pressed := make(chan struct{})
				go func() {
					defer close(pressed)
					for _, k := range test.keys {
						select {
						case <-time.After(time.Until(out.began.Add(k.at))):
						case <-ctx.Done():
							return
						}
						select {
						case keys <- k.key:
						case <-ctx.Done():
							return
						}
					}
				}()
				p := player{rec: film(t, test.film...), channel: 1, out: out, speed: test.speed, idle: test.idle, keys: keys}
				if err := p.play(ctx, test.from); err != nil {
					t.Error(err)
				}
				cancel()
				<-pressed
				if got := out.text.String(); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
			})
		})
	}
}

func TestThePlayerEndsWithItsContextAndWithItsTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := player{rec: film(t, time.Hour), channel: 1, out: &bytes.Buffer{}, speed: 1}
		if err := p.play(ctx, 0); err != context.DeadlineExceeded {
			t.Error(err)
		}
		keys := make(chan key)
		close(keys)
		out := &clocked{began: time.Now()}
		p = player{rec: film(t, time.Minute), channel: 1, out: out, speed: 1, keys: keys, paused: true}
		if err := p.play(t.Context(), 0); err != nil || out.text.String() != "[blank]a@1m0s " {
			t.Errorf("paused, and nobody to go on: %v %s", err, out.text.String())
		}
	})
}
