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
	{
		"0002_audit_log.sql",
		"bc8a520f9c5ebc8bd795ae0913deff7fb2fba11fe895400555958ed2abf86785",
		"616b3beb3338bb1d8209793c3e5346c3c3554963f64c9cc35e25518f415b8abb",
	},
	{
		"0003_recordings.sql",
		"dcb744afe8dad3bce36c1ae6ff7be68d1ea06941e4abbd590ec33ac12de38c61",
		"bda61e4bdc2c6933dda650674c95b2a775289cb1f6101413f925713ee57b81f7",
	},
	{
		"0004_outlets.sql",
		"2a20df870e765a2345aa35ac4067f8b1cc5ebcf95c48fdefc9d4b7725abd5cb9",
		"772925165a73cb329be162f85bc0f4d319c6cb481c4a35fa6b9c68234dc488d7",
	},
	{
		"0005_search.sql",
		"3b29b275ef9d66eb2ea13f4c6f3a1d3cda3ab902da82a077e21af7f75057fee5",
		"151dd965f91bb87ee03ce718ed627bab24f251b175673e8bcab4f132fc67dc31",
	},
}

func TestReleasedMigrationsNeverChange(t *testing.T) {
	for _, d := range []Dialect{SQLite, PostgreSQL} {
		all, err := All(d)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != len(released) {
			t.Fatalf("%d migrations, and %d are pinned", len(all), len(released))
		}
		for i, m := range all {
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
