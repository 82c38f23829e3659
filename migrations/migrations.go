// Package migrations holds the schema of the store as numbered SQL files, and
// renders them for either database. README.md beside this file says the rules.
//
// The files are one text for both databases. What differs is a handful of words:
//
//	word          SQLite              PostgreSQL
//	{{.Int}}      INTEGER             BIGINT
//	{{.Bool}}     INTEGER             BOOLEAN
//	{{.Bytes}}    BLOB                BYTEA
//	{{.Strict}}   STRICT
//	{{.Keyed}}    STRICT, WITHOUT ROWID
//	{{.NoBytes}}  x''                 ''
//
// and {{refuse table event condition message}}, a trigger that refuses the
// change of a row for which the condition holds; {{refuseAs name ...}} is a
// further one on a table that has one. {{if .SQLite}} is for what only one of
// them has.
package migrations

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"text/template"
)

//go:embed *.sql
var files embed.FS

// Dialect is a database that the schema is rendered for. The zero Dialect
// renders nothing.
type Dialect string

const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string // of its file
	SQL     string // statements, to be run in one transaction
}

type words struct {
	Int, Bool, Bytes, Strict, Keyed, NoBytes string
	SQLite                                   bool
}

var dialects = map[Dialect]words{
	SQLite:     {Int: "INTEGER", Bool: "INTEGER", Bytes: "BLOB", Strict: "STRICT", Keyed: "STRICT, WITHOUT ROWID", NoBytes: "x''", SQLite: true},
	PostgreSQL: {Int: "BIGINT", Bool: "BOOLEAN", Bytes: "BYTEA", NoBytes: "''"},
}

// All returns every migration for d, oldest first.
func All(d Dialect) ([]Migration, error) {
	w, ok := dialects[d]
	if !ok {
		return nil, fmt.Errorf("no schema for database %q", d)
	}
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var all []Migration
	for i, entry := range entries { // sorted by name, and so by number
		m, err := render(d, w, entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", entry.Name(), err)
		}
		if m.Version != int64(i+1) {
			return nil, fmt.Errorf("migration %s should have number %d", m.Name, i+1)
		}
		all = append(all, m)
	}
	return all, nil
}

func render(d Dialect, w words, name string) (Migration, error) {
	number, _, _ := strings.Cut(name, "_")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return Migration{}, err
	}
	text, err := files.ReadFile(name)
	if err != nil {
		return Migration{}, err
	}
	t, err := template.New(name).Funcs(template.FuncMap{"refuse": d.refuse, "refuseAs": d.refuseAs}).Parse(string(text))
	if err != nil {
		return Migration{}, err
	}
	var sql strings.Builder
	if version == 1 && d == PostgreSQL {
		sql.WriteString(refuseFunction)
	}
	if err := t.Execute(&sql, w); err != nil {
		return Migration{}, err
	}
	return Migration{Version: version, Name: name, SQL: sql.String()}, nil
}

// refuseFunction is what PostgreSQL's triggers call; SQLite has RAISE.
const refuseFunction = `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END $$;
`

// refuse is a trigger on table that refuses event (UPDATE or DELETE) for rows
// where condition, over OLD and NEW, holds. Refusing to delete refuses TRUNCATE
// too; SQLite has none.
func (d Dialect) refuse(table, event, condition, message string) (string, error) {
	sql, err := d.refuseAs(table+"_"+strings.ToLower(event)+"_refused", table, event, condition, message)
	if err == nil && event == "DELETE" && d == PostgreSQL {
		sql += fmt.Sprintf("\nCREATE TRIGGER %s_truncate_refused BEFORE TRUNCATE ON %s FOR EACH STATEMENT\nEXECUTE FUNCTION refuse('%s');",
			table, table, message)
	}
	return sql, err
}

// refuseAs is one trigger by its name.
func (d Dialect) refuseAs(name, table, event, condition, message string) (string, error) {
	if event != "UPDATE" && event != "DELETE" {
		return "", fmt.Errorf("refuse %s: neither UPDATE nor DELETE", event)
	}
	if strings.Contains(message, "'") {
		return "", fmt.Errorf("message %q has a quote in it", message)
	}
	if d == SQLite {
		return fmt.Sprintf("CREATE TRIGGER %s BEFORE %s ON %s FOR EACH ROW WHEN (%s)\nBEGIN SELECT RAISE(ABORT, '%s'); END;",
			name, event, table, condition, message), nil
	}
	return fmt.Sprintf("CREATE TRIGGER %s BEFORE %s ON %s FOR EACH ROW WHEN (%s)\nEXECUTE FUNCTION refuse('%s');",
		name, event, table, condition, message), nil
}
