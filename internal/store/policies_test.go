package store

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

func revision(text string) Revision {
	return Revision{wire.Policy{Author: "admin@example.com", Applied: 100, Files: map[string]string{"roles.yaml": text}}}
}

var policyPromises = []promise{
	{"before anything was applied the policy is revision 0 and empty", func(t *testing.T, s *Store) {
		if diff := cmp.Diff(Revision{}, must(s.Policy(t.Context()))(t)); diff != "" {
			t.Fatal(diff)
		}
	}},
	{"the newest revision comes back as it was applied", func(t *testing.T, s *Store) {
		must(s.ApplyPolicy(t.Context(), ada, revision("one"), 0))(t)
		want := revision("roles:\n  - \"tëxt\"\x00")
		want.Revision = must(s.ApplyPolicy(t.Context(), ada, want, 1))(t)
		if diff := cmp.Diff(want, must(s.Policy(t.Context()))(t)); diff != "" || want.Revision != 2 {
			t.Fatal(want.Revision, diff)
		}
		if got := must(s.StateVersion(t.Context()))(t); got != 2 {
			t.Fatalf("state %d, want 2", got)
		}
	}},
	{"a policy made from an old revision is stale", func(t *testing.T, s *Store) {
		must(s.ApplyPolicy(t.Context(), ada, revision("one"), 0))(t)
		for _, base := range []int64{0, 2, -2} {
			_, err := s.ApplyPolicy(t.Context(), ada, revision("two"), base)
			refused(t, err, fault.PolicyStale)
		}
		if got := must(s.ApplyPolicy(t.Context(), ada, revision("two"), -1))(t); got != 2 {
			t.Fatalf("revision %d, want 2", got)
		}
	}},
	{"of many who apply to one base at once one does", func(t *testing.T, s *Store) {
		errs := make([]error, 20)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = s.ApplyPolicy(t.Context(), ada, revision(fmt.Sprint(i)), 0) })
		}
		wg.Wait()
		applied := 0
		for _, err := range errs {
			if err == nil {
				applied++
			} else {
				refused(t, err, fault.PolicyStale)
			}
		}
		if applied != 1 {
			t.Fatalf("%d were applied", applied)
		}
	}},
}
