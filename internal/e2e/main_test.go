// Package e2e holds what only the whole can show: tests that do what people,
// admins, auditors and attackers do, with the real binary, in a world of real
// parts (internal/rig).
package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// One world for the package; a test that breaks something makes its own.
var (
	world *rig.World
	web   *rig.Member // web-1, an enrolled node
	ann   *rig.Home   // logged in
)

const everything = `role: eng-everything
who:   { groups: [eng] }
where: { labels: { tier: web } }
as:    { logins: [LOGIN] }
what:  { channels: [shell, exec, sftp, subsystem, forward-agent, forward-local, forward-remote, forward-unix] }
---
role: platform-audits
who:    { groups: [platform] }
duties: [auditor]
`

func TestMain(m *testing.M) {
	suite := &rig.Suite{Out: os.Stderr}
	status := 1
	suite.Run(func() {
		world = rig.NewWorld(suite, "")
		web = world.Join("web-1", rig.SSHDConfig{}, "tier=web")
		world.Policy(strings.ReplaceAll(everything, "LOGIN", web.Login))
		ann = world.Login("ann")
		status = m.Run()
	})
	os.Exit(status)
}

// way is one of the ways to reach web-1 with OpenSSH's options and host.
type way struct {
	name    string
	options []string
	host    string
}

func ways() []way {
	host, port, _ := strings.Cut(world.Proxy, ":")
	return []way{
		{"ssh login@node", []string{"-o", "User=" + web.Login}, "web-1"},
		{"ssh -J proxy login@node", []string{"-o", "User=" + web.Login, "-o", "ProxyJump=" + world.Proxy}, "web-1"},
		{"ssh login@node@proxy", []string{"-o", "User=" + web.Login + "@web-1", "-o", "Port=" + port}, host},
	}
}

// args is options of the way, more options, the host, and the command.
func (w way) args(options []string, command ...string) []string {
	all := append([]string{"-o", "BatchMode=yes"}, w.options...)
	return append(append(append(all, options...), w.host), command...)
}
