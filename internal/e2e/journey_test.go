package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestFirstMorning: one URL and two commands from a new laptop to the node, and
// back to how the laptop was.
func TestFirstMorning(t *testing.T) {
	bob := rig.NewHome(t, filepath.Join(t.TempDir(), "bob"), world.IDP.Browser("bob"))
	before := []byte("Host other\r\n\tPort 2222\r\n# no newline at the end")
	config := filepath.Join(bob.Dir, ".ssh", "config")
	if err := os.WriteFile(config, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := bob.Run("sallyport", "status"); r.Status == 0 {
		t.Fatalf("nobody is logged in: %s", r)
	}
	out := bob.Must("sallyport", "login", world.URL)
	for _, want := range []string{"Signed in as bob@example.com", "eng", "sallyport logout"} {
		if !strings.Contains(out, want) {
			t.Errorf("login does not say %q:\n%s", want, out)
		}
	}
	bob.Must("sallyport", "status")
	var nodes []struct{ Name string }
	if err := json.Unmarshal([]byte(bob.Must("sallyport", "ls", "--json")), &nodes); err != nil || len(nodes) != 1 || nodes[0].Name != "web-1" {
		t.Fatalf("ls: %v %v", nodes, err)
	}
	if out := bob.Must("ssh", web.Login+"@web-1", "echo here"); out != "here\n" {
		t.Fatalf("%q", out)
	}
	bob.Must("sallyport", "login") // the URL is remembered; nothing is written twice
	bob.Must("sallyport", "logout")
	after, err := os.ReadFile(config)
	if err != nil || !bytes.Equal(after, before) {
		t.Fatalf("the person's ssh_config is %q now: %v", after, err)
	}
	if _, err := os.Stat(filepath.Join(bob.Dir, ".ssh", "sallyport")); !os.IsNotExist(err) {
		t.Fatalf("something of ours stays after logout: %v", err)
	}
}

// TestDenialsSayWhyAndEndNonZero: in ssh's own output, with the next step.
func TestDenialsSayWhyAndEndNonZero(t *testing.T) {
	stranger := rig.NewHome(t, filepath.Join(t.TempDir(), "ada"), world.IDP.Browser("ada"))
	stranger.Must("sallyport", "login", world.URL)
	host, port := proxyAddr()
	for name, c := range map[string]struct {
		who  *rig.Home
		args []string
		want []string
	}{
		"a login that no role gives":       {ann, []string{"nobody-gives@web-1", "true"}, []string{"nobody-gives", "web-1", web.Login}},
		"a node that is not there":         {ann, []string{"-o", "ProxyCommand=sallyport connect %h %p %r", web.Login + "@web-9", "true"}, []string{"web-9"}},
		"an identity without any role":     {stranger, []string{"-o", "User=" + web.Login + "@web-1", "-p", port, host, "true"}, []string{"web-1"}},
		"the same over -J":                 {ann, []string{"-J", world.Proxy, "nobody-gives@web-1", "true"}, []string{"nobody-gives"}},
		"a node that is not there over -J": {ann, []string{"-J", world.Proxy, web.Login + "@web-9", "true"}, []string{"web-9"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.who.Run("ssh", append([]string{"-o", "BatchMode=yes"}, c.args...)...)
			if r.Status == 0 || !strings.Contains(r.Stderr, "sallyport") {
				t.Errorf("no denial: %s", r)
			}
			for _, want := range c.want {
				if !strings.Contains(r.Stderr, want) {
					t.Errorf("it does not say %q: %s", want, r)
				}
			}
		})
	}
}

// TestTheMenuFindsANode: `ssh proxy`, a search, Enter, and a shell on the node.
func TestTheMenuFindsANode(t *testing.T) {
	host, port := proxyAddr()
	cmd := ann.Command("ssh", "-tt", "-p", port, host)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	screen := &rig.Log{}
	go io.Copy(screen, tty)
	defer func() { cmd.Process.Kill(); cmd.Wait(); tty.Close() }()
	rig.Eventually(t, 15*time.Second, "the menu lists web-1", func() bool { return strings.Contains(screen.String(), "web-1") })
	io.WriteString(tty, "web")
	io.WriteString(tty, "\r")
	rig.Eventually(t, 15*time.Second, "a shell says that it is recorded", func() bool { return strings.Contains(screen.String(), "recorded") })
	io.WriteString(tty, "echo $((6*7))-on-the-node\r")
	rig.Eventually(t, 15*time.Second, "the shell answers", func() bool { return strings.Contains(screen.String(), "42-on-the-node") })
}

// TestWhatWasDoneCanBeReplayed: the auditor finds the session and sees it again.
func TestWhatWasDoneCanBeReplayed(t *testing.T) {
	const mark = "a mark that no other test leaves"
	if out := ann.Must("ssh", "-tt", web.Login+"@web-1", "echo "+mark); !strings.Contains(out, mark) {
		t.Fatalf("%q", out)
	}
	ada := world.Home("ada")
	var sessions []struct {
		ID, Identity, Login, Node string
		Ended                     int64
	}
	rig.Eventually(t, 15*time.Second, "the session is listed and over", func() bool {
		if err := json.Unmarshal([]byte(ada.Must("sallyport", "sessions", "ls", "--node", "web-1", "--json")), &sessions); err != nil {
			t.Fatal(err)
		}
		return len(sessions) > 0 && sessions[0].Ended != 0
	})
	s := sessions[0]
	if s.Identity != "ann@example.com" || s.Login != web.Login || s.Node != "web-1" {
		t.Fatalf("%+v", s)
	}
	if out := ada.Must("sallyport", "play", s.ID); !strings.Contains(out, mark) {
		t.Errorf("play does not show it: %q", out)
	}
	if out := ada.Must("sallyport", "sessions", "show", s.ID); !strings.Contains(out, mark) {
		t.Errorf("show does not name the command: %q", out)
	}
	if !strings.Contains(web.Log(), "ID session="+s.ID+" identity=ann@example.com") {
		t.Errorf("sshd's own log does not name the session")
	}
	if r := ann.Run("sallyport", "policy", "show"); r.Status == 0 {
		t.Errorf("ann is no admin: %s", r)
	}
}
