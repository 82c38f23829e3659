package veil

import (
	"sync/atomic"
	"time"
)

const (
	// soon is in which time after a key an echo of one or two characters counts.
	soon = time.Second
	// atOnce is in which time after a key a redrawn screen is its answer.
	atOnce = 150 * time.Millisecond
	// alone is after which time without a key the node sends by itself,
	alone = 500 * time.Millisecond
	// remembered is how long it is held against it.
	remembered = 5 * time.Second
	// kept is how long silent text is waited for.
	kept = time.Minute
)

// clock knows when what passed.
type clock struct {
	began   time.Time
	typed   atomic.Int64 // the last input, since began
	ticked  atomic.Int64 // the last output that no input explains
	waiting atomic.Bool  // something is pending
}

func newClock() clock { return clock{began: time.Now()} }

func (c *clock) now() time.Duration { return time.Since(c.began) }

// input notes a key.
func (c *clock) input() time.Duration {
	now := c.now()
	c.typed.Store(int64(now))
	return now
}

// output notes output, and says whether anything waits for its echo.
func (c *clock) output() bool {
	if now := c.now(); now-time.Duration(c.typed.Load()) > alone {
		c.ticked.Store(int64(now))
	}
	return c.waiting.Load()
}

// ticks says whether the node has sent things by itself of late.
func (c *clock) ticks(now time.Duration) bool {
	at := time.Duration(c.ticked.Load())
	return at > 0 && now-at < remembered
}
