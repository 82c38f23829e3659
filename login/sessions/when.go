package sessions

import (
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
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

// lasted is a length of time in its two largest units, as one says it.
func lasted(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d >= 24*time.Hour:
		return strconv.Itoa(int(d.Hours())/24) + "d " + strconv.Itoa(int(d.Hours())%24) + "h"
	case d >= time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h " + strconv.Itoa(int(d.Minutes())%60) + "m"
	case d >= time.Minute:
		return strconv.Itoa(int(d.Minutes())) + "m " + strconv.Itoa(int(d.Seconds())%60) + "s"
	}
	return strconv.Itoa(int(d.Seconds())) + "s"
}

// started is a start as a row shows it: the weekday while that is unmistakable.
func started(t, now time.Time) string {
	if now.Sub(t) < 6*24*time.Hour {
		return t.Format("Mon 15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// size is a number of bytes as one says it.
func size(n int64) string {
	f, units := float64(n), []string{"B", "KB", "MB", "GB", "TB"}
	i := 0
	for f >= 999.5 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	if i == 0 || f >= 10 {
		return strconv.FormatFloat(f, 'f', 0, 64) + " " + units[i]
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + units[i]
}

// day is a moment's date.
func day(unix int64, zone *time.Location) string {
	return time.Unix(unix, 0).In(zone).Format("2006-01-02")
}
