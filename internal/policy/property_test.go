package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// The pools are small, so that drawn roles meet drawn questions.
var (
	drawGroup   = rapid.SampledFrom([]string{"a", "b", "c"})
	drawLabel   = rapid.SampledFrom([]string{"x", "y"})
	drawLogin   = rapid.SampledFrom([]string{"root", "deploy", "ops"})
	drawName    = rapid.SampledFrom([]string{"web-1", "web-2", "db-1"})
	drawPattern = rapid.SampledFrom([]string{"*", "web-*", "db-1", "*-1", "none"})
	drawPerson  = rapid.SampledFrom([]string{"p@x", "q@x", "r@y"})
)

// drawList draws a non-empty YAML list, now and then with "*" in it.
func drawList(t *rapid.T, from *rapid.Generator[string], label string) string {
	words := rapid.SliceOfN(from, 1, 2).Draw(t, label)
	if rapid.IntRange(0, 5).Draw(t, label+" any") == 0 {
		words = append(words, "*")
	}
	text, _ := json.Marshal(words) // a JSON list is one in YAML
	return string(text)
}

func drawRole(name string, deny bool) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var who, where []string
		kinds := rapid.IntRange(1, 7).Draw(t, "kinds")
		if kinds&1 != 0 {
			who = append(who, "groups: "+drawList(t, drawGroup, "groups"))
		}
		if kinds&2 != 0 {
			who = append(who, "identities: "+drawList(t, drawPerson, "identities"))
		}
		if kinds&4 != 0 {
			who = append(who, "claims: {team: "+drawList(t, drawGroup, "claims")+"}")
		}
		places := rapid.IntRange(1, 3).Draw(t, "places")
		if places&1 != 0 {
			where = append(where, "labels: {env: "+drawList(t, drawLabel, "labels")+"}")
		}
		if places&2 != 0 {
			where = append(where, "nodes: "+drawList(t, drawPattern, "nodes"))
		}
		var channels []string
		for _, c := range rapid.SliceOfNDistinct(rapid.SampledFrom(Channels()), 1, 4, rapid.ID[Channel]).Draw(t, "channels") {
			channels = append(channels, string(c))
		}
		limit := ""
		if deny && rapid.Bool().Draw(t, "whole") {
			channels = []string{`"*"`}
		} else if !deny && rapid.Bool().Draw(t, "limited") {
			limit = fmt.Sprintf(", max: %ds", rapid.IntRange(1, 3).Draw(t, "max"))
		}
		return fmt.Sprintf("role: %s\ndeny: %v\nwho: {%s}\nwhere: {%s}\nas: {logins: %s}\nwhat: {channels: [%s]%s}\n",
			name, deny, strings.Join(who, ", "), strings.Join(where, ", "), drawList(t, drawLogin, "logins"), strings.Join(channels, ", "), limit)
	})
}

func drawRoles(t *rapid.T) []string {
	var roles []string
	for i := range rapid.IntRange(1, 5).Draw(t, "roles") {
		roles = append(roles, drawRole(fmt.Sprintf("r%d", i), rapid.IntRange(0, 3).Draw(t, "deny") == 0).Draw(t, "role"))
	}
	return roles
}

type question struct {
	s Subject
	n Node
	l id.Login
}

func drawQuestion(t *rapid.T) question {
	q := question{s: Subject{Identity: id.Identity(drawPerson.Draw(t, "person")), Groups: rapid.SliceOfN(drawGroup, 0, 2).Draw(t, "in")},
		n: Node{Name: id.NodeName(drawName.Draw(t, "node"))}, l: id.Login(drawLogin.Draw(t, "login"))}
	if rapid.Bool().Draw(t, "claimed") {
		q.s.Claims, _ = json.Marshal(map[string]any{"team": rapid.SliceOfN(drawGroup, 0, 2).Draw(t, "teams")})
	}
	if rapid.Bool().Draw(t, "labelled") {
		q.n.Labels = map[string]string{"env": drawLabel.Draw(t, "env")}
	}
	return q
}

