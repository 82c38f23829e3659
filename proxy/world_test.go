package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func jsonOf(v any) ([]byte, error) { return json.Marshal(v) }

// world is a proxy with a CA, a node called web-1, and a person.
type world struct {
	*authority
	t       *testing.T
	web     *rig.Sshd
	config  Config
	addr    string
	server  *Server
	log     *rig.Log
	stop    context.CancelFunc
	stopped chan error
	you     *person
}

// setup changes a world before its proxy starts.
type setup func(*Config)

func newWorld(t *testing.T, setups ...setup) *world {
	t.Helper()
	w := &world{authority: newAuthority(t), t: t, log: &rig.Log{}}
	w.web = w.addNode("web-1", rig.SSHDConfig{}, false)
	w.config = Defaults()
	w.config.Name, w.config.Listen, w.config.CA = "p-1", "127.0.0.1:0", w.url
	w.config.Data = t.TempDir()
	w.config.TokenFile = filepath.Join(w.config.Data, "token")
	w.config.Drain = config.Duration(5 * time.Second)
	if err := os.WriteFile(w.config.TokenFile, []byte(w.token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range setups {
		s(&w.config)
	}
	w.start()
	w.you = w.person("you@example.com", nil)
	t.Cleanup(func() {
		w.end()
		if t.Failed() {
			t.Logf("the proxy's log:\n%s", w.log)
			t.Logf("the end of sshd's log:\n%s", tail(w.web.Log(), 40))
		}
	})
	return w
}

// start runs the proxy, at first or again.
func (w *world) start() {
	w.t.Helper()
	l, err := net.Listen("tcp", w.config.Listen)
	if err != nil {
		w.t.Fatal(err)
	}
	c := w.config
	c.Addr = l.Addr().String()
	c.complete()
	if err := c.Check(); err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := open(ctx, c, log)
	if err != nil {
		w.t.Fatalf("open: %v", err)
	}
	w.server, w.addr, w.stop, w.stopped = s, l.Addr().String(), stop, make(chan error, 1)
	go func() { w.stopped <- s.serve(ctx, l) }()
}

// end stops the proxy and waits.
func (w *world) end() {
	if w.stop == nil {
		return
	}
	w.stop()
	if err := <-w.stopped; err != nil {
		w.t.Errorf("serve: %v", err)
	}
	w.stop = nil
}

// person is somebody with a login certificate and OpenSSH's programs.
type person struct {
	w           *world
	identity    id.Identity
	dir         string
	key         ssh.Signer
	certificate *ssh.Certificate
}

func (w *world) person(who id.Identity, change func(*cert.Login)) *person {
	w.t.Helper()
	p := &person{w: w, identity: who, dir: w.t.TempDir()}
	p.key = rig.NewKey(w.t, p.path("id"))
	p.use(w.login(who, p.key.PublicKey(), change))
	known := "@cert-authority * " + string(ssh.MarshalAuthorizedKey(w.authority.host.PublicKey()))
	if err := os.WriteFile(p.path("known_hosts"), []byte(known), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// use writes c where ssh looks for it.
func (p *person) use(c *ssh.Certificate) {
	p.certificate = c
	if err := os.WriteFile(p.path("id-cert.pub"), ssh.MarshalAuthorizedKey(c), 0o600); err != nil {
		p.w.t.Fatal(err)
	}
}

func (p *person) path(name string) string { return filepath.Join(p.dir, name) }

// options of every OpenSSH program: nothing of this machine's configuration, and
// host certificates or nothing.
func (p *person) options() []string {
	return []string{
		"-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "IdentityFile=" + p.path("id"), "-o", "CertificateFile=" + p.path("id-cert.pub"),
		"-o", "UserKnownHostsFile=" + p.path("known_hosts"), "-o", "GlobalKnownHostsFile=none",
		"-o", "HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com", "-o", "LogLevel=INFO", "-o", "ControlPath=none",
	}
}

// to are the options that lead to login@node by name.
func (p *person) to(where string) []string {
	_, port, _ := net.SplitHostPort(p.w.addr)
	return append(p.options(), "-o", "Port="+port, "-o", "User="+where)
}

// command is `ssh login@node@proxy args...`.
func (p *person) command(where string, args ...string) *exec.Cmd {
	all := append(p.to(where), "127.0.0.1")
	return exec.Command(rig.Need(p.w.t, "ssh", "openssh-client"), append(all, args...)...)
}

// result is how a program ended.
type result struct {
	stdout, stderr string
	status         int
}

func execute(t *testing.T, cmd *exec.Cmd, stdin string) result {
	t.Helper()
	var out, errs strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer limit.Stop()
	cmd.Wait()
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// ssh runs `ssh login@node@proxy args...`.
func (p *person) ssh(where string, args ...string) result {
	p.w.t.Helper()
	return execute(p.w.t, p.command(where, args...), "")
}

// dial connects as x/crypto's client would, to user at the proxy.
func (p *person) dial(user string) (*ssh.Client, error) {
	signer, err := ssh.NewCertSigner(p.certificate, p.key)
	if err != nil {
		return nil, err
	}
	return ssh.Dial("tcp", p.w.addr, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 5 * time.Second,
	})
}

// recordings waits until n sessions have ended, and returns what was recorded of
// the last one.
func (w *world) recorded(session id.Session) []recording.Frame {
	w.t.Helper()
	rig.Eventually(w.t, 10*time.Second, "session "+string(session)+" has ended", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		_, ended := w.ended[session]
		return ended
	})
	return w.frames(session)
}

// frames reads a recording as it is now.
func (w *world) frames(session id.Session) []recording.Frame {
	w.t.Helper()
	dir := w.config.Recordings
	if dir == "" {
		dir = filepath.Join(w.config.Data, "recordings")
	}
	r, err := recording.OpenDir(dir, session, w.opener)
	if err != nil {
		w.t.Fatalf("open recording: %v", err)
	}
	defer r.Close()
	var frames []recording.Frame
	for {
		f, err := r.Next()
		if err == io.EOF {
			return frames
		}
		if err != nil {
			w.t.Fatalf("read recording: %v", err)
		}
		f.Payload = append([]byte(nil), f.Payload...)
		frames = append(frames, f)
	}
}

// last is the session that was asked for last, once it has been answered.
func (w *world) last() id.Session {
	w.t.Helper()
	var names []id.Session
	entries, _ := os.ReadDir(filepath.Join(w.config.Data, "recordings"))
	var newest time.Time
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), ".")
		info, err := e.Info()
		if session, bad := id.ParseSession(name); bad == nil && err == nil && !info.ModTime().Before(newest) {
			newest, names = info.ModTime(), append(names, session)
		}
	}
	if len(names) == 0 {
		w.t.Fatal("nothing was recorded")
	}
	return names[len(names)-1]
}

