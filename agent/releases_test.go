package agent_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// maxRSS is what the agent may hold on a node, in kB.
const maxRSS = 25 << 10

// TestADebianNodeOfEachReleaseJoinsIsReachedTurnsStrictAndLeaves is the life of a
// whole node: nobody's private configuration, the agent's default places, the
// real CA, proxy and ssh.
func TestADebianNodeOfEachReleaseJoinsIsReachedTurnsStrictAndLeaves(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a whole machine takes root")
	}
	w := rig.NewWorld(t, "")
	w.Policy(`role: everywhere
who: { groups: [eng] }
where: { labels: { env: test } }
as: { logins: [deploy] }
what: { channels: [shell, exec, sftp] }
`)
	ann, ada := w.Login("ann"), w.Login("ada")
	for _, release := range []string{rig.Bullseye, rig.Bookworm, rig.Trixie} {
		t.Run(release, func(t *testing.T) {
			n := join(t, w, release)
			defer func() {
				if t.Failed() {
					t.Logf("the agent: %s\nsshd: %s", n.Run("cat /var/log/agent.log"), n.Log())
				}
			}()

			// A person gets in, and the account's own key does, too. Her ssh knows
			// the nodes that were there when she last asked.
			ann.Must("sallyport", "ls")
			ann.Must("ssh", "deploy@"+release, "true")
			if got := ann.Must("ssh", "deploy@"+release, "cat /etc/hostname; id -un"); !strings.Contains(got, "deploy") {
				t.Errorf("a session says %q", got)
			}
			n.mustOpen("the account's own key")

			// Strict mode: only what came through the proxy.
			ada.Must("sallyport", "node", "set", release, "--strict")
			rig.Eventually(t, 30*time.Second, "strict mode is on", func() bool {
				return strings.Contains(n.Run("sallyport agent status"), "on: the way in is through a proxy")
			})
			n.mustNotOpen("the account's own key")
			ann.Must("ssh", "deploy@"+release, "true")

			// Somebody edits the drop-in.
			n.Run("sed -i 's/^AuthorizedKeysFile none/AuthorizedKeysFile .ssh\\/authorized_keys/' /etc/ssh/sshd_config.d/00-sallyport.conf")
			rig.Eventually(t, 30*time.Second, "an admin sees the edit", func() bool {
				return strings.Contains(ada.Must("sallyport", "node", "ls", "--json"), "00-sallyport.conf")
			})
			if out, err := n.Exec("sallyport agent check"); err == nil || !strings.Contains(out, "00-sallyport.conf was replaced") {
				t.Errorf("agent check says %v:\n%s", err, out)
			}

			if out := n.Run("sallyport agent status"); strings.Contains(out, "on: the way in is through a proxy") {
				t.Errorf("without the drop-in, strict mode is said to be\n%s", out)
			}

			n.checkMemory()

			// The node leaves, and is as it was.
			n.stopAgent()
			n.Run("sallyport agent uninstall")
			if left := n.Run("ls -A /etc/ssh/sshd_config.d; ls -d /etc/ssh/sallyport 2>/dev/null || true"); strings.TrimSpace(left) != "00-sallyport.conf.edited" {
				t.Errorf("left behind: %q", left)
			}
			n.mustOpen("the account's own key")
		})
	}
}

// member is a Debian machine that is a node.
type member struct {
	*rig.Machine
	t    *testing.T
	addr string // of its sshd, on this side
	own  ssh.Signer
}

func join(t *testing.T, w *rig.World, release string) *member {
	t.Helper()
	n := &member{Machine: rig.Debian(t, release), t: t, own: rig.NewKey(t, "")}
	n.addr = n.Publish("127.0.0.1:22")
	for _, door := range doors(t, w) {
		n.Bring(door)
	}
	n.Put("/home/deploy/.ssh/authorized_keys", string(ssh.MarshalAuthorizedKey(n.own.PublicKey())), 0o644)
	n.Put("/root/token", w.Token(release, "env=test")+"\n", 0o600)
	said := n.Run(fmt.Sprintf("sallyport agent enroll --ca %s --token-file /root/token --name %s --addr %s", w.URL, release, n.addr))
	if !strings.Contains(said, "agent: enrolled as "+release+" (env=test). sshd ") || !strings.Contains(said, "strict mode is off; existing keys still work") {
		t.Errorf("enrolment says:\n%s", said)
	}
	// As the unit runs it: root without root's capabilities.
	n.Run("setsid setpriv --bounding-set=-all --no-new-privs sallyport agent run >/var/log/agent.log 2>&1 </dev/null & echo $! > /run/agent.pid")
	rig.Eventually(t, 20*time.Second, "the agent runs", func() bool {
		return strings.Contains(n.Run("cat /var/log/agent.log"), "agent ready")
	})
	return n
}

// doors of a world's CA, as addresses.
func doors(t *testing.T, w *rig.World) []string {
	t.Helper()
	people, err := url.Parse(w.URL)
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(w.Dir, "data", "ca.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	parts := regexp.MustCompile(`(?m)^parts:\n\s+listen: '?([0-9.:]+)'?$`).FindSubmatch(config)
	if parts == nil {
		t.Fatalf("no parts' door in\n%s", config)
	}
	return []string{people.Host, string(parts[1])}
}

func (n *member) stopAgent() {
	n.t.Helper()
	n.Run("kill $(cat /run/agent.pid)")
	rig.Eventually(n.t, 10*time.Second, "the agent ends", func() bool {
		_, err := n.Exec("kill -0 $(cat /run/agent.pid)")
		return err != nil
	})
}

// checkMemory reads what the agent holds after all this.
func (n *member) checkMemory() {
	n.t.Helper()
	status := n.Run("cat /proc/$(cat /run/agent.pid)/status")
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindStringSubmatch(status)
	if m == nil {
		n.t.Fatalf("no VmRSS in %s", status)
	}
	rss, _ := strconv.Atoi(m[1])
	n.t.Logf("the agent holds %d kB", rss)
	if rss > maxRSS {
		n.t.Errorf("the agent holds %d kB, more than %d", rss, maxRSS)
	}
}

// opens tries the account's own key, and again where the connection was cut off.
func (n *member) opens() (err error) {
	n.t.Helper()
	rig.Eventually(n.t, 20*time.Second, "sshd says yes or no", func() bool {
		var c *ssh.Client
		c, err = ssh.Dial("tcp", n.addr, &ssh.ClientConfig{
			User: n.Login, Auth: []ssh.AuthMethod{ssh.PublicKeys(n.own)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second,
		})
		if err == nil {
			c.Close()
		}
		return err == nil || strings.Contains(err.Error(), "unable to authenticate")
	})
	return err
}

func (n *member) mustOpen(what string) {
	n.t.Helper()
	if err := n.opens(); err != nil {
		n.t.Errorf("%s does not open %s: %v", what, n.Release, err)
	}
}

func (n *member) mustNotOpen(what string) {
	n.t.Helper()
	if err := n.opens(); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		n.t.Errorf("%s on %s: %v; it should be refused", what, n.Release, err)
	}
}
