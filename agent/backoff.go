package agent

import (
	"math/rand/v2"
	"time"
)

// never is longer than a process lives.
const never = 365 * 24 * time.Hour

// backoff spaces attempts: twice as long after each failure, up to most, each
// with a jitter of up to a half, so that a thousand nodes do not ask at once
// when their CA comes back.
type backoff struct {
	first, most time.Duration

	next time.Duration // 0 while nothing has failed
	at   time.Time     // of the next attempt
}

// failed sets the time of the next attempt.
func (b *backoff) failed() {
	b.next = min(max(b.first, 2*b.next), b.most)
	b.at = time.Now().Add(b.next/2 + rand.N(b.next/2+1))
}

// reset forgets failures.
func (b *backoff) reset() { b.next = 0 }

// wait is how long until the next attempt; never, when nothing has failed.
func (b *backoff) wait() time.Duration {
	if b.next == 0 {
		return never
	}
	return max(0, time.Until(b.at))
}
