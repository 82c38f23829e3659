package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

const policy = `role: eng-deploy
who:   { groups: [eng] }
where: { labels: { env: demo } }
as:    { logins: [%s] }
what:  { channels: [shell, exec, sftp, forward-local] }
recording: { recipients: [%s] }
---
role: auditors
who:    { groups: [platform] }
duties: [auditor]
`

// walk is the main job.
func walk(s *stage) *rig.World {
	s.chapter("An operator brings Sallyport up",
		"CA, signer and proxy on one machine, SQLite and local files. People sign in at a local OIDC provider.")
	w := rig.NewWorld(s, s.dir)
	s.prompt("operator", w.Command()+" &")
	s.show(upSays(w.Up.Log.String()))

	ada := person{s, "ada", w.Home("ada")}
	ann := person{s, "ann", w.Home("ann")}

	s.chapter("Ada, an admin, signs in and says who may do what",
		"Recordings are encrypted to her key as an auditor. It stays with her: no server can read what was recorded.")
	ada.run(0, "sallyport login "+w.URL, "Signed in as ada@example.com")
	node := rig.SSHD(s, rig.SSHDConfig{})
	rig.Need(s, "age-keygen", "age")
	said := ada.run(0, "age-keygen -o auditor.key", "Public key: age1")
	_, auditor, _ := strings.Cut(strings.TrimSpace(said), "Public key: ")
	file := filepath.Join(ada.home.Dir, "policy.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, policy, node.Login, auditor), 0o644); err != nil {
		s.Fatalf("write policy: %v", err)
	}
	ada.run(0, "cat policy.yaml")
	ada.run(0, "sallyport policy apply -f policy.yaml")

	s.chapter("A node joins",
		"Its sshd is an ordinary one. The agent certifies its host key, writes its drop-in, tests it, and reloads it.")
	said = ada.run(0, "sallyport token create --part agent --name demo-node --label env=demo", "--token ")
	_, token, _ := strings.Cut(said, "--token ")
	member := w.Enrol(node, "demo-node", strings.TrimSpace(token))
	s.prompt("root@demo-node", member.Command)
	s.show(member.Said)
	ada.run(0, "sallyport node ls", "demo-node")

	s.chapter("Ann, an engineer, first morning")
	ann.run(0, "sallyport login "+w.URL, "Signed in as ann@example.com")
	ann.run(0, "sallyport ls", "demo-node", node.Login)
	ann.terminal("ssh "+node.Login+"@demo-node", "$ ", []string{"echo hello from $(hostname)", "exit"}, "This session is recorded", "hello from")
	ann.run(3, "ssh "+node.Login+"@demo-node 'echo to stdout; echo to stderr >&2; exit 3'", "to stdout", "to stderr")
	ann.run(0, "echo 'a file of mine' > notes.txt && scp -q notes.txt "+node.Login+"@demo-node: && ssh "+node.Login+"@demo-node cat notes.txt", "a file of mine")
	ann.run(0, "printf 'ls -l notes.txt\\nget notes.txt copy.txt\\n' | sftp -q -b - "+node.Login+"@demo-node && cat copy.txt", "a file of mine")

	s.chapter("What is not allowed says why")
	ann.run(254, "ssh postgres@demo-node true", "denied", "postgres", node.Login)
	ada.run(0, "sallyport policy explain ann@example.com postgres@demo-node", "DENIED")

	s.chapter("An auditor looks at what was just done")
	list := ada.run(0, "sallyport sessions ls", "ann@example.com", "demo-node")
	session := firstShell(s, list)
	s.sealed(ada, session)
	ada.run(1, "sallyport play "+session, "encrypted to its auditors")
	ada.run(0, "sallyport sessions show --identity auditor.key "+session, "ann@example.com")
	ada.run(0, "sallyport play --identity auditor.key --speed 20 "+session, "hello from")
	ada.run(0, "sallyport recording export --as text --identity auditor.key -o - "+session, "hello from")
	ada.run(0, "sallyport audit ls --session "+session, "session_granted", "recording_sealed")
	ada.run(0, "sallyport audit ls --kind session_denied", "login_not_allowed")
	ada.run(0, "sallyport audit fetch log && sallyport audit verify log", "verified")

	s.chapter("Somebody outside verifies it, who trusts nobody here",
		"An empty folder, the binary, the evidence, and the house's public keys, which came by another way. It asks nobody.")
	bundle := session + ".bundle"
	ada.run(0, "sallyport recording export --as bundle "+session, "Wrote "+bundle)
	ada.run(0, "sallyport recording trust > trust.json")
	out := person{s, "outside", s.handOver(w, ada, bundle, "trust.json")}
	out.run(0, "ls", bundle, "trust.json")
	out.run(0, "sallyport recording verify --trust trust.json "+bundle, "in the log at", "verified.")
	out.run(0, s.flip(out, bundle))
	out.run(1, "sallyport recording verify --trust trust.json "+bundle, "NOT verified", "recording")
	return w
}

var sessionName = regexp.MustCompile(`(?m)^([0-9a-z]{4}-[0-9a-z]{5})\b`)

// firstShell is the oldest session of the list: the interactive one.
func firstShell(s *stage, list string) string {
	all := sessionName.FindAllStringSubmatch(list, -1)
	if len(all) == 0 {
		s.Fatalf("no session is listed")
	}
	return all[len(all)-1][1]
}

// upSays is what `sallyport up` tells the operator, without the parts' logs.
func upSays(log string) string {
	var said []string
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "time=") && !strings.HasPrefix(line, "{") {
			said = append(said, line)
		}
	}
	return strings.Join(said, "")
}

// byHand says how to go on.
func (s *stage) byHand(w *rig.World) {
	for _, name := range []string{"ann", "bob"} {
		script := fmt.Sprintf("export HOME='%s' BROWSER='%s' PATH='%s/bin':\"$PATH\"\nunset SSH_AUTH_SOCK\ncd\nPS1='%s$ '\n",
			w.Home(name).Dir, w.IDP.Browser(name), w.Home(name).Dir, name)
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(script), 0o644); err != nil {
			s.Fatalf("write %s: %v", name, err)
		}
	}
	fmt.Fprintf(s.out, `
It stays up until Ctrl-C. In another terminal, be one of two people:

  . .demo/ann        ann is in eng and db-oncall and is signed in
  . .demo/bob        bob is in eng; sign in first: sallyport login %s

and go on:

  sallyport ls
  ssh demo-node@...  as ls says
  ssh -p %s demo-node ...
  sallyport sessions ls
`, w.URL, w.Proxy)
}
