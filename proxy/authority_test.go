package proxy

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// authority is a CA by hand: real certificates by the real profiles over the real
// wire, decisions from a map, and dials to turn for what goes wrong.
type authority struct {
	t                   *testing.T
	user, session, host ssh.Signer
	url                 string // the people's door
	door                wire.PartsDoor
	identity            wire.Identity

	mu     sync.Mutex
	serial id.Serial
	token  string
	pins   [][]byte // enrolled
	nodes  map[id.NodeName]wire.Target
	grants map[string]policy.Grant // by login@node; none is no_role
	asked  []wire.OpenRequest
	begun  map[id.Session]wire.RecordingStarted
	ended  map[id.Session]wire.EndRequest
	told   map[id.Session][]string // of begun and ended, in their order
	starts int
	live   []id.Session        // in the last start
	refuse error               // of every report
	hosts  map[id.NodeName]int // certificates given
	away   bool                // refuse TCP's next requests
	order  wire.RecordingOrder // of every session; encrypted to an auditor
	opener recording.Opener    // that auditor's
	twist  func(*wire.OpenResponse)
	mint   func(*cert.Session) // before a session certificate is derived
}

// everything is a grant of all channels without a limit.
func everything() policy.Grant {
	return policy.Grant{Roles: []policy.RoleGrant{{Role: "web-deploy", Channels: policy.Channels()}}}
}

func newAuthority(t *testing.T) *authority {
	a := &authority{
		t: t, user: rig.NewKey(t, ""), session: rig.NewKey(t, ""), host: rig.NewKey(t, ""), token: "one-time-secret",
		begun: map[id.Session]wire.RecordingStarted{}, told: map[id.Session][]string{},
		nodes: map[id.NodeName]wire.Target{}, grants: map[string]policy.Grant{}, ended: map[id.Session]wire.EndRequest{}, hosts: map[id.NodeName]int{},
	}
	var err error
	if a.identity, err = wire.NewIdentity(); err != nil {
		t.Fatal(err)
	}
	a.order, a.opener = newAuditor(t)
	a.serveParts("127.0.0.1:0")
	people := http.NewServeMux()
	people.HandleFunc("GET "+wire.PathDiscovery, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, wire.Discovery{Parts: a.door, Trust: a.trust()}, nil)
	})
	server := httptest.NewServer(people)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// newAuditor is somebody to whom recordings are encrypted, and who reads them.
func newAuditor(t *testing.T) (wire.RecordingOrder, recording.Opener) {
	identity := must(age.GenerateX25519Identity())
	path := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(path, []byte(identity.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return wire.RecordingOrder{Recipients: []string{identity.Recipient().String()}}, must(recording.LoadIdentities(path))
}

func (a *authority) serveParts(addr string) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+wire.PathEnroll, handle(a, a.enroll))
	mux.HandleFunc("POST "+wire.PathProxyOpen, handle(a, a.open))
	mux.HandleFunc("POST "+wire.PathProxyHost, handle(a, a.certifyHost))
	mux.HandleFunc("POST "+wire.PathProxyNodes, handle(a, a.menu))
	mux.HandleFunc("POST "+wire.PathProxyStart, handle(a, func(in wire.StartRequest) (any, error) { a.starts++; a.live = in.Live; return struct{}{}, nil }))
	mux.HandleFunc("POST "+wire.PathProxyEnd, func(w http.ResponseWriter, r *http.Request) {
		handle(a, func(in wire.EndRequest) (any, error) {
			x := id.Session(r.PathValue("id"))
			a.ended[x] = in
			a.told[x] = append(a.told[x], "ended")
			return struct{}{}, a.refuse
		})(w, r)
	})
	mux.HandleFunc("POST "+wire.PathProxyStarted, func(w http.ResponseWriter, r *http.Request) {
		handle(a, func(in wire.RecordingStarted) (any, error) {
			x := id.Session(r.PathValue("id"))
			a.begun[x] = in
			a.told[x] = append(a.told[x], "begun")
			return struct{}{}, a.refuse
		})(w, r)
	})
	mux.HandleFunc("GET "+wire.PathProxyState, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("wait") != "0" { // a long poll: nothing new
			select {
			case <-r.Context().Done():
			case <-time.After(time.Second):
			}
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.away {
			panic(http.ErrAbortHandler)
		}
		state := wire.ProxyState{Version: int64(len(a.nodes)), Trust: a.trust()}
		for name := range a.nodes {
			state.Nodes = append(state.Nodes, name)
		}
		slices.Sort(state.Nodes)
		answer(w, state, nil)
	})
	server := httptest.NewUnstartedServer(mux)
	server.TLS = wire.PartsTLS(a.identity)
	server.EnableHTTP2 = true
	server.StartTLS()
	a.t.Cleanup(server.Close)
	a.door = wire.PartsDoor{URL: server.URL, Pin: hex.EncodeToString(a.identity.Pin())}
}

