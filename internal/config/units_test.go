package config

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDurationsAreWrittenShort(t *testing.T) {
	for text, want := range map[string]string{
		"8h": "8h", "30s": "30s", "7d": "7d", "1h30m": "1h30m", "24h": "1d", "90m": "1h30m", "0s": "0s", "0": "0s",
		"1d1s": "24h0m1s", "250ms": "250ms", "10m": "10m", "1h0m10s": "1h0m10s",
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, d, err, want)
		}
	}
}

func TestWhatIsNoDurationIsRefused(t *testing.T) {
	for _, text := range []string{"", "8", "h", "d", "-1d", "+1d", "1.5d", "1d-1h", "d1h", "1h1d", "106752d", "106751d24h", "8 h", "8H", " 8h"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q became %s", text, d)
		}
	}
}

func TestWhatIsNoSizeIsRefused(t *testing.T) {
	for _, text := range []string{"", "MiB", "-1", "+1", "1.5MiB", "1mib", "1 M", "0x10", "1_000", "9223372036854775808", "8388608TiB"} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q became %s", text, b)
		}
	}
}

func TestUnitsAreReadBackAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Range(0, int64(100*365*24*time.Hour)).Draw(t, "d"))
		var d2 Duration
		if err := d2.UnmarshalText([]byte(d.String())); err != nil || d2 != d {
			t.Fatalf("%s: %v, %s", d, err, d2)
		}
		b := Bytes(rapid.Int64Range(0, 1<<62).Draw(t, "b"))
		var b2 Bytes
		if err := b2.UnmarshalText([]byte(b.String())); err != nil || b2 != b {
			t.Fatalf("%s: %v, %s", b, err, b2)
		}
	})
}

func FuzzUnits(f *testing.F) {
	for _, s := range []string{"8h", "1d12h", "64MiB", "1 kB", "-1", "999999999999999999999d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var d Duration
		if d.UnmarshalText([]byte(s)) == nil && d < 0 {
			t.Fatalf("%q is %d", s, d)
		}
		var b Bytes
		if b.UnmarshalText([]byte(s)) == nil && b < 0 {
			t.Fatalf("%q is %d", s, b)
		}
	})
}
