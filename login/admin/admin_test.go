package admin

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

const webDeploy = `role: web-deploy
who: {groups: [eng]}
where: {labels: {tier: web}}
as: {logins: [deploy]}
what: {channels: [shell, exec], max: 90m}
`

const noRoot = `role: no-root
deny: true
who: {groups: ["*"]}
where: {nodes: ["*"]}
as: {logins: [root]}
what: {channels: ["*"]}
`

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMaVUASmkeaILMZ2YhPBBNxL8XMUXIDAhHcC1lQ1ugt9"

func put(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("printed:\n%s\n%s", got, diff)
	}
}

func (c *ca) mustRun(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, errs, err := c.run(stdin, args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, errs)
	}
	return out
}

func TestAPolicyIsAppliedShownAndExplained(t *testing.T) {
	c, dir := newCA(t), t.TempDir()
	c.nodes["web-1"] = wire.Node{Name: "web-1", Labels: map[string]string{"tier": "web"}}
	put(t, dir, "web.yaml", webDeploy)
	put(t, dir, "deny.yaml", noRoot)

	want(t, c.mustRun(t, "", "policy", "show"), "# No policy has been applied: nobody may enter any node.\n# Apply one: sallyport policy apply -f policy/\n")
	want(t, c.mustRun(t, "", "policy", "apply", "-f", dir, "--check"), `  new      deny.yaml
  new      web.yaml
2 files, 2 roles: would be taken. In force is still revision 0.
`)
	want(t, c.mustRun(t, "", "policy", "apply", "-f", dir), `  new      deny.yaml
  new      web.yaml
Applied as revision 1: 2 files, 2 roles.
`)
	want(t, c.mustRun(t, "", "policy", "apply", "-f", dir), "  nothing differs\nApplied as revision 2: 2 files, 2 roles.\n")
	shown := c.mustRun(t, "", "policy", "show")
	want(t, shown, "# Revision 2, applied by ana@example.com at "+time.Unix(1700000000, 0).Format(time.RFC3339)+".\n---\n# deny.yaml\n"+noRoot+"---\n# web.yaml\n"+webDeploy)
	want(t, c.mustRun(t, "", "policy", "apply", "-f", put(t, t.TempDir(), "all.yaml", shown)), `  new      all.yaml
  gone     deny.yaml
  gone     web.yaml
Applied as revision 3: 1 file, 2 roles.
`)

	want(t, c.mustRun(t, "", "policy", "explain", "you@example.com", "deploy@web-1", "--group", "eng"), `GRANTED  web-deploy
  role web-deploy  matches: group eng, labels tier=web, login deploy
                   gives:   shell, exec, for up to 1h30m
  role no-root     does not match: login deploy is not among its logins
you@example.com has groups eng. Policy revision 3.
`)
	want(t, c.mustRun(t, "", "policy", "explain", "you@example.com", "root@web-1", "--claims", `{"a":1}`), `DENIED  denied_by_role
  role no-root     denies: everybody, node *, login root
                   takes:   everything
  role web-deploy  does not match: it is for group eng
you@example.com has no groups. Policy revision 3.
`)
	var e wire.Explanation
	if err := json.Unmarshal([]byte(c.mustRun(t, "", "policy", "explain", "--json", "you@example.com", "root@web-1")), &e); err != nil || e.Decision.Denial.Role != "no-root" {
		t.Fatalf("%v, %+v", err, e)
	}
}

func TestABrokenPolicyDoesNotReachTheCA(t *testing.T) {
	c, dir := newCA(t), t.TempDir()
	put(t, dir, "web.yaml", strings.Replace(webDeploy, "shell", "shel", 1))
	_, _, err := c.run("", "policy", "apply", "-f", dir)
	if f := fault.Of(err); f.Reason != fault.PolicyInvalid || !strings.HasPrefix(f.Text, `web.yaml:5:19: unknown channel "shel"; legal: shell,`) || len(c.calls) > 0 {
		t.Fatalf("%v, calls %v", err, c.calls)
	}
}