// typed joins what the client sent, with what stands under the veil: the auditor
// can lift it.
func (w *world) typed(session id.Session, frames []recording.Frame) string {
	w.t.Helper()
	r, err := recording.OpenDir(filepath.Join(w.config.Data, "recordings"), session, w.opener)
	if err != nil {
		w.t.Fatalf("open recording: %v", err)
	}
	defer r.Close()
	var b strings.Builder
	for _, f := range frames {
		switch f.Kind {
		case recording.KindInput:
			b.Write(f.Payload)
		case recording.KindVeiled:
			text, ok := r.Unveil(f)
			if !ok {
				w.t.Fatal("an auditor's key does not lift the veil")
			}
			b.Write(text)
		}
	}
	return b.String()
}

// content joins all frames of a kind.
func content(frames []recording.Frame, kind recording.Kind) string {
	var b strings.Builder
	for _, f := range frames {
		if f.Kind == kind {
			b.Write(f.Payload)
		}
	}
	return b.String()
}

// command is one of OpenSSH's programs.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	return exec.Command(rig.Need(t, name, "openssh-client"), args...)
}

func parseNode(s string) (id.NodeName, error) { return id.ParseNodeName(s) }
func parseLogin(s string) (id.Login, error)   { return id.ParseLogin(s) }

func asErr[E error](err error, to *E) bool { return errors.As(err, to) }

// allocated is the live heap of this process, the proxy's and the test's.
func allocated() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// tail is the last n lines of s.
func tail(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
