package figures

import (
	"testing"
	"time"
)

func TestFiguresAreSaidAsAPersonSaysThem(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Lasted(0), "0s"}, {Lasted(59*time.Second + 600*time.Millisecond), "1m 0s"}, {Lasted(22*time.Minute + 10*time.Second), "22m 10s"},
		{Lasted(25 * time.Hour), "1d 1h"}, {Lasted(90 * time.Minute), "1h 30m"},
		{Size(0), "0 B"}, {Size(999), "999 B"}, {Size(1500), "1.5 KB"}, {Size(12_345), "12 KB"}, {Size(999_999), "1.0 MB"},
		{Number(0), "0"}, {Number(999), "999"}, {Number(1000), "1,000"}, {Number(1_204_877), "1,204,877"}, {Number(-1000), "-1,000"},
		{Count(0, "file"), "no files"}, {Count(1, "file"), "1 file"}, {Count(6214, "frame"), "6,214 frames"},
	} {
		if c.got != c.want {
			t.Errorf("%q, and not %q", c.got, c.want)
		}
	}
}
