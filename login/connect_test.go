package login

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/preamble"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
)

// listener is a proxy as connect sees it: it reads the line, and hands the rest
// to serve.
type listener struct {
	addr string
	mu   sync.Mutex
	seen []preamble.Preamble
}

func (l *listener) preambles() []preamble.Preamble {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.seen)
}

func listen(t *testing.T, serve func(conn net.Conn, rest *bufio.Reader)) *listener {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{addr: socket.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				rest := bufio.NewReaderSize(conn, preamble.MaxLine)
				line, err := rest.ReadSlice('\n')
				if err != nil {
					return // a port that was tried, and no line
				}
				p, err := preamble.Parse(line)
				if err != nil {
					t.Errorf("%q: %v", line, err)
					return
				}
				l.mu.Lock()
				l.seen = append(l.seen, p)
				l.mu.Unlock()
				serve(conn, rest)
			})
		}
	})
	t.Cleanup(func() { socket.Close(); all.Wait() })
	return l
}

// relayTo hands connections to the sshd at addr.
func relayTo(addr string) func(conn net.Conn, rest *bufio.Reader) {
	return func(conn net.Conn, rest *bufio.Reader) {
		node, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer node.Close()
		go func() {
			io.Copy(node, rest)
			node.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(conn, node)
	}
}

// through makes the CA name these proxies.
func (m *morning) through(addrs ...string) {
	m.ca.set(func(ca *handCA) {
		ca.d.Proxies = nil
		for i, addr := range addrs {
			ca.d.Proxies = append(ca.d.Proxies, wire.ProxyAddr{Name: id.Proxy(fmt.Sprintf("p-%d", i)), Addr: addr})
		}
	})
}

func TestConnectCopiesBothWaysToTheEnd(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	up, down := make([]byte, 3<<20), make([]byte, 5<<20)
	rand.Read(up)
	rand.Read(down)
	got := make(chan []byte, 1)
	l := listen(t, func(conn net.Conn, rest *bufio.Reader) {
		// The answer begins only when the question has ended: a half-close
		// that is not passed on hangs here.
		all, _ := io.ReadAll(rest)
		got <- all
		conn.Write(down)
	})
	m.through(l.addr)
	m.login(hour)
	cmd := m.home.Command("sallyport", "connect", "WEB-1", "22", "deploy")
	cmd.Stdin = bytes.NewReader(up) // through a pipe, as everything but fd passing is
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(<-got) != sha256.Sum256(up) || sha256.Sum256(out) != sha256.Sum256(down) {
		t.Errorf("the bytes that arrived are others; %d of %d came back", len(out), len(down))
	}
	seen := l.preambles()
	if len(seen) != 1 || seen[0].Node != "web-1" || seen[0].Login != "deploy" || !bytes.Equal(seen[0].Certificate, m.certificate().Marshal()) || seen[0].Ticket != nil {
		t.Errorf("preambles %+v", seen)
	}
}

func TestConnectEndsWhenTheProxyHangsUp(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	l := listen(t, func(conn net.Conn, rest *bufio.Reader) { fmt.Fprint(conn, "denied\n") })
	m.through(l.addr)
	m.login(hour)
	cmd := m.home.Command("sallyport", "connect", "web-1", "22", "deploy")
	stdin, err := cmd.StdinPipe() // stays open
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil || out.String() != "denied\n" {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestConnectTriesTheProxiesInTheirOrder(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	gone := rig.FreeAddr(t)
	first := listen(t, func(conn net.Conn, rest *bufio.Reader) { fmt.Fprint(conn, "first") })
	second := listen(t, func(conn net.Conn, rest *bufio.Reader) { fmt.Fprint(conn, "second") })
	for want, addrs := range map[string][]string{
		"first":  {first.addr, second.addr},
		"second": {gone, second.addr, first.addr},
	} {
		m.through(addrs...)
		m.login(hour)
		if out := m.home.Must("sallyport", "connect", "web-1", "22", "deploy"); out != want {
			t.Errorf("through %v: %q", addrs, out)
		}
	}
	m.through(gone)
	m.login(hour)
	if r := m.home.Run("sallyport", "connect", "web-1", "22", "deploy"); r.Status == 0 || !strings.Contains(r.Stderr, "sallyport: no proxy answers (tried "+gone+")\n  ") {
		t.Errorf("%s", r)
	}
}

func TestConnectRefusesBeforeItDials(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	l := listen(t, func(net.Conn, *bufio.Reader) {})
	m.through(l.addr)
	m.login(endedLife)
	end := until(time.Unix(int64(m.certificate().ValidBefore), 0), time.Now())
	before := m.ca.asked()
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"an ended certificate":  {[]string{"web-1", "22", "deploy"}, "sallyport: your certificate ended at " + end + "\n  run: sallyport login\n"},
		"no arguments":          {nil, "sallyport: connect takes HOST PORT LOGIN"},
		"a login that is none":  {[]string{"web-1", "22", "a b"}, `sallyport: login "a b" has ' ' in it`},
		"a login like a flag":   {[]string{"web-1", "22", "-x"}, `sallyport: login "-x" starts with`},
		"a node that is none":   {[]string{"we/b", "22", "deploy"}, `sallyport: node name "we/b"`},
		"a node with a newline": {[]string{"web\n1", "22", "deploy"}, `sallyport: node name`},
		"a login with its node": {[]string{"web-1", "22", "deploy@web-2"}, `sallyport: login "deploy@web-2"`},
	} {
		if r := m.home.Run("sallyport", append([]string{"connect"}, c.args...)...); r.Status == 0 || !strings.HasPrefix(r.Stderr, c.says) || r.Stdout != "" {
			t.Errorf("%s: %s", name, r)
		}
	}
	m.home.Must("sallyport", "logout")
	if r := m.home.Run("sallyport", "connect", "web-1", "22", "deploy"); r.Status == 0 || !strings.Contains(r.Stderr, "you are not logged in") {
		t.Errorf("%s", r)
	}
	if n := len(l.preambles()); n > 0 {
		t.Errorf("the proxy was dialed %d times", n)
	}
	if m.ca.called(wire.PathRenew) > 0 || m.ca.asked() > before+1 { // logout's own
		t.Error("connect called the CA")
	}
}

// node is a real sshd that takes the hand CA's login certificates, as a proxy
// would, behind a listener that only reads the preamble.
func (m *morning) node(names ...string) *listener {
	m.Helper()
	sshd := rig.SSHD(m, rig.SSHDConfig{
		Lines:     []string{"AuthorizedPrincipalsCommand /bin/echo ann@example.com", "AuthorizedPrincipalsCommandUser nobody"},
		SessionCA: []ssh.PublicKey{m.ca.user.PublicKey()},
		Certify: func(key ssh.PublicKey) *ssh.Certificate {
			c := &ssh.Certificate{Key: key, CertType: ssh.HostCert, ValidPrincipals: names, ValidBefore: ssh.CertTimeInfinity}
			if err := c.SignCert(rand.Reader, m.ca.host); err != nil {
				m.Fatal(err)
			}
			return c
		},
	})
	l := listen(m.T, relayTo(sshd.Addr))
	m.through(l.addr)
	return l
}

func TestPlainSSH(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	l := m.node("web-1", "x.nodes.example.com")
	m.login(hour)

	t.Run("reaches a node, and connect is gone when the session runs", func(t *testing.T) {
		p := rig.Start(t, m.home.Command("ssh", "deploy@web-1", "echo here; exec sleep 60"))
		rig.Eventually(t, 10*time.Second, "the command runs", func() bool { return strings.Contains(p.Log.String(), "here\n") })
		left := func() string {
			pid := p.Cmd.Process.Pid
			children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
			if err != nil {
				t.Fatal(err)
			}
			return string(children)
		}
		rig.Eventually(t, 10*time.Second, "ssh has no child", func() bool { return left() == "" })
		p.Kill()
		if seen := l.preambles(); len(seen) != 1 || seen[0].Node != "web-1" || seen[0].Login != "deploy" {
			t.Errorf("preambles %+v", seen)
		}
	})
	t.Run("reaches a node by a pattern", func(t *testing.T) {
		m.home.Must("ssh", "deploy@x.nodes.example.com", "true")
	})
	t.Run("brings the exit status", func(t *testing.T) {
		if r := m.home.Run("ssh", "deploy@web-1", "exit 42"); r.Status != 42 {
			t.Errorf("%s", r)
		}
	})
	t.Run("moves bytes exactly, with and without fd passing", func(t *testing.T) {
		data := make([]byte, 4<<20)
		rand.Read(data)
		for _, pass := range []string{"yes", "no"} {
			cmd := m.home.Command("ssh", "-o", "ProxyUseFdpass="+pass, "deploy@web-1", "cat")
			cmd.Stdin = bytes.NewReader(data)
			out, err := cmd.Output()
			if err != nil || !bytes.Equal(out, data) {
				t.Errorf("fd passing %s: %d of %d bytes, %v", pass, len(out), len(data), err)
			}
		}
	})
	t.Run("refuses a node whose certificate is for another name", func(t *testing.T) {
		r := m.home.Run("ssh", "-o", "BatchMode=yes", "deploy@db-1", "true")
		if r.Status != 255 || !strings.Contains(r.Stderr, "Host key verification failed") && !strings.Contains(r.Stderr, "name is not a listed principal") {
			t.Errorf("%s", r)
		}
	})
	t.Run("is not in the way of other hosts", func(t *testing.T) {
		seen := len(l.preambles())
		if r := m.home.Run("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", "deploy@other.invalid", "true"); r.Status != 255 || strings.Contains(r.Stderr, "sallyport") {
			t.Errorf("%s", r)
		}
		if len(l.preambles()) != seen {
			t.Error("another host went through the proxy")
		}
	})
	t.Run("works from the agent alone", func(t *testing.T) {
		m.home.Set("SSH_AUTH_SOCK", startAgent(t))
		m.login(hour)
		key := m.read(m.path(home.Key))
		defer os.WriteFile(m.path(home.Key), []byte(key), 0o600)
		if err := os.Remove(m.path(home.Key)); err != nil {
			t.Fatal(err)
		}
		m.home.Must("ssh", "-o", "BatchMode=yes", "deploy@web-1", "true")
	})
	m.home.Set("SSH_AUTH_SOCK", "")

	t.Run("renews a certificate that has ended, for the call at hand", func(t *testing.T) {
		m.login(endedLife)
		m.ca.set(func(ca *handCA) { ca.life = hour })
		if out := m.home.Must("ssh", "-o", "BatchMode=yes", "deploy@web-1", "echo here"); out != "here\n" {
			t.Errorf("%q", out)
		}
	})
	t.Run("says why when it cannot, and goes nowhere", func(t *testing.T) {
		m.login(endedLife)
		m.endSession()
		seen := len(l.preambles())
		r := m.home.Run("ssh", "-o", "BatchMode=yes", "deploy@web-1", "true")
		if r.Status != 255 || !strings.HasPrefix(r.Stderr, "sallyport: your certificate ended at ") || strings.Count(r.Stderr, "sallyport:") != 1 {
			t.Errorf("%s", r)
		}
		if len(l.preambles()) != seen {
			t.Error("the proxy was dialed")
		}
	})
	t.Run("forty at once after the night renew once", func(t *testing.T) {
		m.login(endedLife)
		before := m.ca.called(wire.PathRenew)
		m.ca.set(func(ca *handCA) { ca.life = hour })
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				if r := m.home.Run("ssh", "-o", "BatchMode=yes", "deploy@web-1", "true"); r.Status != 0 {
					t.Errorf("%s", r)
				}
			})
		}
		all.Wait()
		if n := m.ca.called(wire.PathRenew) - before; n != 1 {
			t.Errorf("renewed %d times", n)
		}
	})
	t.Run("after logout knows nothing of us", func(t *testing.T) {
		m.home.Must("sallyport", "logout")
		if r := m.home.Run("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", "deploy@x.nodes.example.com", "true"); r.Status != 255 || strings.Contains(r.Stderr, "sallyport") {
			t.Errorf("%s", r)
		}
	})
}

