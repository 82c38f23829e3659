package agent_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/agent"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/krl"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

const (
	nodeID    = id.Node("n-0123456789ab")
	joinToken = "k3v9-right"
)

// authority is a CA by hand: it can say what the real one never would, be away,
// and issue certificates that are due at once.
type authority struct {
	t                       *testing.T
	people, parts           *httptest.Server
	away                    atomic.Bool
	identity                wire.Identity
	userCA, sessionCA, host ssh.Signer

	mu      sync.Mutex
	changed chan struct{} // closed at the next change of state
	state   wire.AgentState
	reports []wire.AgentReport
	asked   []wire.EnrollRequest
	issued  int           // host certificates
	age     time.Duration // that they have when issued
	refuse  *fault.Error  // for every request of an agent
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	identity, err := wire.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{
		t: t, identity: identity, changed: make(chan struct{}),
		userCA: rig.NewKey(t, ""), sessionCA: rig.NewKey(t, ""), host: rig.NewKey(t, ""),
	}
	list, err := krl.List{Version: 1}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	a.state = wire.AgentState{
		Version: 1, Node: nodeID, Name: "web-1", KRL: list, Trust: wire.Trust{
			Version: 1, UserCA: []string{line(a.userCA)}, SessionCA: []string{line(a.sessionCA)}, HostCA: []string{line(a.host)},
		},
		Proxies: []wire.ProxyAddr{{Name: "p-1", Addr: "127.0.0.1:8022", Egress: []string{"127.0.0.1"}}},
	}
	people := http.NewServeMux()
	people.HandleFunc("GET "+wire.PathDiscovery, func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(wire.Discovery{Parts: wire.PartsDoor{URL: a.parts.URL, Pin: hex.EncodeToString(identity.Pin())}})
	})
	a.people = httptest.NewServer(people)
	t.Cleanup(a.people.Close)
	a.open()
	t.Cleanup(func() {
		a.parts.CloseClientConnections()
		a.parts.Close()
	})
	return a
}

func line(key ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

// open serves the parts' door.
func (a *authority) open() {
	a.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+wire.PathEnroll, a.enroll)
	mux.HandleFunc("GET "+wire.PathAgentState, a.agentState)
	mux.HandleFunc("POST "+wire.PathAgentRenew, a.renew)
	mux.HandleFunc("POST "+wire.PathAgentReport, a.report)
	a.parts = httptest.NewUnstartedServer(mux)
	a.parts.Listener = &gate{a.parts.Listener, &a.away}
	a.parts.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return wire.PartsTLS(a.identity), nil
	}}
	a.parts.StartTLS()
}

// gate keeps its address while nobody is at home.
type gate struct {
	net.Listener
	away *atomic.Bool
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil || !g.away.Load() {
			return conn, err
		}
		conn.Close()
	}
}

// leave takes the door away, with its long polls; back opens it again.
func (a *authority) leave() {
	a.away.Store(true)
	a.parts.CloseClientConnections()
}

func (a *authority) back() { a.away.Store(false) }

// change alters the state and wakes who waits for it.
func (a *authority) change(f func(*wire.AgentState)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.state)
	a.state.Version++
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *authority) enroll(w http.ResponseWriter, r *http.Request) {
	var in wire.EnrollRequest
	if err := wire.Decode(r.Body, 1<<20, &in); err != nil {
		wire.WriteProblem(w, err)
		return
	}
	a.mu.Lock()
	a.asked = append(a.asked, in)
	a.mu.Unlock()
	if in.Token != joinToken {
		wire.WriteProblem(w, fault.New(fault.Unauthentic, fault.JoinTokenUnknown, "there is no such join token"))
		return
	}
	out := wire.EnrollResponse{Node: nodeID, Labels: map[string]string{"env": "prod", "tier": "web"}, Trust: a.state.Trust, Proxies: a.state.Proxies}
	for _, text := range in.HostKeys {
		out.Certificates = append(out.Certificates, a.certify(text))
	}
	json.NewEncoder(w).Encode(out)
}

func (a *authority) renew(w http.ResponseWriter, r *http.Request) {
	var in wire.HostCertificateRequest
	if err := wire.Decode(r.Body, 1<<20, &in); err != nil || a.denies(w) {
		return
	}
	json.NewEncoder(w).Encode(a.certify(in.HostKey))
}

func (a *authority) denies(w http.ResponseWriter) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse != nil {
		wire.WriteProblem(w, a.refuse)
	}
	return a.refuse != nil
}

func (a *authority) certify(text string) wire.HostCertificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		a.t.Errorf("a host key that is none: %q", text)
		return wire.HostCertificate{}
	}
	a.issued++
	after, before := cert.Window(time.Now(), 24*time.Hour)
	age := int64(a.age / time.Second)
	c, err := cert.Host{
		Name: "web-1", Node: nodeID, Principals: []string{"web-1"}, Key: key, Serial: id.Serial(a.issued),
		ValidAfter: after - age, ValidBefore: before - age,
	}.Derive()
	if err == nil {
		err = c.SignCert(rand.Reader, a.host)
	}
	if err != nil {
		a.t.Errorf("certify: %v", err)
		return wire.HostCertificate{}
	}
	return wire.HostCertificate{Certificate: c.Marshal(), ValidBefore: int64(c.ValidBefore)}
}

func (a *authority) agentState(w http.ResponseWriter, r *http.Request) {
	if a.denies(w) {
		return
	}
	since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	wait, _ := strconv.Atoi(r.URL.Query().Get("wait"))
	over := time.After(time.Duration(wait) * time.Second)
	for {
		a.mu.Lock()
		state, changed := a.state, a.changed
		a.mu.Unlock()
		if state.Version > since || wait == 0 {
			json.NewEncoder(w).Encode(state)
			return
		}
		select {
		case <-changed:
		case <-over:
			wait = 0
		case <-r.Context().Done():
			return
		}
	}
}

