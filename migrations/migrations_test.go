package migrations

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// released pins each file as each database gets it. A line that stands here
// never changes (README.md, rule 1).
var released = []struct{ name, sqlite, postgres string }{
	{
		"0001_audited_path.sql",
		"5a2dbf295c0989f3aa6c5e3746cc72e5cc15b54d58b10bf99908a875cb25a332",
		"968dc23a75a1bce79a58d03e9478bfe12cfb9d139462ed56be5d4edaebe22e22",
	},
}

func TestReleasedMigrationsNeverChange(t *testing.T) {
	for _, d := range []Dialect{SQLite, PostgreSQL} {
		all, err := All(d)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) < len(released) {
			t.Fatalf("%d migrations, and %d are pinned", len(all), len(released))
		}
		for i, m := range all[:len(released)] {
			want := released[i].sqlite
			if d == PostgreSQL {
				want = released[i].postgres
			}
			sum := sha256.Sum256([]byte(m.SQL))
			if got := hex.EncodeToString(sum[:]); m.Name != released[i].name || got != want {
				t.Errorf("%s for %s is %s, pinned is %s with %s", m.Name, d, got, released[i].name, want)
			}
		}
	}
}

func TestAnUnknownDatabaseHasNoSchema(t *testing.T) {
	for _, d := range []Dialect{"", "mysql"} {
		if all, err := All(d); err == nil {
			t.Fatalf("%q has %d migrations", d, len(all))
		}
	}
}

func TestATriggerThatCannotBeWrittenIsRefused(t *testing.T) {
	if _, err := SQLite.refuse("t", "INSERT", "TRUE", "no"); err == nil {
		t.Error("a trigger on INSERT was written")
	}
	if _, err := PostgreSQL.refuse("t", "DELETE", "TRUE", "it's"); err == nil {
		t.Error("a message with a quote was written")
	}
}