func answer(w http.ResponseWriter, out any, err error) {
	if err != nil {
		wire.WriteProblem(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(must(jsonOf(out)))
}

// handle serves one call, one at a time.
func handle[In any](a *authority, f func(In) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.away {
			panic(http.ErrAbortHandler)
		}
		var in In
		if err := wire.Decode(r.Body, 1<<20, &in); err != nil {
			answer(w, nil, err)
			return
		}
		if r.URL.Path != wire.PathEnroll && !a.knows(r.TLS) {
			answer(w, nil, fault.New(fault.Unauthentic, fault.NotEnrolled, "not enrolled"))
			return
		}
		if e, ok := any(&in).(*wire.EnrollRequest); ok && e.Token == a.token {
			a.pins = append(a.pins, wire.PinOf(r.TLS.PeerCertificates[0]))
		}
		out, err := f(in)
		answer(w, out, err)
	}
}

func (a *authority) knows(s *tls.ConnectionState) bool {
	pin := wire.PinOf(s.PeerCertificates[0])
	return slices.ContainsFunc(a.pins, func(p []byte) bool { return slices.Equal(p, pin) })
}

func (a *authority) trust() wire.Trust {
	line := func(k ssh.Signer) []string { return []string{string(ssh.MarshalAuthorizedKey(k.PublicKey()))} }
	return wire.Trust{Version: 1, UserCA: line(a.user), SessionCA: line(a.session), HostCA: line(a.host)}
}

func (a *authority) enroll(in wire.EnrollRequest) (any, error) {
	if in.Token != a.token {
		return nil, fault.New(fault.Denied, fault.JoinTokenUnknown, "no such join token")
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(in.HostKeys[0]))
	if err != nil {
		return nil, err
	}
	c := a.sign(cert.Host{Proxy: id.Proxy(in.Name), Principals: []string{in.Name, "127.0.0.1"}, Key: key, Serial: a.next()}, a.host)
	return wire.EnrollResponse{Certificates: []wire.HostCertificate{{Certificate: c.Marshal(), ValidBefore: int64(c.ValidBefore)}}, Trust: a.trust()}, nil
}

func (a *authority) certifyHost(in wire.HostCertificateRequest) (any, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(in.HostKey))
	if err != nil {
		return nil, err
	}
	r := cert.Host{Proxy: "p-1", Principals: []string{"p-1", "127.0.0.1"}, Key: key, Serial: a.next()}
	if in.Node != "" {
		n, ok := a.nodes[in.Node]
		if !ok {
			return nil, fault.New(fault.Missing, fault.NodeUnknown, "there is no node %q", string(in.Node))
		}
		r.Name, r.Node, r.Principals = n.Name, n.Node, []string{string(n.Name)}
		a.hosts[in.Node]++
	}
	c := a.sign(r, a.host)
	return wire.HostCertificate{Certificate: c.Marshal(), ValidBefore: int64(c.ValidBefore)}, nil
}

func (a *authority) open(in wire.OpenRequest) (any, error) {
	a.asked = append(a.asked, in)
	c, err := cert.Parse(in.Certificate)
	if err != nil {
		return nil, err
	}
	from, err := netip.ParseAddrPort(in.Client)
	if err != nil {
		return nil, err
	}
	if err := cert.VerifyLogin(c, []ssh.PublicKey{a.user.PublicKey()}, time.Now(), from.Addr()); err != nil {
		return nil, err
	}
	n, ok := a.nodes[in.Node]
	if !ok {
		return nil, fault.New(fault.Missing, fault.NodeUnknown, "there is no node %q here", string(in.Node)).Then("To see yours: sallyport ls")
	}
	grant, ok := a.grants[string(in.Login)+"@"+string(in.Node)]
	if !ok {
		return nil, fault.New(fault.Denied, fault.LoginNotAllowed, "no role gives you %s on %s", in.Login, in.Node).Then("You have there: deploy (web-deploy).")
	}
	key, err := ssh.ParsePublicKey(in.PublicKey)
	if err != nil {
		return nil, err
	}
	r := cert.Session{
		Session: id.NewSession(), Identity: id.Identity(c.ValidPrincipals[0]), Revision: 7, Login: in.Login, Node: n.Node,
		Key: key, Serial: a.next(), SourceAddress: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		PTY:             grant.Allows(policy.Shell) || grant.Allows(policy.Exec),
		AgentForwarding: grant.Allows(policy.ForwardAgent),
		PortForwarding:  grant.Allows(policy.ForwardLocal) || grant.Allows(policy.ForwardRemote) || grant.Allows(policy.ForwardUnix),
	}
	if a.mint != nil {
		a.mint(&r)
	}
	out := wire.OpenResponse{Session: r.Session, Identity: r.Identity, Certificate: a.sign(r, a.session).Marshal(), Grant: grant, Target: n, Recording: a.order}
	if a.twist != nil {
		a.twist(&out)
	}
	return out, nil
}

