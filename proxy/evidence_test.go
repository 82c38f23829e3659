package proxy

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func TestAFullDiskUnderTheRecorderEndsTheSession(t *testing.T) {
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	w.process("SALLYPORT_TEST_FILES=51200")
	cmd := w.you.command(where, "seq 1 10000000; exec sleep 60")
	cmd.Args = append(append(cmd.Args[:1:1], "-tt"), cmd.Args[1:]...) // a terminal is recorded whole
	r := execute(t, cmd, "")
	if r.status != 254 || !strings.Contains(r.stderr, "sallyport: the session could not be recorded, and so it ends") {
		t.Errorf("status %d, %q", r.status, r.stderr)
	}
	if len(r.stdout) > 50<<10 {
		t.Errorf("%d bytes were delivered with room for %d", len(r.stdout), 50<<10)
	}
	session := w.last()
	rig.Eventually(t, 10*time.Second, "the CA knows why", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.ended[session].End == string(fault.RecorderFailed)
	})
	delivered, kept := r.stdout, content(w.frames(session), recording.KindOutput)
	if !strings.HasPrefix(kept, delivered) {
		t.Errorf("%d bytes were delivered, and %d recorded", len(delivered), len(kept))
	}
}

func TestWithoutARecorderThereIsNoSession(t *testing.T) {
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	w.process("SALLYPORT_TEST_FILES=10")
	r := execute(t, w.you.command(where, "echo out"), "")
	if r.status != 254 || r.stdout != "" || !strings.Contains(r.stderr, "could not be recorded") {
		t.Errorf("%+v", r)
	}
	if strings.Contains(w.web.Log(), "Accepted publickey") {
		t.Error("the node was reached")
	}
}

