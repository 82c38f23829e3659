package sessions

import (
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/login/internal/figures"
)

// ago reads how far back: "7d", "36h", "90m", or a day, "2026-03-02", in zone.
// "" is the zero Time.
func ago(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation("2006-01-02", s, now.Location()); err == nil {
		return t, nil
	}
	if d, ok := duration(s); ok {
		return now.Add(-d), nil
	}
	return time.Time{}, fault.New(fault.Invalid, fault.BadRequest, "%q is no time", s).Then("use 7d, 36h, 90m or a day like 2026-03-02")
}

// duration reads Go's durations, and days.
func duration(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// moment reads a place in a recording that started then: "+2m" or "90" (seconds)
// from its start, or a time of day, the first one after the start.
func moment(s string, started time.Time) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	if d, ok := duration(strings.TrimPrefix(s, "+")); ok {
		return d, nil
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n < 1e9 {
		return time.Duration(n * float64(time.Second)), nil
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		at := time.Date(started.Year(), started.Month(), started.Day(), t.Hour(), t.Minute(), t.Second(), 0, started.Location())
		if at.Before(started.Truncate(time.Second)) {
			at = at.AddDate(0, 0, 1)
		}
		return max(at.Sub(started), 0), nil
	}
	return 0, fault.New(fault.Invalid, fault.BadRequest, "%q is no moment of a recording", s).Then("use +2m, 90 (seconds) or a time of day like 14:11:05")
}

// lasted is a length of time in its two largest units.
func lasted(d time.Duration) string { return figures.Lasted(d) }

// started is a start as a row shows it: the weekday while that is unmistakable.
func started(t, now time.Time) string {
	if now.Sub(t) < 6*24*time.Hour {
		return t.Format("Mon 15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// size is a number of bytes as one says it.
func size(n int64) string { return figures.Size(n) }

// day is a moment's date.
func day(unix int64, zone *time.Location) string {
	return time.Unix(unix, 0).In(zone).Format("2006-01-02")
}