func drawn(t *rapid.T, roles []string) *Policy {
	p, err := Load(map[string]string{"p": strings.Join(roles, "---\n")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// contains says that every channel of small is in big, for at least as long.
func contains(big, small Decision) error {
	if !small.Granted() {
		return nil
	}
	for _, c := range Channels() {
		if !small.Grant.Allows(c) {
			continue
		}
		if !big.Granted() || !big.Grant.Allows(c) {
			return fmt.Errorf("lost %s", c)
		}
		was, limitedBefore := small.Grant.Limit(c)
		now, limitedNow := big.Grant.Limit(c)
		if limitedNow && (!limitedBefore || now < was) {
			return fmt.Errorf("%s was shortened from %s (%v) to %s", c, was, limitedBefore, now)
		}
	}
	return nil
}

func TestAddingARoleThatAllowsTakesNothingAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, q := drawRoles(t), drawQuestion(t)
		before := drawn(t, roles).Decide(q.s, q.n, q.l)
		after := drawn(t, append(roles, drawRole("new", false).Draw(t, "new"))).Decide(q.s, q.n, q.l)
		if err := contains(after, before); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAddingARoleThatDeniesGivesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, q := drawRoles(t), drawQuestion(t)
		before := drawn(t, roles).Decide(q.s, q.n, q.l)
		after := drawn(t, append(roles, drawRole("new", true).Draw(t, "new"))).Decide(q.s, q.n, q.l)
		if err := contains(before, after); err != nil {
			t.Fatal("the other way round: ", err)
		}
	})
}

func TestARoleGivesNoMoreThanItWouldAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, q := drawRoles(t), drawQuestion(t)
		d := drawn(t, roles).Decide(q.s, q.n, q.l)
		if !d.Granted() {
			return
		}
		for _, given := range d.Grant.Roles {
			i := slices.IndexFunc(roles, func(r string) bool { return strings.HasPrefix(r, "role: "+given.Role+"\n") })
			alone := drawn(t, roles[i:i+1]).Decide(q.s, q.n, q.l)
			if err := contains(alone, Decision{Grant: &Grant{Roles: []RoleGrant{given}}}); err != nil {
				t.Fatalf("%s: %v", given.Role, err)
			}
		}
	})
}

func TestTheOrderOfRolesAndFilesMeansNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, q := drawRoles(t), drawQuestion(t)
		first := drawn(t, roles)
		files := map[string]string{}
		for i, r := range rapid.Permutation(roles).Draw(t, "order") {
			files[fmt.Sprint(i)] = r
		}
		second, err := Load(files)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first.Decide(q.s, q.n, q.l), second.Decide(q.s, q.n, q.l)); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(first.Explain(q.s, q.n, q.l), second.Explain(q.s, q.n, q.l)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestLsAndExplainAgreeWithDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := drawn(t, drawRoles(t)), drawQuestion(t)
		d := p.Decide(q.s, q.n, q.l)
		if (d.Grant == nil) == (d.Denial == nil) {
			t.Fatalf("%+v is not exactly one of grant and denial", d)
		}
		logins := p.Logins(q.s, q.n)
		listed := slices.ContainsFunc(logins, func(l LoginRoles) bool { return l.Login == q.l })
		anyLogin := slices.ContainsFunc(logins, func(l LoginRoles) bool { return l.Login == AnyLogin })
		if listed && !d.Granted() || d.Granted() && !listed && !anyLogin {
			t.Fatalf("listed %v, granted %v", logins, d.Granted())
		}
		matching := map[string]bool{}
		for _, v := range p.Explain(q.s, q.n, q.l) {
			matching[v.Role] = v.Matches && !v.Denies
		}
		if d.Granted() {
			for _, name := range d.Grant.Names() {
				if !matching[name] {
					t.Fatalf("%s gives and is not explained", name)
				}
			}
		}
	})
}
