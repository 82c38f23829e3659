package store

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// events returns the whole log.
func events(t testing.TB, s *Store) []audit.Event {
	t.Helper()
	var list []audit.Event
	for {
		page := must(s.EventsFrom(t.Context(), int64(len(list)), entriesMost))(t)
		if len(page) == 0 {
			return list
		}
		for _, e := range page {
			list = append(list, must(e.Event())(t))
		}
	}
}

// proven fails unless the audit log is whole, is the tree of its leaves, and
// tells neither more nor less than what the other tables hold: every invariant
// that there is, in full.
func proven(t testing.TB, s *Store) []audit.Event {
	t.Helper()
	// 1. The tree. The columns are what the leaf says.
	state := must(s.LogState(t.Context()))(t)
	var frontier audit.Frontier
	var size, last int64
	const query = `SELECT idx, at, kind, reason, actor, identity, login, node, session, hash, leaf FROM events ORDER BY idx`
	err := s.each(t.Context(), func(r scanner) error {
		var e, leaf audit.Event
		var entry audit.Entry
		var hash []byte
		err := r.Scan(&entry.Index, &e.At, &e.Kind, &e.Reason, &e.Actor, &e.Identity, &e.Login, &e.Node, &e.Session,
			&hash, &entry.Leaf)
		if err != nil {
			return err
		}
		if leaf, err = entry.Event(); err != nil {
			return err
		}
		sum := audit.LeafHash(entry.Leaf)
		switch {
		case entry.Index != size:
			return fmt.Errorf("event %d stands in the place of %d", entry.Index, size)
		case !bytes.Equal(hash, sum[:]):
			return fmt.Errorf("event %d has another hash than its leaf", size)
		case e.At < last:
			return fmt.Errorf("event %d is older than the one before", size)
		case leaf.At != e.At || leaf.Kind != e.Kind || leaf.Reason != e.Reason || leaf.Actor != e.Actor ||
			leaf.Identity != e.Identity || leaf.Login != e.Login || leaf.Node != e.Node || leaf.Session != e.Session:
			return fmt.Errorf("event %d is filed under %+v and says %s", size, e, entry.Leaf)
		}
		frontier, err = frontier.Push(size, sum)
		size, last = size+1, e.At
		return err
	}, query)
	ok(t, err)
	if size != state.Size || last != state.At || !bytes.Equal(frontier, state.Frontier) {
		t.Fatalf("the log has %d events up to %d, and its counters say %d up to %d (frontiers equal: %t)",
			size, last, state.Size, state.At, bytes.Equal(frontier, state.Frontier))
	}
	ok(t, s.CheckLog(t.Context()))

	// 2. Certificates, sessions and policies, each with its leaf; and the other
	// way round.
	list := events(t, s)
	told := map[string]int{}
	for _, e := range list {
		if c := e.Certificate; c != nil && e.Kind != audit.LoginEnded && e.Kind != audit.CertificateRevoked {
			told[fmt.Sprintf("certificate %d %s %s", c.Serial, c.Profile, c.Key)]++
		}
		switch e.Kind {
		case audit.LoginEnded, audit.CertificateRevoked:
			told[fmt.Sprintf("revoked %d", e.Certificate.Serial)]++
		case audit.SessionGranted:
			told[fmt.Sprintf("session %s %s %s@%s %d", e.Session, e.Identity, e.Login, e.Node, e.Certificate.Serial)]++
		case audit.SessionEnded:
			told[fmt.Sprintf("ended %s %s %d", e.Session, e.Reason, e.Bytes)]++
		case audit.PolicyApplied:
			told[fmt.Sprintf("policy %d", e.Policy.Revision)]++
		}
	}
	held := map[string]int{}
	for _, query := range []string{
		`SELECT 'certificate ' || serial || ' ' || profile || ' ' || key_print FROM certificates`,
		`SELECT 'revoked ' || serial FROM certificates WHERE revoked > 0`,
		`SELECT 'session ' || id || ' ' || identity || ' ' || login || '@' || node || ' ' || serial FROM sessions`,
		`SELECT 'ended ' || id || ' ' || ended_as || ' ' || bytes FROM sessions WHERE ended > 0`,
		`SELECT 'policy ' || revision FROM policies`,
	} {
		ok(t, s.each(t.Context(), func(r scanner) error {
			var line string
			err := r.Scan(&line)
			held[line]++
			return err
		}, query))
	}
	if !maps.Equal(told, held) {
		for _, line := range slices.Sorted(maps.Keys(told)) {
			if held[line] != told[line] {
				t.Errorf("%s: told %d times, there %d times", line, told[line], held[line])
			}
		}
		for _, line := range slices.Sorted(maps.Keys(held)) {
			if told[line] == 0 {
				t.Errorf("%s: never told", line)
			}
		}
		t.FailNow()
	}
	return list
}

// kinds are those of a log, in its order.
func kinds(list []audit.Event) (kinds []audit.Kind) {
	for _, e := range list {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// denied is somebody's denial.
func denied(who id.Identity) audit.Event {
	return audit.Event{
		Kind: audit.SessionDenied, Outcome: audit.Refused, Reason: "no_role", Actor: string(who), Identity: who,
		Login: "root", Node: "web-1",
	}
}
