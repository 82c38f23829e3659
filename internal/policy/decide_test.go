package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// town is the policy of most tests here.
const town = `
role: web-deploy
who: {groups: [eng], identities: ["*@ci.example.com"], claims: {department: web, level: [2, 3]}}
where: {labels: {env: prod, tier: [web, api]}, nodes: ["web-*", api]}
as: {logins: [deploy]}
what: {channels: [shell, exec, sftp], max: 8h}
---
role: db-oncall
who: {groups: [db]}
where: {labels: {tier: db}}
as: {logins: [postgres, root]}
what: {channels: [shell, exec, forward-local]}
---
role: break-glass
who: {identities: [ana@example.com]}
where: {nodes: ["*"]}
as: {logins: ["*"]}
what: {channels: [shell], max: 1h}
---
role: a-no-root-in-prod
deny: true
who: {groups: ["*"]}
where: {labels: {env: prod}}
as: {logins: [root]}
what: {channels: ["*"]}
---
role: contractors-do-not-forward
deny: true
who: {claims: {employment: [contractor]}}
where: {nodes: ["*"]}
as: {logins: ["*"]}
what: {channels: [forward-local, sftp]}
---
role: keepers
who: {groups: [platform]}
duties: [admin, auditor]
`

var (
	web1 = Node{Name: "web-1", Labels: map[string]string{"env": "prod", "tier": "web"}}
	db1  = Node{Name: "db-1", Labels: map[string]string{"env": "prod", "tier": "db"}}
	db2  = Node{Name: "db-2", Labels: map[string]string{"env": "test", "tier": "db"}}
	bare = Node{Name: "bare"}
)

func subjectOf(name string, groups ...string) Subject {
	return Subject{Identity: id.Identity(name), Groups: groups}
}

func claims(name, text string) Subject {
	return Subject{Identity: id.Identity(name), Claims: json.RawMessage(text)}
}

func TestARefusalSaysWhyFromTheClosedList(t *testing.T) {
	p := mustLoad(t, town)
	eng := subjectOf("you@example.com", "eng")
	for name, tt := range map[string]struct {
		s    Subject
		n    Node
		l    id.Login
		want fault.Reason
		role string
	}{
		"nobody":                                          {Subject{}, web1, "deploy", fault.NoRole, ""},
		"nobody in the right group":                       {Subject{Groups: []string{"eng"}}, web1, "deploy", fault.NoRole, ""},
		"a name that no issuer may give":                  {subjectOf("a b", "eng"), web1, "deploy", fault.NoRole, ""},
		"a node without a name":                           {eng, Node{Labels: web1.Labels}, "deploy", fault.NoRole, ""},
		"no login":                                        {eng, web1, "", fault.NoRole, ""},
		"the wildcard as a login":                         {subjectOf("ana@example.com"), web1, "*", fault.NoRole, ""},
		"a login with the node in it":                     {subjectOf("ana@example.com"), web1, "root@db-1", fault.NoRole, ""},
		"somebody without any role":                       {subjectOf("you@example.com"), web1, "deploy", fault.NoRole, ""},
		"a group in other case":                           {subjectOf("you@example.com", "Eng"), web1, "deploy", fault.NoRole, ""},
		"a group that is named like the wildcard":         {subjectOf("you@example.com", "*"), web1, "deploy", fault.NoRole, ""},
		"a part of a group's name":                        {subjectOf("you@example.com", "en", "engineering"), web1, "deploy", fault.NoRole, ""},
		"an identity that only ends like the pattern":     {subjectOf("x@evil-ci.example.com.org"), web1, "deploy", fault.NoRole, ""},
		"another login":                                   {eng, web1, "root2", fault.LoginNotAllowed, ""},
		"a node without labels":                           {eng, Node{Name: "web-1"}, "deploy", fault.NoRole, ""},
		"a node with one of two labels":                   {eng, Node{Name: "web-1", Labels: map[string]string{"tier": "web"}}, "deploy", fault.NoRole, ""},
		"a node with the labels and another name":         {eng, Node{Name: "x-web-1", Labels: web1.Labels}, "deploy", fault.NoRole, ""},
		"a node with the name and another label":          {eng, Node{Name: "web-1", Labels: map[string]string{"env": "prod", "tier": "db"}}, "deploy", fault.NoRole, ""},
		"one of two claims":                               {claims("x@y", `{"department":"web"}`), web1, "deploy", fault.NoRole, ""},
		"claims with another value":                       {claims("x@y", `{"department":"web","level":4}`), web1, "deploy", fault.NoRole, ""},
		"claims inside an object":                         {claims("x@y", `{"a":{"department":"web","level":2}}`), web1, "deploy", fault.NoRole, ""},
		"a claim that is an object":                       {claims("x@y", `{"department":{"web":1},"level":2}`), web1, "deploy", fault.NoRole, ""},
		"a claim that is null":                            {claims("x@y", `{"department":null,"level":2}`), web1, "deploy", fault.NoRole, ""},
		"a claim in other case":                           {claims("x@y", `{"Department":"web","level":2}`), web1, "deploy", fault.NoRole, ""},
		"claims that are no object":                       {Subject{"ana@example.com", nil, json.RawMessage(`["x"]`)}, bare, "ana", fault.NoRole, ""},
		"claims that cannot be read, of a named identity": {Subject{"ana@example.com", nil, json.RawMessage(`{"a":`)}, bare, "ana", fault.NoRole, ""},
		"claims that are null, of a named identity":       {claims("ana@example.com", "null"), bare, "ana", fault.NoRole, ""},
		"claims with something behind them":               {claims("ana@example.com", "{} {}"), bare, "ana", fault.NoRole, ""},
		"a duty is no role on a node":                     {subjectOf("you@example.com", "platform"), web1, "deploy", fault.NoRole, ""},
		"root in prod, by a role that gives it":           {subjectOf("you@example.com", "db"), db1, "root", fault.DeniedByRole, "a-no-root-in-prod"},
		"root in prod, by every login":                    {subjectOf("ana@example.com"), db1, "root", fault.DeniedByRole, "a-no-root-in-prod"},
		"root in prod, by nobody's role":                  {subjectOf("you@example.com"), web1, "root", fault.DeniedByRole, "a-no-root-in-prod"},
	} {
		t.Run(name, func(t *testing.T) {
			d := p.Decide(tt.s, tt.n, tt.l)
			if d.Granted() || d.Denial == nil || d.Grant != nil {
				t.Fatalf("granted: %+v", d.Grant)
			}
			if d.Denial.Reason != tt.want || d.Denial.Role != tt.role {
				t.Fatalf("got %s by %q, want %s by %q", d.Denial.Reason, d.Denial.Role, tt.want, tt.role)
			}
		})
	}
}

