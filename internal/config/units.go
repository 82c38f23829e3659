package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a span of time as admins write it: "90s", "1h30m", "8h", "7d".
// It is never negative. What zero means is said by the field that has it.
type Duration time.Duration

// Std is the duration for the standard library.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Seconds is the duration in whole seconds, a fraction rounded down.
func (d Duration) Seconds() int64 { return int64(time.Duration(d) / time.Second) }

const day = 24 * time.Hour

// String writes the largest units that leave no rest: "7d", "1h30m", "8h".
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t == 0:
		return "0s"
	case t%day == 0:
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	s := t.String() // "8h0m0s"
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the units of time.ParseDuration and, before them, days of
// 24 hours.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	wrong := fmt.Errorf("%q is no duration: write 30s, 15m, 8h, 7d or 1h30m", s)
	var total time.Duration
	if days, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || time.Duration(n) > math.MaxInt64/day {
			return wrong
		}
		total, s = time.Duration(n)*day, rest
	}
	if s != "" || total == 0 && len(text) == 0 {
		rest, err := time.ParseDuration(s)
		if err != nil || rest < 0 || s[0] == '+' || s[0] == '-' || total > math.MaxInt64-rest {
			return wrong
		}
		total += rest
	}
	*d = Duration(total)
	return nil
}

// Bytes is a size as admins write it: "512KiB", "64MiB", "2GiB", "100MB", or a
// plain number of bytes.
type Bytes int64

var units = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// String writes the largest binary unit that leaves no rest.
func (b Bytes) String() string {
	for _, u := range units[:4] {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText takes whole numbers alone: half a megabyte is 512KiB.
func (b *Bytes) UnmarshalText(text []byte) error {
	s, size := string(text), int64(1)
	for _, u := range units {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			s, size = strings.TrimSuffix(number, " "), u.size
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/size {
		return fmt.Errorf("%q is no size: write 512KiB, 64MiB, 2GiB or a number of bytes", text)
	}
	*b = Bytes(int64(n) * size)
	return nil
}
