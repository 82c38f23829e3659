package proxy

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/preamble"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// byJump are ssh's options for `ssh -J proxy login@node`. The outer ssh takes
// its options from a file: -J hands nothing else on.
func (p *person) byJump() []string {
	host, port, _ := net.SplitHostPort(p.w.addr)
	var config strings.Builder
	for _, o := range p.options() {
		if key, value, ok := strings.Cut(o, "="); ok {
			fmt.Fprintf(&config, "%s %s\n", key, value)
		}
	}
	if err := os.WriteFile(p.path("config"), []byte(config.String()), 0o600); err != nil {
		p.w.t.Fatal(err)
	}
	return []string{"-F", p.path("config"), "-J", fmt.Sprintf("somebody@%s:%s", host, port)}
}

// jump is `ssh -J proxy login@node args...`.
func (p *person) jump(where string, args ...string) result {
	p.w.t.Helper()
	all := append(p.byJump(), where)
	return execute(p.w.t, command(p.w.t, "ssh", append(all, args...)...), "")
}

// connect is what `sallyport connect` and ssh do together: a preamble, and then
// SSH to the node's name, with the host certificates checked.
func (p *person) connect(pre preamble.Preamble, user string) (*ssh.Client, error) {
	p.w.t.Helper()
	c, err := net.Dial("tcp", p.w.addr)
	if err != nil {
		p.w.t.Fatal(err)
	}
	if err := preamble.Write(c, pre); err != nil {
		p.w.t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(p.certificate, p.key)
	if err != nil {
		p.w.t.Fatal(err)
	}
	checker := &ssh.CertChecker{IsHostAuthority: func(auth ssh.PublicKey, _ string) bool {
		return string(auth.Marshal()) == string(p.w.authority.host.PublicKey().Marshal())
	}}
	conn, channels, requests, err := ssh.NewClientConn(c, string(pre.Node)+":22", &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: checker.CheckHostKey, HostKeyAlgorithms: []string{ssh.CertAlgoED25519v01},
	})
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}

func (p *person) preamble(node, login string) preamble.Preamble {
	n, l := must(parseNode(node)), must(parseLogin(login))
	return preamble.Preamble{Node: n, Login: l, Certificate: p.certificate.Marshal()}
}

func (w *world) lastAsked() wire.OpenRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked) == 0 {
		w.t.Fatal("the CA was not asked")
	}
	return w.asked[len(w.asked)-1]
}

func TestWayConnect(t *testing.T) {
	w := newWorld(t)
	c, err := w.you.connect(w.you.preamble("web-1", w.web.Login), w.web.Login)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Output("echo here")
	if string(out) != "here\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if q := w.lastAsked(); q.Way != wire.WayConnect || q.Node != "web-1" || string(q.Login) != w.web.Login {
		t.Errorf("asked for %+v", q)
	}
	c.Close()
	if frames := w.recorded(w.last()); content(frames, recording.KindOutput) != "here\n" {
		t.Error("not recorded")
	}
	for range 3 {
		c, err := w.you.connect(w.you.preamble("web-1", w.web.Login), w.web.Login)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if n := w.server.hostcerts.Counts(); n.Asked != 1 || n.Hits != 3 {
		t.Errorf("host certificates: %+v", n)
	}
}

func TestWayConnectIsRefused(t *testing.T) {
	w := newWorld(t)
	other := w.person("other@example.com", nil)
	good := w.you.preamble("web-1", w.web.Login)
	change := func(f func(*preamble.Preamble)) preamble.Preamble { p := good; f(&p); return p }
	for _, test := range []struct {
		name string
		pre  preamble.Preamble
		user string
		says string
	}{
		{"a node that is none", change(func(p *preamble.Preamble) { p.Node = "web-9" }), w.web.Login, "no node is called web-9; run: sallyport ls"},
		{"a certificate that is none", change(func(p *preamble.Preamble) { p.Certificate = []byte("x") }), w.web.Login, "malformed; run: sallyport login"},
		{"somebody else's certificate in the preamble", change(func(p *preamble.Preamble) { p.Certificate = other.certificate.Marshal() }), w.web.Login, "unable to authenticate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := w.you.connect(test.pre, test.user)
			if err == nil {
				c.Close()
				t.Fatal("let in")
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("says %v, want %q", err, test.says)
			}
		})
	}
	t.Run("another login than announced", func(t *testing.T) {
		c, err := w.you.connect(good, "root")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		s.Stderr = &text
		if err := s.Run("true"); err == nil || !strings.Contains(text.String(), "announced for the login") {
			t.Errorf("%v: %q", err, text.String())
		}
	})
}

func TestWayJump(t *testing.T) {
	w := newWorld(t)
	r := w.you.jump(w.web.Login+"@web-1", "echo here; exit 3")
	if r.stdout != "here\n" || r.status != 3 {
		t.Errorf("%+v", r)
	}
	q := w.lastAsked()
	if q.Way != wire.WayJump || q.Node != "web-1" || !strings.HasPrefix(q.Client, "127.0.0.1:") {
		t.Errorf("asked for %+v", q)
	}
	if frames := w.recorded(w.last()); content(frames, recording.KindOutput) != "here\n" {
		t.Error("not recorded")
	}
}

func TestWayJumpIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name string
		args []string
		says string
	}{
		{"a node that is none", []string{"deploy@web-9"}, "sallyport: denied: no node is called web-9; run: sallyport ls"},
		{"another port", []string{"-p", "80", "deploy@web-1"}, "a jump leads to SSH (port 22) alone"},
		{"an address", []string{"deploy@127.0.0.1"}, "no node is called 127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := execute(t, command(t, "ssh", append(w.you.byJump(), append(test.args, "true")...)...), "")
			if r.status != 255 || !strings.Contains(r.stderr, test.says) {
				t.Errorf("status %d, %q", r.status, r.stderr)
			}
		})
	}
	t.Run("another identity inside", func(t *testing.T) {
		other := w.person("other@example.com", nil)
		outer, err := w.you.dial("somebody")
		if err != nil {
			t.Fatal(err)
		}
		defer outer.Close()
		inside, err := outer.Dial("tcp", "web-1:22")
		if err != nil {
			t.Fatal(err)
		}
		signer := must(ssh.NewCertSigner(other.certificate, other.key))
		_, _, _, err = ssh.NewClientConn(inside, "web-1:22", &ssh.ClientConfig{
			User: "deploy", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err == nil {
			t.Error("let in")
		}
	})
}

func TestWayMenu(t *testing.T) {
	w := newWorld(t)
	w.with(func(a *authority) { a.grants["root@web-1"] = everything() })

	t.Run("without a terminal it is a list", func(t *testing.T) {
		for _, args := range [][]string{nil, {"ls"}} {
			r := w.you.ssh("somebody", args...)
			want := fmt.Sprintf("%s@web-1", w.web.Login)
			if r.status != 0 || !strings.Contains(r.stdout, want) || !strings.Contains(r.stdout, "env=test") || strings.Contains(r.stdout, "\x1b") {
				t.Errorf("%v: %+v", args, r)
			}
		}
	})
	t.Run("another command is refused", func(t *testing.T) {
		if r := w.you.ssh("somebody", "id"); r.status != 254 || !strings.Contains(r.stderr, "runs nothing but ls") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("what is chosen runs on the same channel, in the right size", func(t *testing.T) {
		c, err := w.you.dial("somebody")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		term := newTerminal(t, c, 90, 30)
		term.expect("Type to search")
		term.resize(100, 40)
		term.typed(w.web.Login + " web-1\r")
		term.expect("This session is recorded")
		term.typed("stty size; echo done-$((1+1)); exit 5\n")
		term.expect("40 100")
		term.expect("done-2")
		if status := term.wait(); status != 5 {
			t.Errorf("exit status %d", status)
		}
		c.Close()
		if q := w.lastAsked(); q.Way != wire.WayMenu {
			t.Errorf("asked for %+v", q)
		}
		session := w.last()
		frames := w.recorded(session)
		if !strings.Contains(content(frames, recording.KindOutput), "done-2") || !strings.Contains(w.typed(session, frames), "stty size") {
			t.Error("not recorded")
		}
	})
	t.Run("whoever leaves leaves with 0", func(t *testing.T) {
		c, err := w.you.dial("somebody")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		term := newTerminal(t, c, 80, 24)
		term.expect("Type to search")
		term.typed("\x03")
		if status := term.wait(); status != 0 {
			t.Errorf("exit status %d", status)
		}
	})
	t.Run("a denial comes in its place", func(t *testing.T) {
		c, err := w.you.dial("somebody")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		term := newTerminal(t, c, 80, 24)
		term.expect("Type to search")
		w.with(func(a *authority) { delete(a.grants, "root@web-1") })
		term.typed("root\r")
		term.expect("no role gives you root")
		if status := term.wait(); status != 254 {
			t.Errorf("exit status %d", status)
		}
	})
	t.Run("whoever has nothing is told", func(t *testing.T) {
		w.with(func(a *authority) { clear(a.grants) })
		if r := w.you.ssh("somebody"); r.status != 254 || !strings.Contains(r.stderr, "no role gives you a login") {
			t.Errorf("%+v", r)
		}
	})
}

// terminal is an interactive session of x/crypto's client.
type terminal struct {
	t       *testing.T
	session *ssh.Session
	in      io.Writer
	screen  *rig.Log
}

func newTerminal(t *testing.T, c *ssh.Client, cols, rows int) *terminal {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, session: s, screen: &rig.Log{}}
	s.Stdout, s.Stderr = term.screen, term.screen
	if term.in, err = s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", rows, cols, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	return term
}

func (m *terminal) typed(s string) {
	m.t.Helper()
	if _, err := io.WriteString(m.in, s); err != nil {
		m.t.Fatalf("type %q: %v", s, err)
	}
}

func (m *terminal) expect(s string) {
	m.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(m.screen.String(), s); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("%q is not on the screen: %q", s, m.screen.String())
		}
	}
}

func (m *terminal) resize(cols, rows int) {
	m.t.Helper()
	if err := m.session.WindowChange(rows, cols); err != nil {
		m.t.Fatal(err)
	}
}

// wait returns the exit status.
func (m *terminal) wait() int {
	m.t.Helper()
	err := m.session.Wait()
	if exit, ok := err.(*ssh.ExitError); ok {
		return exit.ExitStatus()
	}
	if err != nil {
		m.t.Errorf("wait: %v", err)
		return -1
	}
	return 0
}
