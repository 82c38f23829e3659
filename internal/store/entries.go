package store

import (
	"context"
	"slices"
	"strconv"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Limits of a page of the log.
const (
	entriesDefault = 100
	entriesMost    = 1000
	kindsMost      = 64
)

func scanEntry(r scanner) (e audit.Entry, err error) {
	err = r.Scan(&e.Index, &e.Leaf)
	return e, err
}

// Entry returns the event at index, or not_found.
func (s *Store) Entry(ctx context.Context, index int64) (audit.Entry, error) {
	const query = `SELECT idx, leaf FROM events WHERE idx = $1`
	none := fault.New(fault.Missing, fault.NotFound, "the audit log has no event %d", index)
	return one(ctx, s, scanEntry, none, query, index)
}

// EventsFrom returns the events from index on, in order and without gaps, up to
// limit of them and a thousand. None is no error: there is nothing new.
func (s *Store) EventsFrom(ctx context.Context, index int64, limit int) ([]audit.Entry, error) {
	const query = `SELECT idx, leaf FROM events WHERE idx >= $1 ORDER BY idx LIMIT $2`
	list, err := all(ctx, s, scanEntry, query, index, min(limit, entriesMost))
	if err != nil {
		return nil, err
	}
	for i, e := range list {
		if e.Index != max(index, 0)+int64(i) {
			return nil, damaged("event %d of the audit log is missing", max(index, 0)+int64(i))
		}
	}
	return list, nil
}

// Events lists what f lets through, and the size of the log when it began to
// read: nothing listed is past it. f.Wait is for others (see WaitEvents).
func (s *Store) Events(ctx context.Context, f wire.AuditFilter) (list []audit.Entry, size int64, err error) {
	if len(f.Kind) > kindsMost {
		return nil, 0, fault.New(fault.Invalid, fault.BadRequest, "more than %d kinds of events", kindsMost)
	}
	state, err := s.LogState(ctx)
	if err != nil {
		return nil, 0, err
	}
	from, before := f.From, state.Size
	if f.Before > 0 {
		before = min(before, f.Before)
	}
	if f.Since != 0 {
		since, err := s.firstAt(ctx, f.Since, state.Size)
		if err != nil {
			return nil, 0, err
		}
		from = max(from, since)
	}
	if f.Until != 0 {
		until, err := s.firstAt(ctx, f.Until, state.Size)
		if err != nil {
			return nil, 0, err
		}
		before = min(before, until)
	}
	q := entriesQuery(f, from, before)
	list, err = all(ctx, s, scanEntry, q.text, q.args...)
	return list, state.Size, err
}

// firstAt is the index of the first event at or after a time, in Unix seconds,
// in a log of size events. at never falls, so halving finds it.
func (s *Store) firstAt(ctx context.Context, seconds, size int64) (int64, error) {
	const query = `WITH RECURSIVE half (low, high) AS (
			SELECT CAST(0 AS BIGINT), CAST($1 AS BIGINT)
			UNION ALL
			SELECT CASE WHEN events.at < $2 THEN events.idx + 1 ELSE low END,
				CASE WHEN events.at < $2 THEN high ELSE events.idx END
			FROM half JOIN events ON events.idx = (low + high) / 2
			WHERE low < high)
		SELECT low FROM half ORDER BY low DESC LIMIT 1`
	var first int64
	_, err := s.row(ctx, func(r scanner) error { return r.Scan(&first) }, query, size, seconds*1_000_000)
	return first, err
}

// selection is a query that is put together. Its texts are few, however filters
// are combined: each stays prepared.
type selection struct {
	text string
	args []any
}

func (q *selection) param(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

// entriesQuery asks for each way to find an event apart, each along an index of
// its own and up to the limit, and puts the answers in order.
func entriesQuery(f wire.AuditFilter, from, before int64) selection {
	q := selection{}
	limit := f.Limit
	if limit <= 0 {
		limit = entriesDefault
	}
	rest := ` AND idx >= ` + q.param(from) + ` AND idx < ` + q.param(before)
	for _, c := range []struct{ column, value string }{
		{"login", string(f.Login)}, {"node", string(f.Node)}, {"session", string(f.Session)}, {"reason", f.Reason},
	} {
		if c.value != "" {
			rest += ` AND ` + c.column + ` <> '' AND ` + c.column + ` = ` + q.param(c.value)
		}
	}
	order := ` DESC`
	if f.Oldest {
		order = ` ASC`
	}
	end := ` ORDER BY idx` + order + ` LIMIT ` + q.param(min(limit, entriesMost))

	var kinds []string
	if len(f.Kind) > 0 {
		for _, k := range padded(f.Kind) {
			kinds = append(kinds, q.param(k))
		}
	}
	var ways []string
	switch {
	case f.Identity != "":
		who := q.param(string(f.Identity))
		ways = []string{
			`identity <> '' AND identity = ` + who,
			`actor <> '' AND actor <> identity AND actor = ` + who,
		}
		for i := range ways {
			ways[i] += oneOf("kind", kinds)
		}
	case len(kinds) > 0 && f.Session == "" && f.Node == "" && f.Reason == "":
		for _, k := range kinds {
			ways = append(ways, `kind = `+k)
		}
	default:
		ways = []string{`TRUE` + oneOf("kind", kinds)}
	}
	for i, way := range ways {
		if i > 0 {
			q.text += ` UNION ALL `
		}
		q.text += `SELECT * FROM (SELECT idx, leaf FROM events WHERE ` + way + rest + end + `) AS way`
	}
	if len(ways) > 1 {
		q.text = `SELECT idx, leaf FROM (` + q.text + `) AS ways` + end
	}
	return q
}

func oneOf(column string, params []string) (text string) {
	for i, p := range params {
		if i > 0 {
			text += `, `
		}
		text += p
	}
	if text != "" {
		text = ` AND ` + column + ` IN (` + text + `)`
	}
	return text
}

// padded is a list whose length is a power of two, each kind once, with ""
// behind, which no event has.
func padded(kinds []string) []string {
	kinds = slices.Clone(kinds)
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	for n := len(kinds); n&(n-1) != 0; n++ {
		kinds = append(kinds, "")
	}
	return kinds
}
