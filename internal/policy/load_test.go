package policy

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// whole is a role to which a test adds, or from which it takes, one thing.
const whole = `role: r
who: {groups: [eng]}
where: {nodes: [web-1]}
as: {logins: [deploy]}
what: {channels: [shell]}
`

func one(text string) map[string]string { return map[string]string{"p.yaml": text} }

func mustLoad(t testing.TB, texts ...string) *Policy {
	t.Helper()
	files := map[string]string{}
	for i, text := range texts {
		files[fmt.Sprintf("%d.yaml", i)] = text
	}
	p, err := Load(files)
	if err != nil {
		t.Fatal(fault.Of(err).Text)
	}
	return p
}

func TestARoleThatLeavesAnythingOpenDoesNotLoad(t *testing.T) {
	without := func(key string) string {
		return regexp.MustCompile(`(?m)^`+key+`:.*\n`).ReplaceAllString(whole, "")
	}
	with := func(key, text string) string { return without(key) + key + ": " + text + "\n" }
	for name, tt := range map[string]struct{ text, want string }{
		"no name":                           {without("role"), `p.yaml:1:1: role is missing`},
		"no who":                            {without("who"), `p.yaml:1:1: role r does not say who; for everybody write who: {groups: ["*"]}`},
		"no where":                          {without("where"), `role r does not say where; for every node write where: {nodes: ["*"]}`},
		"no as":                             {without("as"), `role r does not say as which logins; for every login write as: {logins: ["*"]}`},
		"no what":                           {without("what"), `role r does not say what; write what: {channels: [...]} with some of: shell, exec,`},
		"a denial that does not say where":  {without("where") + "deny: true\n", `role r does not say where`},
		"a denial that does not say what":   {without("what") + "deny: true\n", `role r does not say what`},
		"duties beside half a role":         {without("as") + "duties: [admin]\n", `role r does not say as which logins`},
		"a who that is null":                {with("who", ""), `p.yaml:5:1: who has no value`},
		"a who that is empty":               {with("who", "{}"), `p.yaml:5:6: who is empty; name groups, identities or claims`},
		"groups without any":                {with("who", "{groups: []}"), `p.yaml:5:15: groups is empty; for everybody write ["*"]`},
		"identities without any":            {with("who", "{groups: [a], identities: []}"), `identities is empty`},
		"claims without any":                {with("who", "{groups: [a], claims: {}}"), `claims is empty`},
		"a claim without values":            {with("who", "{claims: {dep: []}}"), `dep has no values; for any value write "*"`},
		"a claim that is null":              {with("who", "{claims: {dep: }}"), `nothing stands here`},
		"a group that is empty":             {with("who", `{groups: [""]}`), `p.yaml:5:16: value is empty`},
		"a group that is a pattern":         {with("who", `{groups: ["eng-*"]}`), `"eng-*" is matched exactly; a "*" stands alone, for any`},
		"a group with a space around it":    {with("who", `{groups: ["eng "]}`), `value "eng " has white space around it`},
		"groups as one word":                {with("who", "{groups: eng}"), `text stands here; a list is expected`},
		"an identity that none can have":    {with("who", `{identities: ["you and me"]}`), `identity "you and me" has ' ' in it`},
		"a where that is empty":             {with("where", "{}"), `where is empty; name labels or nodes`},
		"labels without any":                {with("where", "{labels: {}}"), `labels is empty; for every node write nodes: ["*"]`},
		"a label without values":            {with("where", "{labels: {env: []}}"), `env has no values; for any value write "*"`},
		"a label's name with a wildcard":    {with("where", `{labels: {"*": prod}}`), `names are matched exactly`},
		"a label's value that is a pattern": {with("where", `{labels: {env: "pro*"}}`), `"pro*" is matched exactly`},
		"nodes without any":                 {with("where", "{nodes: []}"), `nodes is empty; for every node write ["*"]`},
		"a node that none can have":         {with("where", "{nodes: [Web-1]}"), `node name "Web-1" has 'W' in it`},
		"an as that is empty":               {with("as", "{}"), `logins is empty`},
		"logins without any":                {with("as", "{logins: []}"), `p.yaml:5:14: logins is empty`},
		"a login that none can have":        {with("as", "{logins: [-x]}"), `login "-x" starts with '-'`},
		"a login that is a pattern":         {with("as", `{logins: ["web*"]}`), `login "web*" has '*' in it`},
		"a what that is empty":              {with("what", "{}"), `channels is empty; legal: shell, exec, sftp, subsystem, forward-agent, forward-local, forward-remote, forward-unix`},
		"channels without any":              {with("what", "{channels: []}"), `channels is empty; legal: shell`},
		"an unknown channel":                {with("what", "{channels: [shell, x11]}"), `p.yaml:5:26: unknown channel "x11"; legal: shell, exec, sftp, subsystem, forward-agent, forward-local, forward-remote, forward-unix`},
		"a channel in capitals":             {with("what", "{channels: [SFTP]}"), `unknown channel "SFTP"`},
		"all channels without their names":  {with("what", `{channels: ["*"]}`), `a role that allows names its channels`},
		"a max without a unit":              {with("what", "{channels: [exec], max: 30}"), `"30" is no duration`},
		"a max of nothing":                  {with("what", "{channels: [exec], max: 0s}"), `max is less than a second; for no limit leave it out`},
		"a max of less than a second":       {with("what", "{channels: [exec], max: 10ms}"), `max is less than a second`},
		"a max in a denial":                 {with("what", "{channels: [exec], max: 1h}") + "deny: true\n", `max has no meaning in a role that denies`},
		"an unknown duty":                   {whole + "duties: [root]\n", `unknown duty "root"; legal: admin, auditor`},
		"duties without any":                {whole + "duties: []\n", `duties is empty`},
		"duties in a denial":                {whole + "deny: true\nduties: [admin]\n", `a role that denies gives no duties`},
		"everybody as admin":                {"role: r\nwho: {groups: ['*']}\nduties: [admin]\n", `everybody would be admin`},
		"every identity as auditor":         {"role: r\nwho: {identities: ['*']}\nduties: [auditor]\n", `everybody would be auditor`},
		"a deny that is a word":             {whole + "deny: yes\n", `true or false is expected`},
		"a key from another product":        {whole + "rules: []\n", `unknown key "rules"; legal here: role, about, deny, who, where, as, what, duties`},
		"a misspelt key":                    {with("where", "{label: {env: prod}}"), `unknown key "label"; legal here: labels, nodes`},
		"a doubled key":                     {whole + "who: {groups: [all]}\n", `"who" was already said at line 2`},
		"a name in capitals":                {with("role", "Web"), `role name "Web" is not of up to 64`},
		"a name that speaks to a terminal":  {with("role", `"a\e[2J"`), `role name "a\x1b[2J" is not of up to 64`},
		"a name twice in one file":          {whole + "---\n" + whole, `p.yaml:7:7: role r stands already at p.yaml:1`},
		"a role that is broken behind one":  {whole + "---\nrole: x\n", `p.yaml:7:1: role x does not say who`},
		"a denial behind empty documents":   {whole + "---\n---\nrole: x\ndeny: true\n", `role x does not say who`},
		"no role at all":                    {"# nothing yet\n", `no role stands in these files`},
		"a policy as a list":                {"- role: r\n", `a list stands here`},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Load(one(tt.text))
			f := fault.Of(err)
			if err == nil || f.Reason != fault.PolicyInvalid || f.Kind != fault.Invalid || p != nil {
				t.Fatalf("got %v and %v, want policy_invalid and no policy", err, p)
			}
			if !strings.Contains(f.Text, tt.want) {
				t.Fatalf("got:\n%s\nwant in it:\n%s", f.Text, tt.want)
			}
		})
	}
}

