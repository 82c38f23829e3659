package login

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/sshsig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// handCA is a small CA that speaks wire and issues certificates of whatever age a
// test wants: the real one rightly refuses to sign what has ended. It checks what
// the person's side promises it: the nonce, and both proofs.
type handCA struct {
	t          testing.TB
	server     *httptest.Server
	user, host ssh.Signer

	mu    sync.Mutex
	d     wire.Discovery
	life  func() (from, to time.Time)
	nodes []wire.ReachableNode
	// refuse answers logins and renewals, if set.
	refuse *fault.Error
	calls  map[string]int // by path
	last   wire.LoginRequest
	broken func(*ssh.Certificate) // changes what is signed
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// hour is the life of a certificate that is fresh.
func hour() (from, to time.Time) {
	now := time.Now()
	return now.Add(-time.Minute), now.Add(time.Hour)
}

// almostOver is the life of a certificate that is due.
func almostOver() (from, to time.Time) {
	now := time.Now()
	return now.Add(-time.Hour), now.Add(time.Minute)
}

// ended is the life of a certificate that is over.
func endedLife() (from, to time.Time) {
	now := time.Now()
	return now.Add(-2 * time.Hour), now.Add(-time.Hour)
}

// newHandCA starts a CA whose people sign in at issuer.
func newHandCA(t testing.TB, issuer string) *handCA {
	t.Helper()
	ca := &handCA{t: t, user: newSigner(t), host: newSigner(t), life: hour, calls: map[string]int{}}
	line := func(key ssh.PublicKey) []string { return []string{string(ssh.MarshalAuthorizedKey(key))} }
	ca.d = wire.Discovery{
		Name:    "Example Inc.",
		OIDC:    wire.OIDC{Issuer: issuer, ClientID: "sallyport", Scopes: []string{"openid", "email", "profile", "groups", "offline_access"}},
		Trust:   wire.Trust{UserCA: line(ca.user.PublicKey()), SessionCA: line(newSigner(t).PublicKey()), HostCA: line(ca.host.PublicKey())},
		Proxies: []wire.ProxyAddr{{Name: "p-1", Addr: "127.0.0.1:1"}},
		Names:   []string{"*.nodes.example.com"},
	}
	ca.nodes = []wire.ReachableNode{
		{Name: "web-1", Labels: map[string]string{"tier": "web", "env": "prod"}, Logins: []wire.ReachableLogin{{Login: "deploy", Roles: []string{"web-deploy"}}, {Login: "www", Roles: []string{"web-deploy"}}, {Login: "root", Roles: []string{"web-admin"}}}},
		{Name: "db-1", Labels: map[string]string{"tier": "db"}, Logins: []wire.ReachableLogin{{Login: "postgres", Roles: []string{"db-oncall", "dba"}}}},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathDiscovery, ca.discovery)
	mux.HandleFunc("POST "+wire.PathLogin, ca.login)
	mux.HandleFunc("POST "+wire.PathRenew, ca.login)
	mux.HandleFunc("POST "+wire.PathLogout, ca.proven(func() any { return struct{}{} }))
	mux.HandleFunc("GET "+wire.PathNodes, ca.proven(func() any { return ca.nodes }))
	ca.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ca.mu.Lock()
		ca.calls[r.URL.Path]++
		ca.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(ca.server.Close)
	return ca
}

// set changes the CA between calls.
func (ca *handCA) set(change func(*handCA)) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	change(ca)
}

// called is how often path was asked for.
func (ca *handCA) called(path string) int {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.calls[path]
}

// asked is how many requests there were at all.
func (ca *handCA) asked() (n int) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	for _, c := range ca.calls {
		n += c
	}
	return n
}

func (ca *handCA) discovery(w http.ResponseWriter, r *http.Request) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	d := ca.d
	if d.Now == 0 {
		d.Now = time.Now().Unix()
	}
	json.NewEncoder(w).Encode(d)
}

// login serves logins and renewals.
func (ca *handCA) login(w http.ResponseWriter, r *http.Request) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	answer, err := ca.certify(r)
	if err != nil {
		wire.WriteProblem(w, err)
		return
	}
	json.NewEncoder(w).Encode(answer)
}

func (ca *handCA) certify(r *http.Request) (*wire.LoginResponse, error) {
	var q wire.RenewRequest
	if r.URL.Path == wire.PathRenew {
		if err := wire.Decode(r.Body, 1<<20, &q); err != nil {
			return nil, err
		}
	} else if err := wire.Decode(r.Body, 1<<20, &q.LoginRequest); err != nil {
		return nil, err
	}
	ca.last = q.LoginRequest
	if ca.refuse != nil {
		return nil, ca.refuse
	}
	bad := fault.New(fault.Unauthentic, fault.TokenInvalid, "the hand CA does not take this")
	parts := strings.Split(q.IDToken, ".")
	if len(parts) != 3 {
		return nil, bad
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Sub, Email, Nonce string
		Groups            []string
	}
	if err == nil {
		err = json.Unmarshal(body, &claims)
	}
	key, kerr := ssh.ParsePublicKey(q.PublicKey)
	if err != nil || kerr != nil {
		return nil, bad
	}
	if err := sshsig.Verify(q.Proof, key, wire.NamespaceLogin, wire.LoginProof(q.IDToken)); err != nil {
		return nil, bad.Because(err)
	}
	if len(q.NonceSalt) > 0 && claims.Nonce != wire.Nonce(q.PublicKey, q.NonceSalt) {
		return nil, fault.New(fault.Unauthentic, fault.TokenNonce, "the nonce is for another key")
	}
	if r.URL.Path == wire.PathRenew {
		old, err := ssh.ParsePublicKey(q.Certificate)
		c, ok := old.(*ssh.Certificate)
		if err != nil || !ok || string(c.Key.Marshal()) != string(q.PublicKey) {
			return nil, bad.Because(err)
		}
	}
	from, to := ca.life()
	who := claims.Email
	if who == "" {
		who = claims.Sub + "@example.com"
	}
	c := &ssh.Certificate{
		Key: key, Serial: 7, CertType: ssh.UserCert, KeyId: "identity=" + who + " login=1", ValidPrincipals: []string{who},
		ValidAfter: uint64(from.Unix()), ValidBefore: uint64(to.Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
	}
	if ca.broken != nil {
		ca.broken(c)
	}
	if err := c.SignCert(rand.Reader, ca.user); err != nil {
		return nil, err
	}
	return &wire.LoginResponse{Certificate: c.Marshal(), Identity: id.Identity(who), Groups: claims.Groups, ValidBefore: to.Unix(), Nodes: ca.nodes}, nil
}

// proven answers who has a proof.
func (ca *handCA) proven(answer func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ca.mu.Lock()
		defer ca.mu.Unlock()
		p, err := wire.ReadProof(r)
		if err == nil {
			_, err = p.Verify(r, nil, strings.TrimPrefix(ca.server.URL, "http://"), time.Now())
		}
		if err != nil {
			wire.WriteProblem(w, err)
			return
		}
		json.NewEncoder(w).Encode(answer())
	}
}