func TestAPolicyIsCheckedWithoutACAInCI(t *testing.T) {
	var nobody *ca
	dir := t.TempDir()
	put(t, dir, "web.yaml", webDeploy)
	want(t, nobody.mustRun(t, "", "policy", "apply", "-f", dir, "--check", "--offline"), "1 file, 1 role: no errors. The CA was not asked.\n")
}

func TestWhatIsAskedWronglyIsRefusedBeforeTheCAIsAsked(t *testing.T) {
	keyFile := put(t, t.TempDir(), "key.pub", key)
	for name, args := range map[string][]string{
		"no command":                     {"policy"},
		"an unknown command":             {"policy", "aply"},
		"apply without files":            {"policy", "apply"},
		"offline without check":          {"policy", "apply", "-f", "x", "--offline"},
		"explain without a node":         {"policy", "explain", "you@example.com", "root"},
		"explain of two nodes":           {"policy", "explain", "you@example.com", "root@web-1@web-2"},
		"explain of nobody":              {"policy", "explain", "you me", "root@web-1"},
		"explain of a pattern":           {"policy", "explain", "you@example.com", "*@web-1"},
		"claims that are a list":         {"policy", "explain", "you@example.com", "root@web-1", "--claims", "[]"},
		"a node without a key":           {"node", "add", "web-1", "--addr", "web-1"},
		"a node without an address":      {"node", "add", "web-1", "--scan"},
		"a node in capitals":             {"node", "add", "Web-1", "--addr", "web-1", "--host-key", keyFile},
		"a key and a scan":               {"node", "add", "web-1", "--addr", "web-1", "--scan", "--host-key", keyFile},
		"a fingerprint without a scan":   {"node", "add", "web-1", "--addr", "web-1", "--fingerprint", "SHA256:x", "--host-key", keyFile},
		"a label without a value":        {"node", "add", "web-1", "--addr", "web-1", "--host-key", keyFile, "--label", "env"},
		"a label twice":                  {"node", "add", "web-1", "--addr", "web-1", "--host-key", keyFile, "--label", "a=b", "--label", "a=c"},
		"nothing to set":                 {"node", "set", "web-1"},
		"strict, neither true nor false": {"node", "set", "web-1", "--strict=maybe"},
		"no node to remove":              {"node", "rm"},
		"a token without names":          {"token", "create"},
		"a token for another part":       {"token", "create", "--part", "ca", "--name", "x"},
		"a token without uses":           {"token", "create", "--name", "x", "--uses", "0"},
		"a token without time":           {"token", "create", "--name", "x", "--ttl", "0s"},
		"a token's time without a unit":  {"token", "create", "--name", "x", "--ttl", "60"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCA(t)
			_, _, err := c.run("", args...)
			if f := fault.Of(err); err == nil || f.Kind != fault.Invalid {
				t.Fatalf("got %v", err)
			}
			if len(c.calls) > 0 {
				t.Fatalf("the CA was asked: %v", c.calls)
			}
		})
	}
}