// process is the proxy as a process of its own, that can be killed and limited.
func (w *world) process(env ...string) *rig.Process {
	w.t.Helper()
	w.end()
	w.addr = rig.FreeAddr(w.t)
	path := filepath.Join(w.config.Data, "proxy.yaml")
	text := fmt.Sprintf("name: p-1\nlisten: %s\nca: %s\ndata: %s\ndrain: %s\n", w.addr, w.url, w.config.Data, w.config.Drain)
	if w.config.Debug != "" {
		text += "debug: " + w.config.Debug + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(self, "--config", path, "run")
	cmd.Env = append(os.Environ(), append(env, "SALLYPORT_TEST_PROXY=1")...)
	p := rig.Start(w.t, cmd)
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("the log of the proxy's own process:\n%s", p.Log)
		}
	})
	rig.Eventually(w.t, 10*time.Second, "the proxy serves", func() bool {
		c, err := net.Dial("tcp", w.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return p
}

// tap keeps what was delivered.
type tap struct {
	rig.Log
	more chan struct{}
}

func (t *tap) Write(b []byte) (int, error) {
	n, err := t.Log.Write(b)
	select {
	case t.more <- struct{}{}:
	default:
	}
	return n, err
}

// TestPromise3_NothingIsDeliveredThatIsNotRecorded kills the proxy while bytes
// fly both ways, and compares.
func TestPromise3_NothingIsDeliveredThatIsNotRecorded(t *testing.T) {
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	for round, chunks := range []int{1, 3, 40, 400} {
		p := w.process()
		c, err := w.you.dial(where)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		out := &tap{more: make(chan struct{}, 1)}
		s.Stdout = out
		in := must(s.StdinPipe())
		if err := s.RequestPty("xterm", 24, 80, ssh.TerminalModes{ssh.ECHO: 0}); err != nil {
			t.Fatal(err)
		}
		received := fmt.Sprintf("received-%d", round)
		if err := s.Start("stty raw -echo; echo ready; tee " + received); err != nil {
			t.Fatal(err)
		}
		rig.Eventually(t, 20*time.Second, "the program runs", func() bool { return strings.Contains(out.String(), "ready") })
		go func() {
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(in, "line %d of the input\n", i); err != nil {
					return
				}
			}
		}()
		for range chunks {
			select {
			case <-out.more:
			case <-time.After(20 * time.Second):
				p.Cmd.Process.Signal(syscall.SIGQUIT) // its goroutines stand in its log
				<-p.Done()
				t.Fatalf("nothing came after %d bytes", len(out.String()))
			}
		}
		p.Kill()
		s.Wait()
		c.Close()
		session := w.last()
		frames := w.frames(session)
		if kept := content(frames, recording.KindOutput); !strings.HasPrefix(kept, out.String()) {
			t.Errorf("round %d: %d bytes were delivered, %d recorded", round, len(out.String()), len(kept))
		}
		got, err := os.ReadFile(filepath.Join(w.web.Home(w.web.Login), received))
		if kept := w.typed(session, frames); err != nil || !strings.HasPrefix(kept, string(got)) {
			t.Errorf("round %d: %d bytes reached the node, %d recorded (%v)", round, len(got), len(kept), err)
		}
		if len(out.String()) == 0 {
			t.Error("nothing was delivered; the test tests nothing")
		}
		// The next proxy finishes what this one left.
		next := w.process()
		frames = w.frames(session)
		last := frames[len(frames)-1]
		if last.Kind != recording.KindEnd || !bytes.Contains(last.Payload, []byte(recording.EndCut)) {
			t.Errorf("round %d: the recording ends with %s %s", round, last.Kind, last.Payload)
		}
		next.Stop(5 * time.Second)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.starts < 4 {
		t.Errorf("the proxies said %d times that they started", w.starts)
	}
}

// TestPromise2_ASessionCertificateOpensNothingElse takes what a proxy is given
// to a real sshd, directly.
func TestPromise2_ASessionCertificateOpensNothingElse(t *testing.T) {
	w := newWorld(t)
	other := w.addNode("web-2", rig.SSHDConfig{Logins: []string{"deploy", "other"}}, false)
	key := rig.NewKey(t, "")
	cert := w.sessionCertificate(key.PublicKey(), time.Now())
	expired := w.sessionCertificate(key.PublicKey(), time.Now().Add(-3*time.Minute))
	dial := func(c *ssh.Certificate, login, addr, from string) error {
		signer := must(ssh.NewCertSigner(c, key))
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		tcp, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn, _, _, err := ssh.NewClientConn(tcp, addr, &ssh.ClientConfig{
			User: login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := dial(cert, w.web.Login, w.web.Addr, "127.0.0.1"); err != nil {
		t.Fatalf("the certificate opens not even what it is for: %v", err)
	}
	for _, test := range []struct {
		name        string
		c           *ssh.Certificate
		login, addr string
		from        string
	}{
		{"another login", cert, "root", w.web.Addr, "127.0.0.1"},
		{"another node, same login", cert, w.web.Login, other.Addr, "127.0.0.1"},
		{"another login on another node", cert, "other", other.Addr, "127.0.0.1"},
		{"from another address", cert, w.web.Login, w.web.Addr, "127.0.0.2"},
		{"after its minute", expired, w.web.Login, w.web.Addr, "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if dial(test.c, test.login, test.addr, test.from) == nil {
				t.Error("sshd let it in")
			}
		})
	}
}

func TestDraining(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	// start runs a script that begins with echo begun.
	start := func(script string) (chan result, id.Session) {
		t.Helper()
		before := len(w.web.Log())
		done := make(chan result, 1)
		go func() { done <- execute(t, w.you.command(where, script), "") }()
		rig.Eventually(t, 10*time.Second, "the session runs", func() bool {
			return strings.Contains(w.web.Log()[before:], "Starting session: command") &&
				content(w.frames(w.last()), recording.KindOutput) == "begun\n"
		})
		return done, w.last()
	}
	t.Run("a session within the limit comes to its end, and nobody else gets in", func(t *testing.T) {
		p := w.process()
		done, _ := start("echo begun; sleep 2; echo whole; exit 3")
		p.Cmd.Process.Signal(syscall.SIGTERM)
		rig.Eventually(t, 5*time.Second, "it drains", func() bool { return strings.Contains(p.Log.String(), "draining") })
		if r := w.you.ssh(where, "true"); r.status != 255 || !strings.Contains(r.stderr, "sallyport: this proxy is being restarted; try again in a moment") {
			t.Errorf("a new connection: %+v", r)
		}
		if r := <-done; r.stdout != "begun\nwhole\n" || r.status != 3 {
			t.Errorf("%+v", r)
		}
		<-p.Done()
	})
	t.Run("a session beyond the limit is told", func(t *testing.T) {
		w.config.Drain = 0
		p := w.process()
		done, session := start("echo begun; exec sleep 60")
		p.Cmd.Process.Signal(syscall.SIGTERM)
		if r := <-done; r.status != 254 || r.stdout != "begun\n" || !strings.Contains(r.stderr, "sallyport: this proxy is being restarted") {
			t.Errorf("%+v", r)
		}
		<-p.Done()
		w.mu.Lock()
		defer w.mu.Unlock()
		if got := w.ended[session]; got.End != string(fault.ProxyDraining) || !got.Accepted {
			t.Errorf("ended with %+v", got)
		}
	})
	t.Run("a menu is closed", func(t *testing.T) {
		w.config.Drain = 5e9
		p := w.process()
		c, err := w.you.dial("somebody")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		term := newTerminal(t, c, 80, 24)
		term.expect("Type to search")
		began := time.Now()
		p.Cmd.Process.Signal(syscall.SIGTERM)
		<-p.Done()
		if time.Since(began) > 4*time.Second {
			t.Error("a menu held the proxy up")
		}
	})
}
