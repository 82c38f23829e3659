package policy

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Limits of a policy as a whole; config has those of a file.
const (
	maxFiles = 1000
	maxBytes = 4 << 20 // of all files together
)

// Policy is a set of roles that loaded without an error. It is immutable and
// may be used by many goroutines. The zero Policy, and a nil one, denies
// everything with reason no_policy.
type Policy struct {
	rules []rule // in the order of their names
}

// Load reads the roles of all files, by file name. Any error in any of them is
// a *fault.Error with reason policy_invalid, and then there is no Policy: half
// of a policy could lack the half that denies. Files without any role are an
// error too, since nobody means to lock everybody out by an empty directory.
func Load(files map[string]string) (*Policy, error) {
	rules, err := load(files)
	if err != nil {
		var f *fault.Error
		if errors.As(err, &f) {
			f.Reason = fault.PolicyInvalid
		}
		return nil, err
	}
	slices.SortFunc(rules, func(a, b rule) int { return strings.Compare(a.name, b.name) })
	return &Policy{rules}, nil
}

func load(files map[string]string) ([]rule, error) {
	if len(files) > maxFiles {
		return nil, fault.New(fault.Invalid, fault.PolicyInvalid, "a policy of more than %d files", maxFiles)
	}
	total := 0
	for _, text := range files {
		total += len(text)
	}
	if total > maxBytes {
		return nil, fault.New(fault.Invalid, fault.PolicyInvalid, "a policy of more than %d MiB", maxBytes>>20)
	}
	var rules []rule
	taken := map[roleName]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		docs, err := config.Documents(name, []byte(files[name]))
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			var r role
			if err := doc.Decode(&r); err != nil {
				return nil, err
			}
			if where, ok := taken[r.Name]; ok {
				return nil, doc.Errorf("role", "role %s stands already at %s", r.Name, where)
			}
			taken[r.Name] = doc.Place()
			rules = append(rules, compile(r))
		}
	}
	if len(rules) == 0 {
		return nil, fault.New(fault.Invalid, fault.PolicyInvalid, "no role stands in these files, and nobody could enter any node").
			Then("for that, write a role that denies; see POLICY.md")
	}
	return rules, nil
}

// Len is the number of roles.
func (p *Policy) Len() int {
	if p == nil {
		return 0
	}
	return len(p.rules)
}
