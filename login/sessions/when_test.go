package sessions

import (
	"testing"
	"time"
)

func TestMomentsOfARecording(t *testing.T) {
	start := time.Date(2026, 3, 2, 23, 50, 11, 500_000_000, time.UTC)
	for s, want := range map[string]time.Duration{
		"":         0,
		"+2m":      2 * time.Minute,
		"2m30s":    150 * time.Second,
		"90":       90 * time.Second,
		"90.5":     90*time.Second + 500*time.Millisecond,
		"23:50:12": 500 * time.Millisecond,
		"23:50:11": 0, // the second in which it began
		"23:55":    4*time.Minute + 48*time.Second + 500*time.Millisecond,
		"00:10:00": 19*time.Minute + 48*time.Second + 500*time.Millisecond, // the next day
	} {
		if got, err := moment(s, start); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"noon", "-2m", "+-2m", "25:00:00", "1e300", "NaN", "14:11:05:00"} {
		if got, err := moment(s, start); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestTimesAgo(t *testing.T) {
	now := time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"7d":         now.AddDate(0, 0, -7),
		"36h":        now.Add(-36 * time.Hour),
		"90m":        now.Add(-90 * time.Minute),
		"2026-03-02": time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
		"":           {},
	} {
		if got, err := ago(s, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"yesterday", "-7d", "-1h", "d", "7", "2026-13-01"} {
		if got, err := ago(s, now); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestSizesAndLengthsAsOneSaysThem(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 KB", 7600: "7.6 KB", 331_493: "331 KB", 999_999: "1.0 MB", 536870912: "537 MB", 5e12: "5.0 TB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 59 * time.Second: "59s", 22*time.Minute + 10*time.Second: "22m 10s", 150 * time.Minute: "2h 30m", 50 * time.Hour: "2d 2h"} {
		if got := lasted(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