func TestWithoutALoginEveryCommandSaysHowToLogIn(t *testing.T) {
	var nobody *ca
	dir := t.TempDir()
	put(t, dir, "web.yaml", webDeploy)
	for _, args := range [][]string{
		{"policy", "apply", "-f", dir}, {"policy", "show"}, {"policy", "explain", "a@b", "c@d"},
		{"node", "ls"}, {"node", "add", "x", "--addr", "x", "--host-key", put(t, dir, "k", key)}, {"node", "set", "x", "--strict"}, {"node", "rm", "x"},
		{"token", "create", "--name", "x"}, {"token", "ls"}, {"token", "rm", "x"},
	} {
		if _, _, err := nobody.run("", args...); fault.Of(err).Next != "run: sallyport login" {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestNodesAreAddedChangedAndRemoved(t *testing.T) {
	c, dir := newCA(t), t.TempDir()
	file := put(t, dir, "key.pub", "# from the console\n"+key+" root@web-1\n")
	want(t, c.mustRun(t, "", "node", "ls"), "No nodes yet. With an agent: sallyport token create --name NAME   Without: sallyport node add NAME\n")
	want(t, c.mustRun(t, "", "node", "add", "web-1", "--addr", "10.0.0.7", "--host-key", file, "--label", "env=prod", "--label", "note=a,b"), `Added web-1 at 10.0.0.7:22, known by 1 host key.

The session CA's key, for the file that the lines below name:

ssh-ed25519 AAAAca

The lines for sshd:

TrustedUserCAKeys /etc/ssh/sallyport_session_ca.pub

Then, on web-1:  sshd -t && systemctl reload ssh
`)
	if diff := cmp.Diff([]string{key}, c.nodes["web-1"].HostKeys); diff != "" {
		t.Error(diff)
	}
	want(t, c.mustRun(t, "", "node", "ls"), "NODE   ADDRESS      LABELS             AGENT  STRICT  SSHD  NOTES\n"+
		"web-1  10.0.0.7:22  env=prod note=a,b  none   -       -     no login through a proxy yet\n")
	want(t, c.mustRun(t, "", "node", "set", "web-1", "--label", "tier=web", "--unlabel", "note", "--addr", "[::1]:2222"),
		"web-1 is at [::1]:2222.\nweb-1 has labels env=prod tier=web.\n")
	want(t, c.mustRun(t, "", "node", "set", "web-1", "--strict"), "web-1: strict mode goes on after the first login through a proxy; so far there was none.\n")
	if !c.nodes["web-1"].Strict {
		t.Error("strict was not set")
	}
	want(t, c.mustRun(t, "", "node", "set", "web-1", "--strict=false"), "web-1: strict mode goes off when its agent hears of it.\n")
	if c.nodes["web-1"].Strict {
		t.Error("strict was not taken back")
	}
	want(t, c.mustRun(t, "web-1 "+key+"\n", "node", "set", "web-1", "--host-key", "-"), "web-1 is known by 1 host key.\n")
	if _, _, err := c.run("", "node", "set", "web-2", "--label", "a=b"); fault.ReasonOf(err) != fault.NodeUnknown {
		t.Errorf("labels of a node that is not there: %v", err)
	}
	if _, _, err := c.run("", "node", "set", "web-1", "--unlabel", "none"); fault.ReasonOf(err) != fault.BadRequest {
		t.Errorf("a label that is not there: %v", err)
	}
	want(t, c.mustRun(t, "", "node", "rm", "web-1"), "Removed web-1.\n")
	if _, _, err := c.run("", "node", "rm", "../policy"); fault.ReasonOf(err) != fault.NotFound || c.calls[len(c.calls)-1] != "DELETE /v1/admin/nodes/..%2Fpolicy" {
		t.Errorf("a name with a path in it: %v, %v", err, c.calls)
	}
}

func TestAListingSaysWhatToLookAtAndNothingElse(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) int64 { return now.Add(-d).Unix() }
	var b strings.Builder
	printNodes(&b, []wire.Node{
		{Name: "well", Addr: "a:22", Agent: true, Sshd: "9.2", Strict: true, StrictOn: true, Seen: ago(30 * time.Second), Proven: 1, CertUntil: ago(-72 * time.Hour)},
		{Name: "ill", Addr: "b:22", Agent: true, Strict: true, Seen: ago(50 * time.Hour), CertUntil: ago(3 * time.Hour), Drift: []string{"sshd_config", "x\x1b[2J\ny"}},
		{Name: "ending", Addr: "c:22", Agent: true, StrictOn: true, Seen: ago(10 * time.Minute), Proven: 1, CertUntil: ago(-90 * time.Minute)},
	}, now)
	want(t, b.String(), `NODE    ADDRESS  LABELS  AGENT    STRICT  SSHD  NOTES
ending  c:22     -       10m ago  on      -     host certificate ends in 1h; strict mode is to end
ill     b:22     -       2d ago   off     -     2 files changed by hand: sshd_config, x�[2J�y; host certificate ended 3h ago; strict mode is wanted; no login through a proxy yet
well    a:22     -       30s ago  on      9.2   -
`)
}

func TestFilesThatHoldNoPublicKeyAreRefusedWithoutShowingThem(t *testing.T) {
	dir := t.TempDir()
	pem := "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
	for name, text := range map[string]string{
		"a private key": pem, "an empty file": "", "comments": "# none\n", "a revoked key": "@revoked * " + key, "a CA's key": "@cert-authority * " + key,
		"half a key": key[:40], "a key and half of one": key + "\n" + key[:40], "too much": strings.Repeat("# x\n", maxKeyFile),
	} {
		c := newCA(t)
		_, _, err := c.run("", "node", "add", "web-1", "--addr", "a", "--host-key", put(t, dir, "k", text))
		f := fault.Of(err)
		if f.Reason != fault.KeyRefused || len(c.calls) > 0 {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(f.Error()+f.Show(), "b3BlbnNz") {
			t.Errorf("%s: the file stands in the error", name)
		}
	}
	if _, _, err := newCA(t).run("", "node", "add", "web-1", "--addr", "a", "--host-key", filepath.Join(dir, "none")); fault.ReasonOf(err) != fault.KeyRefused || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestAScannedKeyIsPinnedOnlyWhenSomebodyVouchesForIt(t *testing.T) {
	sshd := rig.SSHD(t, rig.SSHDConfig{})
	print := ssh.FingerprintSHA256(sshd.HostKeys[0])
	add := []string{"node", "add", "web-1", "--addr", sshd.Addr, "--scan"}
	for name, tt := range map[string]struct {
		stdin string
		more  []string
		want  bool
	}{
		"nobody answers":        {"", nil, false},
		"no":                    {"n\n", nil, false},
		"a mistake":             {"yess\n", nil, false},
		"yes":                   {"Yes\n", nil, true},
		"the fingerprint":       {"", []string{"--fingerprint", print}, true},
		"another fingerprint":   {"y\n", []string{"--fingerprint", "SHA256:AAAA"}, false},
		"one right, one wrong":  {"y\n", []string{"--fingerprint", print, "--fingerprint", "SHA256:AAAA"}, false},
		"an empty fingerprint":  {"y\n", []string{"--fingerprint", ""}, false},
		"half of a fingerprint": {"y\n", []string{"--fingerprint", print[:20]}, false},
	} {
		c := newCA(t)
		_, errs, err := c.run(tt.stdin, append(add, tt.more...)...)
		if !tt.want {
			if fault.ReasonOf(err) != fault.NodeHostKey || len(c.nodes) > 0 {
				t.Errorf("%s: %v, %v", name, err, c.nodes)
			}
			continue
		}
		if err != nil || !strings.HasPrefix(strings.Join(c.nodes["web-1"].HostKeys, " "), "ssh-ed25519 ") && tt.more != nil {
			t.Errorf("%s: %v, %v", name, err, c.nodes)
		}
		if tt.more == nil && !strings.Contains(errs, print+"  ssh-ed25519\n") {
			t.Errorf("%s: asked\n%s", name, errs)
		}
	}
}

func TestWhatIsNoSSHServerIsNotScanned(t *testing.T) {
	c := newCA(t)
	for name, addr := range map[string]string{"an HTTP server": strings.TrimPrefix(c.url, "http://"), "nothing": rig.FreeAddr(t)} {
		if _, _, err := c.run("y\n", "node", "add", "web-1", "--addr", addr, "--scan"); fault.ReasonOf(err) != fault.NodeAway {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokensAreMadeListedAndTakenBack(t *testing.T) {
	c := newCA(t)
	want(t, c.mustRun(t, "", "token", "ls"), "No join tokens. Make one: sallyport token create --name NAME\n")
	made := c.mustRun(t, "", "token", "create", "--name", "web-*", "--name", "api", "--label", "env=prod", "--uses", "3", "--ttl", "2d")
	expires := c.tokens["t1"].Expires
	want(t, made, "For 3 agents named web-* or api with env=prod, until "+when(expires, time.Now())+". It is shown this once.\n\n  curl -fsS "+c.url+"/install | sudo sh -s -- --token k3v9-secret\n")
	if diff := cmp.Diff(wire.NewJoinToken{Part: "agent", Names: []string{"web-*", "api"}, Labels: map[string]string{"env": "prod"}, Uses: 3, Seconds: 172800}, c.tokens["t1"].NewJoinToken); diff != "" {
		t.Error(diff)
	}
	want(t, c.mustRun(t, "", "token", "ls"), "TOKEN  FOR    NAMES      LABELS    USED  UNTIL"+strings.Repeat(" ", len(when(expires, time.Now()))-3)+"MADE BY\n"+
		"t1     agent  web-* api  env=prod  0/3   "+when(expires, time.Now())+"  ana@example.com\n")
	want(t, c.mustRun(t, "", "token", "rm", "t1", "--json"), "{\n  \"removed\": [\n    \"t1\"\n  ]\n}\n")
	if _, _, err := c.run("", "token", "rm", "t1"); fault.Of(err).Kind != fault.Missing {
		t.Error(err)
	}
	made = c.mustRun(t, "", "token", "create", "--part", "proxy", "--name", "p-1")
	if !strings.HasPrefix(made, "For 1 proxy named p-1, until ") || !strings.HasSuffix(made, "\n\n  k3v9-secret\n\nStore it, chmod 600, in the file that the proxy's configuration names as token_file.\n") {
		t.Error(made)
	}
}

func TestTokensThatAreOverSaySo(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	var b strings.Builder
	printTokens(&b, []wire.JoinToken{
		{ID: "a", NewJoinToken: wire.NewJoinToken{Part: "agent", Names: []string{"x"}, Uses: 1}, Expires: now.Unix()},
		{ID: "b", NewJoinToken: wire.NewJoinToken{Part: "proxy", Names: []string{"y"}, Uses: 1}, Used: 1, Expires: now.Unix() + 60},
		{ID: "c", NewJoinToken: wire.NewJoinToken{Part: "agent", Names: []string{"z"}, Uses: 2}, Used: 1, Expires: now.Unix() + 60, Author: "li@example.com"},
	}, now)
	want(t, b.String(), `TOKEN  FOR    NAMES  LABELS  USED  UNTIL    MADE BY
a      agent  x      -       0/1   over     -
b      proxy  y      -       1/1   used up  -
c      agent  z      -       1/2   12:01    li@example.com
`)
}

func TestEveryCommandPrintsJSONThatAScriptReads(t *testing.T) {
	c, dir := newCA(t), t.TempDir()
	put(t, dir, "web.yaml", webDeploy)
	file := put(t, dir, "key.pub", key)
	for _, args := range [][]string{
		{"policy", "apply", "-f", dir, "--check", "--offline"}, {"policy", "apply", "-f", dir, "--check"}, {"policy", "apply", "-f", dir}, {"policy", "show"}, {"policy", "explain", "a@b", "c@d"},
		{"node", "ls"}, {"node", "add", "x", "--addr", "x", "--host-key", file}, {"node", "set", "x", "--strict"}, {"node", "ls"}, {"node", "rm", "x"},
		{"token", "ls"}, {"token", "create", "--name", "x"}, {"token", "rm", "t1"},
	} {
		if out := c.mustRun(t, "", append(args, "--json")...); !json.Valid([]byte(out)) || out == "null\n" {
			t.Errorf("%v printed:\n%s", args, out)
		}
	}
}

func TestTimesAreBriefAndClear(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) // a Monday
	for want, at := range map[string]time.Time{
		"18:04": now.Add(6*time.Hour + 4*time.Minute), "Tue 01:00": now.Add(13 * time.Hour), "Sun 12:00": now.Add(-24 * time.Hour),
		"2026-03-09": now.Add(7 * 24 * time.Hour), "2027-03-02": now.AddDate(1, 0, 0), "": time.Unix(0, 0),
	} {
		if got := when(at.Unix(), now); got != want {
			t.Errorf("%s: got %q, want %q", at, got, want)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	for _, s := range []string{key, "web-1 " + key, "@revoked * " + key, "# c\n\n" + key + " comment\n", "-----BEGIN", "no-pty " + key} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseKeys("f", text)
		if (err == nil) == (len(keys) == 0) {
			t.Fatalf("%d keys and %v", len(keys), err)
		}
		for _, line := range lines(keys) {
			if again, err := parseKeys("f", line); err != nil || len(again) != 1 {
				t.Fatalf("%q is not read back: %v", line, err)
			}
		}
	})
}