func TestAGrantHoldsWhatItsRolesGive(t *testing.T) {
	p := mustLoad(t, town)
	webDeploy := []RoleGrant{{Role: "web-deploy", Channels: []Channel{Shell, Exec, SFTP}, MaxSeconds: 8 * 3600}}
	for name, tt := range map[string]struct {
		s    Subject
		n    Node
		l    id.Login
		want []RoleGrant
	}{
		"by group":                       {subjectOf("you@example.com", "x", "eng"), web1, "deploy", webDeploy},
		"by identity":                    {subjectOf("bot@ci.example.com"), web1, "deploy", webDeploy},
		"by claims":                      {claims("x@y", `{"department":"web","level":2}`), web1, "deploy", webDeploy},
		"by claims in lists":             {claims("x@y", `{"department":["ops","web"],"level":["3"]}`), web1, "deploy", webDeploy},
		"another of the label's values":  {subjectOf("you@example.com", "eng"), Node{"api", map[string]string{"env": "prod", "tier": "api"}}, "deploy", webDeploy},
		"every login":                    {subjectOf("ana@example.com"), bare, "whoever", []RoleGrant{{Role: "break-glass", Channels: []Channel{Shell}, MaxSeconds: 3600}}},
		"root where it is not denied":    {subjectOf("you@example.com", "db"), db2, "root", []RoleGrant{{Role: "db-oncall", Channels: []Channel{Shell, Exec, ForwardLocal}, MaxSeconds: 0}}},
		"less what a denial takes":       {Subject{"you@example.com", []string{"db"}, json.RawMessage(`{"employment":"contractor"}`)}, db2, "root", []RoleGrant{{Role: "db-oncall", Channels: []Channel{Shell, Exec}, MaxSeconds: 0}}},
		"two roles, in order of name":    {subjectOf("ana@example.com", "eng"), web1, "deploy", append([]RoleGrant{{Role: "break-glass", Channels: []Channel{Shell}, MaxSeconds: 3600}}, webDeploy...)},
		"an unrelated claim of any type": {claims("ana@example.com", `{"a":{"b":[null]},"exp":1e3}`), bare, "ana", []RoleGrant{{Role: "break-glass", Channels: []Channel{Shell}, MaxSeconds: 3600}}},
	} {
		t.Run(name, func(t *testing.T) {
			d := p.Decide(tt.s, tt.n, tt.l)
			if !d.Granted() {
				t.Fatalf("denied: %+v", d.Denial)
			}
			if diff := cmp.Diff(tt.want, d.Grant.Roles); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestLimitsStayWithTheirRole(t *testing.T) {
	g := Grant{Roles: []RoleGrant{
		{Role: "a", Channels: []Channel{Shell, Exec}, MaxSeconds: 3600},
		{Role: "b", Channels: []Channel{SFTP}, MaxSeconds: 8 * 3600},
		{Role: "c", Channels: []Channel{Exec}, MaxSeconds: 0},
		{Role: "d", Channels: []Channel{Shell, SFTP}, MaxSeconds: 60},
	}}
	for c, want := range map[Channel]time.Duration{Shell: time.Hour, SFTP: 8 * time.Hour, ForwardLocal: 0, "": 0} {
		if d, limited := g.Limit(c); d != want || !limited {
			t.Errorf("%s: %s, %v; want %s", c, d, limited, want)
		}
	}
	if d, limited := g.Limit(Exec); limited || d != 0 {
		t.Errorf("exec: %s, %v; want no limit", d, limited)
	}
	if _, limited := g.Longest(); limited {
		t.Error("the connection ends before its exec may")
	}
	g.Roles = append(g.Roles[:2:2], g.Roles[3])
	if d, limited := g.Longest(); !limited || d != 8*time.Hour {
		t.Errorf("longest: %s, %v", d, limited)
	}
}

// TestPromise4NothingOpensByAbsence is promise 4 of the design (section 7) for
// policy: zero values refuse, and so does what is missing or cannot be read.
func TestPromise4NothingOpensByAbsence(t *testing.T) {
	ana := subjectOf("ana@example.com", "eng", "db", "platform")
	for name, p := range map[string]*Policy{"a nil policy": nil, "a zero policy": {}} {
		d := p.Decide(ana, web1, "deploy")
		if d.Granted() || d.Denial == nil || d.Denial.Reason != fault.NoPolicy {
			t.Errorf("%s: %+v", name, d)
		}
		if l := p.Logins(ana, web1); len(l) > 0 {
			t.Errorf("%s: logins %v", name, l)
		}
		if isAdmin, isAuditor := p.Duties(ana); isAdmin || isAuditor {
			t.Errorf("%s gives duties", name)
		}
		if v := p.Explain(ana, web1, "deploy"); len(v) > 0 {
			t.Errorf("%s: explains %v", name, v)
		}
	}
	if (Decision{}).Granted() || (Decision{Grant: &Grant{}}).Granted() || (Decision{Grant: &Grant{Roles: []RoleGrant{{}}}, Denial: &Denial{}}).Granted() {
		t.Error("a decision that is empty or both is granted")
	}
	if d := (Access{}).Decide(web1, "deploy"); d.Granted() || d.Denial.Reason != fault.NoPolicy {
		t.Errorf("the zero access: %+v", d)
	}
	for _, c := range append(Channels(), "", "*") {
		if (Grant{}).Allows(c) {
			t.Errorf("the zero grant allows %q", c)
		}
		if d, limited := (Grant{}).Limit(c); d != 0 || !limited {
			t.Errorf("the zero grant lets %q live %s", c, d)
		}
	}
	if d, limited := (Grant{}).Longest(); d != 0 || !limited {
		t.Error("the zero grant lives")
	}
	if f := (Denial{}).Fault(); f.Kind != fault.Denied || f.Reason == "" {
		t.Errorf("the zero denial crosses the API as %+v", f)
	}
	// A rule that was never filled matches nobody.
	for _, r := range []rule{{}, compile(role{Who: &who{}, Where: &where{}, As: &as{}, What: &what{}})} {
		r.Who, r.Where, r.As, r.What = &who{}, &where{}, &as{}, &what{}
		read := readSubject(ana)
		if r.matchesSubject(&read) || r.matchesNode(web1) || r.matchesLogin("deploy") {
			t.Error("a zero rule matches")
		}
	}
}

func TestWhatLsShowsIsWhatADecisionGives(t *testing.T) {
	p := mustLoad(t, town)
	got := p.Logins(subjectOf("ana@example.com", "db"), db1)
	want := []LoginRoles{{AnyLogin, []string{"break-glass"}}, {"postgres", []string{"break-glass", "db-oncall"}}}
	if diff := cmp.Diff(want, got); diff != "" { // root is denied in prod
		t.Fatal(diff)
	}
	if got := p.Logins(subjectOf("you@example.com"), db1); got != nil {
		t.Fatalf("got %v", got)
	}
}

func TestDutiesAreOfThoseWhomTheyName(t *testing.T) {
	p := mustLoad(t, town)
	if isAdmin, isAuditor := p.Duties(subjectOf("you@example.com", "platform")); !isAdmin || !isAuditor {
		t.Error("the keepers are none")
	}
	for _, s := range []Subject{{}, {Groups: []string{"platform"}}, subjectOf("you@example.com"), subjectOf("ana@example.com", "eng"),
		{"you@example.com", []string{"platform"}, json.RawMessage(`{`)}} {
		if isAdmin, isAuditor := p.Duties(s); isAdmin || isAuditor {
			t.Errorf("%+v has duties", s)
		}
	}
}

func TestADenialSpeaksToThePerson(t *testing.T) {
	p := mustLoad(t, town)
	for name, tt := range map[string]struct {
		s          Subject
		n          Node
		l          id.Login
		text, next string
	}{
		"another login": {subjectOf("you@example.com", "eng"), web1, "admin",
			"no role gives you admin on web-1", "You have there: deploy (web-deploy)."},
		"several logins": {subjectOf("ana@example.com", "db"), db1, "root",
			"role a-no-root-in-prod denies root on db-1", "You have there: any other login (break-glass), postgres (break-glass, db-oncall)."},
		"nothing": {subjectOf("you@example.com"), web1, "deploy",
			"no role gives you deploy on web-1", "You have no login there. To see where you have one: sallyport ls"},
	} {
		t.Run(name, func(t *testing.T) {
			f := p.Decide(tt.s, tt.n, tt.l).Denial.Fault()
			if f.Text != tt.text || f.Next != tt.next || f.Kind != fault.Denied {
				t.Fatalf("got %q, %q", f.Text, f.Next)
			}
		})
	}
	if got := (*Policy)(nil).Decide(subjectOf("x@y"), web1, "root").Denial.Text(); got != "no policy has been applied yet, so nobody may enter any node" {
		t.Error(got)
	}
}

func TestAnExplanationNamesWhatMatchedOrTheFirstThingThatDidNot(t *testing.T) {
	p := mustLoad(t, town)
	for name, tt := range map[string]struct {
		s    Subject
		n    Node
		l    id.Login
		role string
		want string
	}{
		"a group":             {subjectOf("y@x", "eng"), web1, "deploy", "web-deploy", "true group eng; labels env=prod tier=web; node web-*; login deploy"},
		"an identity":         {subjectOf("b@ci.example.com"), web1, "deploy", "web-deploy", "true identity *@ci.example.com; labels env=prod tier=web; node web-*; login deploy"},
		"claims":              {claims("y@x", `{"department":"web","level":3}`), web1, "deploy", "web-deploy", "true claims department=web level=2 or 3; labels env=prod tier=web; node web-*; login deploy"},
		"everybody, denied":   {subjectOf("y@x"), db1, "root", "a-no-root-in-prod", "true everybody; labels env=prod; login root"},
		"every login":         {subjectOf("ana@example.com"), bare, "x", "break-glass", "true identity ana@example.com; node *; every login"},
		"not the audience":    {subjectOf("y@x"), web1, "deploy", "web-deploy", "false it is for group eng, or identity *@ci.example.com, or claims department=web level=2 or 3"},
		"no such label":       {subjectOf("y@x", "eng"), bare, "deploy", "web-deploy", "false bare has no label env; it wants prod"},
		"another label":       {subjectOf("y@x", "eng"), db1, "deploy", "web-deploy", "false label tier is db; it wants api or web"},
		"another node":        {subjectOf("y@x", "eng"), Node{"x", web1.Labels}, "deploy", "web-deploy", "false x is not among its nodes api or web-*"},
		"another login":       {subjectOf("y@x", "db"), db1, "deploy", "db-oncall", "false login deploy is not among its logins"},
		"unreadable claims":   {claims("y@x", `{`), db1, "root", "a-no-root-in-prod", "false the identity's name or claims cannot be read"},
		"the group called *":  {subjectOf("y@x", "*"), web1, "deploy", "web-deploy", "false it is for group eng, or identity *@ci.example.com, or claims department=web level=2 or 3"},
		"labels alone decide": {subjectOf("y@x", "db"), db2, "root", "db-oncall", "true group db; labels tier=db; login root"},
	} {
		t.Run(name, func(t *testing.T) {
			views := p.Explain(tt.s, tt.n, tt.l)
			if len(views) != 5 {
				t.Fatalf("%d roles, want those 5 that open nodes", len(views))
			}
			for i, v := range views {
				if i > 0 && v.Matches && !views[i-1].Matches {
					t.Error("a role that matches stands behind one that does not")
				}
				if v.Role != tt.role {
					continue
				}
				if got := fmt.Sprint(v.Matches, " ", strings.Join(v.Why, "; ")); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			}
		})
	}
}

func TestPatternsMatchWholeNames(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"web-1", "web-1", true}, {"web-1", "web-10", false}, {"web-1", "xweb-1", false}, {"web-*", "web-", true},
		{"web-*", "web-1.example.com", true}, {"web-*", "xweb-1", false}, {"*", "", true}, {"*", "x", true},
		{"*.example.com", "a.example.com", true}, {"*.example.com", ".example.com.evil", false}, {"a*a", "a", false}, {"a*a", "aa", true},
		{"a*b*c", "axbxc", true}, {"a*b*c", "acb", false}, {"a*b*c", "abc", true}, {"*a*a*", "a", false}, {"*a*a*", "xaxax", true},
		{"a**b", "ab", true}, {"ab*bc", "abc", false},
	} {
		if got := newPattern(tt.pattern).matches(tt.name); got != tt.want {
			t.Errorf("%s on %q: %v", tt.pattern, tt.name, got)
		}
	}
	if (pattern)(nil).matches("") {
		t.Error("the zero pattern matches")
	}
}

func TestAPatternCostsNoMoreThanItsLength(t *testing.T) {
	p := newPattern(strings.Repeat("a*", 100) + "b")
	begin := time.Now()
	for range 1000 {
		p.matches(strings.Repeat("a", 253))
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("1000 matches took %s", took)
	}
}

func TestAGrantSurvivesTheWire(t *testing.T) {
	d := mustLoad(t, town).Decide(subjectOf("ana@example.com", "eng"), web1, "deploy")
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back Decision
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(d, back) {
		t.Fatalf("%v, %s", err, text)
	}
}

// BenchmarkLs is what `sallyport ls` costs the CA: 200 roles, 5,000 nodes.
func BenchmarkLs(b *testing.B) {
	p, s, nodes := city(b)
	for b.Loop() {
		a, rows := p.For(s), 0
		for _, n := range nodes {
			rows += len(a.Logins(n))
		}
		if rows == 0 {
			b.Fatal("no login anywhere")
		}
	}
}

// BenchmarkDecide is what one connection costs.
func BenchmarkDecide(b *testing.B) {
	p, s, nodes := city(b)
	for b.Loop() {
		p.Decide(s, nodes[7], "deploy")
	}
}

func city(b *testing.B) (*Policy, Subject, []Node) {
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "---\nrole: r%d\nwho: {groups: [g%d, h%d], claims: {team: t%d}}\nwhere: {labels: {env: [e%d, x], tier: t%d}}\nas: {logins: [deploy, l%d]}\nwhat: {channels: [shell, exec]}\n",
			i, i%50, i, i, i%3, i%7, i)
	}
	text.WriteString("---\nrole: no\ndeny: true\nwho: {groups: ['*']}\nwhere: {nodes: ['*']}\nas: {logins: [root]}\nwhat: {channels: ['*']}\n")
	var nodes []Node
	for i := range 5000 {
		nodes = append(nodes, Node{id.NodeName(fmt.Sprintf("n-%d", i)), map[string]string{"env": fmt.Sprintf("e%d", i%3), "tier": fmt.Sprintf("t%d", i%7)}})
	}
	s := Subject{"you@example.com", []string{"g1", "g2", "g3", "h4"}, json.RawMessage(`{"sub":"x","team":["t9","t8"]}`)}
	return mustLoad(b, text.String()), s, nodes
}