func TestOneBrokenFileOfManyKeepsTheWholePolicyOut(t *testing.T) {
	files := map[string]string{"a.yaml": whole, "b.yaml": strings.Replace(whole, "role: r", "role: s\nx: y", 1)}
	if p, err := Load(files); err == nil || p != nil || !strings.HasPrefix(fault.Of(err).Text, "b.yaml:2:1:") {
		t.Fatalf("got %v, %v", p, err)
	}
	files = map[string]string{"a.yaml": whole, "b.yaml": "# c\n" + whole}
	if _, err := Load(files); err == nil || !strings.HasPrefix(fault.Of(err).Text, "b.yaml:2:7: role r stands already at a.yaml:1") {
		t.Fatalf("got %v", err)
	}
}

func TestAPolicyBeyondItsLimitsIsRefused(t *testing.T) {
	many := map[string]string{}
	for i := range maxFiles + 1 {
		many[fmt.Sprint(i)] = ""
	}
	big := map[string]string{}
	for i := range 5 {
		big[fmt.Sprint(i)] = strings.Repeat("#\n", 1<<19)
	}
	for name, files := range map[string]map[string]string{
		"too many files": many, "too many bytes": big, "10 MB in one file": one(strings.Repeat("a: b\n", 2<<20)), "no files": nil,
	} {
		if p, err := Load(files); fault.ReasonOf(err) != fault.PolicyInvalid || p != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheManualLoads reads every example of POLICY.md: each by itself, and all
// of them as one policy.
func TestTheManualLoads(t *testing.T) {
	manual, err := os.ReadFile("POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(manual), -1)
	if len(blocks) < 4 {
		t.Fatalf("found %d examples", len(blocks))
	}
	all := map[string]string{}
	for i, block := range blocks {
		mustLoad(t, block[1])
		all[fmt.Sprint(i)] = block[1]
	}
	p, err := Load(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Channels() {
		if !strings.Contains(string(manual), "| `"+string(c)+"` |") {
			t.Errorf("the manual does not say what %s is", c)
		}
	}
	// What the manual says of its examples is so.
	db := Node{Name: "db-1", Labels: map[string]string{"tier": "db", "env": "prod"}}
	both := Subject{Identity: "you@example.com", Groups: []string{"db-oncall", "backup"}}
	g := p.Decide(both, db, "postgres").Grant
	if diff := cmp.Diff(&Grant{Roles: []RoleGrant{{Role: "db-dumps", Channels: []Channel{SFTP}, MaxSeconds: 0}, {Role: "db-shell", Channels: []Channel{Shell}, MaxSeconds: 3600}}}, g); diff != "" {
		t.Error(diff)
	}
	ana := Subject{Identity: "ana@example.com"}
	if d := p.Decide(ana, db, "root").Denial; d == nil || d.Role != "no-root-in-prod" {
		t.Errorf("ana as root in prod: %+v", d)
	}
	if !p.Decide(ana, Node{Name: "x"}, "root").Granted() {
		t.Error("ana as root elsewhere is refused")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(whole)
	f.Add(whole + "---\nrole: x\ndeny: true\nwho: {claims: {a: [b]}}\nwhere: {labels: {a: b}}\nas: {logins: ['*']}\nwhat: {channels: ['*']}\n")
	f.Add("role: a\nwho: {identities: ['*@x']}\nduties: [auditor]\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Load(one(text))
		if err != nil {
			if p != nil || fault.ReasonOf(err) != fault.PolicyInvalid {
				t.Fatalf("%v, %v", p, err)
			}
			return
		}
		// Whatever loads is whole: nobody unnamed gets anything.
		if d := p.Decide(Subject{}, Node{}, ""); d.Granted() {
			t.Fatalf("zero values were granted %+v", d.Grant)
		}
		for i := range p.rules {
			r := &p.rules[i]
			if !r.opens() && len(r.Duties) == 0 || r.opens() && (len(r.logins) == 0 || len(r.labels)+len(r.nodes) == 0) {
				t.Fatalf("an open role: %+v", r)
			}
		}
	})
}
