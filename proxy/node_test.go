package proxy

import (
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

func TestAPinnedNode(t *testing.T) {
	w := newWorld(t)
	db := w.addNode("db-1", rig.SSHDConfig{RSA: true}, true)
	where := db.Login + "@db-1"
	for _, kind := range []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"} {
		w.with(func(a *authority) {
			n := a.nodes["db-1"]
			n.HostKeys = nil
			for _, key := range db.HostKeys {
				if key.Type() == kind {
					n.HostKeys = append(n.HostKeys, string(ssh.MarshalAuthorizedKey(key)))
				}
			}
			a.nodes["db-1"] = n
		})
		if r := w.you.ssh(where, "echo "+kind); r.stdout != kind+"\n" {
			t.Errorf("%+v", r)
		}
	}
}

func TestANodeThatIsNotItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	genuine := w.nodes["web-1"]
	certify := func(change func(*cert.Host), ca ssh.Signer) func(ssh.PublicKey) *ssh.Certificate {
		return func(key ssh.PublicKey) *ssh.Certificate {
			w.mu.Lock()
			defer w.mu.Unlock()
			r := cert.Host{Name: "web-1", Node: genuine.Node, Principals: []string{"web-1"}, Key: key, Serial: w.next()}
			change(&r)
			return w.sign(r, ca)
		}
	}
	hostCA := w.authority.host
	for _, test := range []struct {
		name    string
		certify func(ssh.PublicKey) *ssh.Certificate
		change  func(*wire.Target)
	}{
		{"no certificate", nil, nil},
		{"a certificate of another CA", certify(func(*cert.Host) {}, rig.NewKey(t, "")), nil},
		{"a certificate of the session CA", certify(func(*cert.Host) {}, w.session), nil},
		{"the certificate of another name", certify(func(r *cert.Host) { r.Name, r.Principals = "web-2", []string{"web-2"} }, hostCA), nil},
		{"the certificate of a node that had the name before", certify(func(r *cert.Host) { r.Node = id.NewNode() }, hostCA), nil},
		{"the certificate of a proxy in the name's place", certify(func(r *cert.Host) { r.Proxy = "p-2" }, hostCA), nil},
		{"another key than the pinned one", nil, func(n *wire.Target) {
			n.HostKeys = []string{string(ssh.MarshalAuthorizedKey(rig.NewKey(t, "").PublicKey()))}
		}},
		{"a pin that cannot be read", nil, func(n *wire.Target) { n.HostKeys = []string{"ssh-ed25519 AAAA"} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.certify == nil {
				test.certify = func(ssh.PublicKey) *ssh.Certificate { return nil }
			}
			w.web.Change(func(c *rig.SSHDConfig) { c.Certify = test.certify })
			w.with(func(a *authority) {
				n := genuine
				if test.change != nil {
					test.change(&n)
				}
				a.nodes["web-1"] = n
			})
			before := strings.Count(w.web.Log(), "Accepted publickey")
			r := w.you.ssh(where, "true")
			away := test.name == "no certificate" // sshd and the proxy agree on no kind of key
			if r.status != 254 || !away && !strings.Contains(r.stderr, "sallyport: denied: ") || !strings.Contains(r.stderr, "web-1") {
				t.Errorf("%+v", r)
			}
			if strings.Count(w.web.Log(), "Accepted publickey") != before {
				t.Error("the session certificate was shown to it")
			}
		})
	}
}

func TestANodeThatIsAway(t *testing.T) {
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			go func() {
				c.Write([]byte("220 mail.example.com ESMTP\r\n"))
				c.Close()
			}()
		}
	}()
	for _, test := range []struct{ name, addr string }{
		{"nobody listens", rig.FreeAddr(t)},
		{"it is no SSH", silent.Addr().String()},
		{"its address is none", "256.0.0.1:22"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.with(func(a *authority) { n := a.nodes["web-1"]; n.Addr = test.addr; a.nodes["web-1"] = n })
			r := w.you.ssh(where, "true")
			if r.status != 254 || !strings.Contains(r.stderr, "sallyport: web-1 does not answer") {
				t.Errorf("%+v", r)
			}
			session := w.last()
			w.recorded(session) // that it was tried is recorded, and told to the CA
			w.mu.Lock()
			defer w.mu.Unlock()
			if got := w.ended[session]; got.End != string(fault.NodeAway) || got.Accepted {
				t.Errorf("ended with %+v", got)
			}
		})
	}
}

func TestANodeThatDoesNotTakeTheCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	for _, test := range []struct {
		name string
		mint func(*cert.Session)
	}{
		{"its clock is hours behind", func(r *cert.Session) {
			r.ValidAfter, r.ValidBefore = time.Now().Add(4*time.Hour).Unix(), time.Now().Add(4*time.Hour+time.Minute).Unix()
		}},
		{"its clock is hours ahead", func(r *cert.Session) {
			r.ValidAfter, r.ValidBefore = time.Now().Add(-4*time.Hour).Unix(), time.Now().Add(-4*time.Hour+time.Minute).Unix()
		}},
		{"it sees the proxy elsewhere", func(r *cert.Session) { r.SourceAddress = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.with(func(a *authority) { a.mint = test.mint })
			defer w.with(func(a *authority) { a.mint = nil })
			r := w.you.ssh(where, "true")
			if r.status != 254 || !strings.Contains(r.stderr, "sallyport: sshd on web-1 did not take the certificate for "+w.web.Login) || !strings.Contains(r.stderr, "are the clocks right?") {
				t.Errorf("%+v", r)
			}
		})
	}
	t.Run("a clock that is half a minute off does not matter", func(t *testing.T) {
		for _, off := range []time.Duration{-30 * time.Second, 30 * time.Second} {
			w.with(func(a *authority) {
				a.mint = func(r *cert.Session) { r.ValidAfter, r.ValidBefore = cert.Window(time.Now().Add(off), cert.MaxSession) }
			})
			if r := w.you.ssh(where, "echo ok"); r.stdout != "ok\n" {
				t.Errorf("%v: %+v", off, r)
			}
		}
		w.with(func(a *authority) { a.mint = nil })
	})
	t.Run("a login that does not exist there", func(t *testing.T) {
		w.with(func(a *authority) { a.grants["nobody-here@web-1"] = everything() })
		r := w.you.ssh("nobody-here@web-1", "true")
		if r.status != 254 || !strings.Contains(r.stderr, "does the login exist there") {
			t.Errorf("%+v", r)
		}
	})
}

func TestANodeThatHangsUp(t *testing.T) {
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	cmd := w.you.command(where, "echo begun; exec sleep 60")
	done := make(chan result, 1)
	started := time.Now()
	go func() { done <- execute(t, cmd, "") }()
	rig.Eventually(t, 10*time.Second, "the session runs", func() bool { return len(w.server.register.sessions()) == 1 })
	rig.Eventually(t, 10*time.Second, "the program runs", func() bool {
		return strings.Contains(w.web.Log(), "Starting session: command for "+w.web.Login)
	})
	// The sshd of this one session dies, as when the node loses power.
	pid := sessionPID(t, w.web.Log())
	if out, err := exec.Command("kill", "-9", pid).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r := <-done
	if r.status == 0 || !strings.Contains(r.stderr, "sallyport: web-1 closed the connection") {
		t.Errorf("%+v", r)
	}
	if time.Since(started) > 20*time.Second {
		t.Error("it took too long")
	}
	session := w.last()
	w.recorded(session)
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.ended[session]; got.End != string(fault.NodeAway) || !got.Accepted {
		t.Errorf("ended with %+v", got)
	}
}

// sessionPID is that of the last session's sshd, as its log tells.
func sessionPID(t *testing.T, log string) string {
	t.Helper()
	_, rest, ok := lastCut(log, "User child is on pid ")
	if !ok {
		t.Fatal("sshd's log names no process")
	}
	pid, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(pid)
}

func lastCut(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