func (a *authority) menu(in wire.MenuRequest) (any, error) {
	nodes := []wire.ReachableNode{}
	for name := range a.nodes {
		n := wire.ReachableNode{Name: name, Labels: map[string]string{"env": "test"}}
		for where, g := range a.grants {
			if login, node, _ := strings.Cut(where, "@"); id.NodeName(node) == name {
				n.Logins = append(n.Logins, wire.ReachableLogin{Login: id.Login(login), Roles: g.Names()})
			}
		}
		if len(n.Logins) > 0 {
			nodes = append(nodes, n)
		}
	}
	return nodes, nil
}

func (a *authority) next() id.Serial { a.serial++; return a.serial }

// sign derives r for its profile's whole lifetime and signs it.
func (a *authority) sign(r cert.Request, ca ssh.Signer) *ssh.Certificate {
	after, before := cert.Window(time.Now(), r.Limit())
	switch v := r.(type) {
	case cert.Host:
		v.ValidAfter, v.ValidBefore = after, before
		r = v
	case cert.Session:
		if v.ValidAfter == 0 {
			v.ValidAfter, v.ValidBefore = after, before
		}
		r = v
	case cert.Login:
		if v.ValidAfter == 0 {
			v.ValidAfter, v.ValidBefore = after, before
		}
		r = v
	}
	c, err := r.Derive()
	if err == nil {
		err = c.SignCert(rand.Reader, ca)
	}
	if err != nil {
		a.t.Fatalf("sign: %v", err)
	}
	return c
}

// login certifies key for who; change may bend the request.
func (a *authority) login(who id.Identity, key ssh.PublicKey, change func(*cert.Login)) *ssh.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := cert.Login{Identity: who, LoginID: id.NewLoginID(), Key: key, Serial: a.next()}
	if change != nil {
		change(&r)
	}
	return a.sign(r, a.user)
}

// with changes the authority between calls.
func (a *authority) with(change func(*authority)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

// addNode makes sshd a node; pin knows it by its host keys instead of a
// certificate.
func (a *authority) addNode(name id.NodeName, config rig.SSHDConfig, pin bool) *rig.Sshd {
	node := id.NewNode()
	config.Node = node
	config.SessionCA = []ssh.PublicKey{a.session.PublicKey()}
	if !pin && config.Certify == nil {
		config.Certify = func(key ssh.PublicKey) *ssh.Certificate {
			a.mu.Lock()
			defer a.mu.Unlock()
			return a.sign(cert.Host{Name: name, Node: node, Principals: []string{string(name)}, Key: key, Serial: a.next()}, a.host)
		}
	}
	sshd := rig.SSHD(a.t, config)
	target := wire.Target{Node: node, Name: name, Addr: sshd.Addr}
	if pin {
		for _, key := range sshd.HostKeys {
			target.HostKeys = append(target.HostKeys, string(ssh.MarshalAuthorizedKey(key)))
		}
	}
	a.with(func(a *authority) {
		a.nodes[name] = target
		a.grants[sshd.Login+"@"+string(name)] = everything()
	})
	return sshd
}

// sessionCertificate is what the proxy would be given at that time for web-1.
func (w *world) sessionCertificate(key ssh.PublicKey, at time.Time) *ssh.Certificate {
	w.mu.Lock()
	defer w.mu.Unlock()
	after, before := cert.Window(at, cert.MaxSession)
	return w.sign(cert.Session{
		Session: id.NewSession(), Identity: "you@example.com", Revision: 7, Login: id.Login(w.web.Login), Node: w.nodes["web-1"].Node,
		Key: key, Serial: w.next(), ValidAfter: after, ValidBefore: before,
		SourceAddress: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, PTY: true,
	}, w.session)
}