// TestConnectIsQuick measures from the start of the process to the first byte at
// the proxy.
func TestConnectIsQuick(t *testing.T) {
	m := newMorning(t)
	arrived := make(chan time.Time, 1)
	l := listen(t, func(net.Conn, *bufio.Reader) { arrived <- time.Now() })
	m.through(l.addr)
	m.login(hour)
	var took []time.Duration
	for range 40 {
		cmd := m.home.Command("sallyport", "connect", "web-1", "22", "deploy")
		begin := time.Now()
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		took = append(took, (<-arrived).Sub(begin))
	}
	slices.Sort(took)
	t.Logf("best %v, median %v", took[0], took[len(took)/2])
	if took[0] > 15*time.Millisecond {
		t.Errorf("the quickest of 40 took %v", took[0])
	}
}

// TestRelayStopsWithItsContext: SIGTERM ends a connection that is idle.
func TestRelayStopsWithItsContext(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	held := make(chan struct{})
	l := listen(t, func(net.Conn, *bufio.Reader) { <-held })
	defer close(held)
	m.through(l.addr)
	m.login(hour)
	cmd := m.home.Command("sallyport", "connect", "web-1", "22", "deploy")
	r, w := io.Pipe()
	defer w.Close()
	cmd.Stdin = r
	p := rig.Start(t, cmd)
	rig.Eventually(t, 10*time.Second, "the proxy is reached", func() bool { return len(l.preambles()) == 1 })
	p.Cmd.Process.Signal(os.Interrupt)
	r.CloseWithError(errors.New("nothing more")) // what os/exec copies from
	rig.Eventually(t, 10*time.Second, "it has ended", func() bool {
		select {
		case <-p.Done():
			return true
		default:
			return false
		}
	})
}