func (a *authority) report(w http.ResponseWriter, r *http.Request) {
	var in wire.AgentReport
	if err := wire.Decode(r.Body, 64<<10, &in); err != nil {
		a.t.Errorf("report: %v", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reports = append(a.reports, in)
}

// last is the newest report.
func (a *authority) last() wire.AgentReport {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.reports) == 0 {
		return wire.AgentReport{}
	}
	return a.reports[len(a.reports)-1]
}

// eventually waits for a report for which ok holds.
func (a *authority) eventually(what string, ok func(wire.AgentReport) bool) {
	a.t.Helper()
	rig.Eventually(a.t, 30*time.Second, "the agent reports "+what, func() bool { return ok(a.last()) })
}

// host is a machine with a real sshd, and an agent that runs in the test.
type host struct {
	*rig.Sshd
	*authority
	t    *testing.T
	dir  string
	own  ssh.Signer
	stop func() // the running agent; nil for none
	log  *rig.Log
}

func newHost(t *testing.T, a *authority, config rig.SSHDConfig) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("as another user, an account's authorized_keys would be the tester's own")
	}
	t.Parallel()
	h := &host{Sshd: rig.SSHD(t, config), authority: a, t: t, dir: rig.RootDir(t), own: rig.NewKey(t, ""), log: &rig.Log{}}
	keys := filepath.Join(h.Home(h.Login), ".ssh")
	if err := os.Mkdir(keys, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(keys, "authorized_keys"), ssh.MarshalAuthorizedKey(h.own.PublicKey()), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if h.stop != nil {
			h.stop()
		}
		if t.Failed() {
			t.Logf("the agent:\n%s\nsshd:\n%s", h.log, h.Log())
		}
	})
	return h
}

// agent runs a command of the agent to its end.
func (h *host) agent(args ...string) (out string, err error) {
	var stdout bytes.Buffer
	env := cli.Env{Stdin: strings.NewReader(joinToken + "\n"), Stdout: &stdout, Stderr: h.log, Getenv: os.Getenv}
	err = agent.Main(h.t.Context(), env, append(args, h.places()...))
	return stdout.String(), err
}

func (h *host) places() []string { return []string{"--dir", h.dir, "--sshd-config", h.Sshd.Config()} }

func (h *host) enrol(more ...string) (string, error) {
	return h.agent(append([]string{"enroll", "--ca", h.people.URL, "--token-file", "-", "--name", "web-1", "--addr", h.Addr}, more...)...)
}

func (h *host) mustEnrol(more ...string) string {
	h.t.Helper()
	out, err := h.enrol(more...)
	if err != nil {
		h.t.Fatalf("enrol: %v", err)
	}
	return out
}

// run starts the agent; flags come from a configuration file.
func (h *host) run(config string) {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		env := cli.Env{Stdin: strings.NewReader(""), Stdout: h.log, Stderr: h.log, Getenv: os.Getenv}
		ended <- agent.Main(ctx, env, append([]string{"run", "--config", file}, h.places()...))
	}()
	h.stop = func() {
		h.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("the agent ended with %v", err)
		}
		h.stop = nil
	}
	was := strings.Count(h.log.String(), "agent ready")
	rig.Eventually(h.t, 20*time.Second, "the agent is ready", func() bool {
		return strings.Count(h.log.String(), "agent ready") > was
	})
}

// session is a session certificate for a login here.
func (h *host) session(node id.Node, serial uint64) ssh.Signer {
	h.t.Helper()
	key := rig.NewKey(h.t, "")
	c := &ssh.Certificate{
		Key: key.PublicKey(), Serial: serial, CertType: ssh.UserCert, KeyId: "session=7kq2-m9x4d",
		ValidPrincipals: []string{id.Principal(id.Login(h.Login), node)}, ValidBefore: uint64(time.Now().Add(time.Minute).Unix()),
	}
	if err := c.SignCert(rand.Reader, h.sessionCA); err != nil {
		h.t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(c, key)
	if err != nil {
		h.t.Fatal(err)
	}
	return signer
}

// dial logs in, and again where a connection was cut off: sshd that reloads does
// that to those which are not logged in yet.
func (h *host) dial(signer ssh.Signer) (shown *ssh.Certificate, err error) {
	h.t.Helper()
	rig.Eventually(h.t, 20*time.Second, "sshd says yes or no", func() bool {
		shown, err = h.dialOnce(signer)
		return err == nil || strings.Contains(err.Error(), "unable to authenticate")
	})
	return shown, err
}

func (h *host) dialOnce(signer ssh.Signer) (*ssh.Certificate, error) {
	var shown *ssh.Certificate
	c, err := ssh.Dial("tcp", h.Addr, &ssh.ClientConfig{
		User: h.Login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: 10 * time.Second,
		HostKeyAlgorithms: []string{ssh.CertAlgoED25519v01, ssh.KeyAlgoED25519},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			shown, _ = key.(*ssh.Certificate)
			return nil
		},
	})
	if err == nil {
		c.Close()
	}
	return shown, err
}

func (h *host) mustOpen(what string, signer ssh.Signer) {
	h.t.Helper()
	if _, err := h.dial(signer); err != nil {
		h.t.Errorf("%s does not open the login: %v", what, err)
	}
}

func (h *host) mustNotOpen(what string, signer ssh.Signer) {
	h.t.Helper()
	if _, err := h.dial(signer); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		h.t.Errorf("%s: %v; it should be refused", what, err)
	}
}
