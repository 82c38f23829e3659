package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/krl"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

const thisNode = id.Node("n-0123456789ab")

type keys struct{ user, session, host ssh.Signer }

func newKeys(t testing.TB) keys {
	t.Helper()
	s := &rig.Suite{}
	return keys{rig.NewKey(s, ""), rig.NewKey(s, ""), rig.NewKey(s, "")}
}

func text(key ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) }

func (k keys) state(t testing.TB) wire.AgentState {
	t.Helper()
	list, err := krl.List{Version: 1}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return wire.AgentState{
		Version: 3, Node: thisNode, Name: "web-1", KRL: list,
		Trust: wire.Trust{
			UserCA: []string{text(k.user.PublicKey())}, SessionCA: []string{text(k.session.PublicKey())}, HostCA: []string{text(k.host.PublicKey())},
		},
		Proxies: []wire.ProxyAddr{{Name: "p-1", Egress: []string{"10.0.4.7", "2001:db8::/48", "10.0.4.7"}}},
	}
}

func TestTheCAsWordIsRefusedAsAWhole(t *testing.T) {
	k := newKeys(t)
	s := &rig.Suite{}
	other := rig.NewKey(s, "")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	rsaCA, err := ssh.NewPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	certificate := &ssh.Certificate{Key: other.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"x"}}
	if err := certificate.SignCert(rand.Reader, other); err != nil {
		t.Fatal(err)
	}
	line := text(other.PublicKey())
	for name, spoil := range map[string]func(*wire.AgentState){
		"another node":                      func(s *wire.AgentState) { s.Node = "n-ba9876543210" },
		"no node":                           func(s *wire.AgentState) { s.Node = "" },
		"a name with a line break":          func(s *wire.AgentState) { s.Name = "web-1\nPermitRootLogin yes" },
		"no session CA":                     func(s *wire.AgentState) { s.Trust.SessionCA = nil },
		"no host CA":                        func(s *wire.AgentState) { s.Trust.HostCA = nil },
		"no user CA":                        func(s *wire.AgentState) { s.Trust.UserCA = nil },
		"a session CA that is no key":       func(s *wire.AgentState) { s.Trust.SessionCA = []string{"ssh-ed25519 AAAA"} },
		"two keys in one line":              func(s *wire.AgentState) { s.Trust.SessionCA = []string{line + "\n" + line} },
		"a key with options":                func(s *wire.AgentState) { s.Trust.SessionCA = []string{"cert-authority " + line} },
		"a certificate as a session CA":     func(s *wire.AgentState) { s.Trust.SessionCA = []string{text(certificate)} },
		"an RSA session CA":                 func(s *wire.AgentState) { s.Trust.SessionCA = []string{text(rsaCA)} },
		"an empty line among the CAs":       func(s *wire.AgentState) { s.Trust.SessionCA = append(s.Trust.SessionCA, "") },
		"a comment for a CA":                func(s *wire.AgentState) { s.Trust.SessionCA = []string{"# nothing"} },
		"nine session CAs":                  func(s *wire.AgentState) { s.Trust.SessionCA = slices.Repeat([]string{line}, 9) },
		"the user CA as a session CA":       func(s *wire.AgentState) { s.Trust.SessionCA = append(s.Trust.SessionCA, s.Trust.UserCA[0]) },
		"the host CA as a session CA":       func(s *wire.AgentState) { s.Trust.SessionCA = append(s.Trust.SessionCA, s.Trust.HostCA[0]) },
		"no KRL":                            func(s *wire.AgentState) { s.KRL = nil },
		"an empty KRL":                      func(s *wire.AgentState) { s.KRL = []byte{} },
		"a KRL that was cut":                func(s *wire.AgentState) { s.KRL = s.KRL[:len(s.KRL)-1] },
		"a KRL with something after it":     func(s *wire.AgentState) { s.KRL = append(slices.Clone(s.KRL), 0) },
		"a page of HTML for a KRL":          func(s *wire.AgentState) { s.KRL = []byte("<html>") },
		"a proxy address with a line break": func(s *wire.AgentState) { s.Proxies[0].Egress[0] = "10.0.4.7\nPermitRootLogin yes" },
		"a proxy address that is a name":    func(s *wire.AgentState) { s.Proxies[0].Egress[0] = "proxy.example.com" },
		"a proxy address with a zone":       func(s *wire.AgentState) { s.Proxies[0].Egress[0] = "fe80::1%eth0" },
		"a thousand and one proxies":        func(s *wire.AgentState) { s.Proxies = slices.Repeat(s.Proxies, 1001) },
	} {
		t.Run(name, func(t *testing.T) {
			good, err := wanted{}.accept(k.state(t), thisNode)
			if err != nil {
				t.Fatal(err)
			}
			state := k.state(t)
			state.Version = 4
			spoil(&state)
			got, err := good.accept(state, thisNode)
			if f := fault.Of(err); err == nil || f.Kind != fault.Invalid || !strings.HasPrefix(f.Text, "the CA's word is refused: ") {
				t.Errorf("got %v", err)
			}
			if got.state.Version != 3 || len(got.sessionCA) != 1 {
				t.Errorf("the last good state did not stay: %+v", got.state)
			}
		})
	}
	if _, err := (wanted{}).accept(k.state(t), ""); err == nil {
		t.Error("a node without an identifier takes a state")
	}
}

// certified is a host certificate as the CA makes it, changed by spoil.
func (k keys) certified(t testing.TB, host ssh.PublicKey, spoil func(*cert.Host)) []byte {
	t.Helper()
	after, before := cert.Window(time.Now(), 24*time.Hour)
	request := cert.Host{Name: "web-1", Node: thisNode, Principals: []string{"web-1"}, Key: host, Serial: 9, ValidAfter: after, ValidBefore: before}
	if spoil != nil {
		spoil(&request)
	}
	c, err := request.Derive()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SignCert(rand.Reader, k.host); err != nil {
		t.Fatal(err)
	}
	return c.Marshal()
}

func TestHostCertificatesAreRefused(t *testing.T) {
	k, host := newKeys(t), newKeys(t).user.PublicKey()
	w, err := wanted{}.accept(k.state(t), thisNode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.certify([][]byte{k.certified(t, host, nil)}, []ssh.PublicKey{host}, time.Now()); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	stranger := newKeys(t)
	for name, blobs := range map[string][][]byte{
		"none":                    nil,
		"one too many":            {k.certified(t, host, nil), k.certified(t, host, nil)},
		"garbage":                 {[]byte("garbage")},
		"a plain key":             {host.Marshal()},
		"for another key":         {k.certified(t, k.user.PublicKey(), nil)},
		"for another node":        {k.certified(t, host, func(h *cert.Host) { h.Node = "n-ba9876543210" })},
		"for another name":        {k.certified(t, host, func(h *cert.Host) { h.Principals = []string{"db-1"} })},
		"for a proxy in our name": {k.certified(t, host, func(h *cert.Host) { h.Proxy = "p-1"; h.ValidBefore = h.ValidAfter + 3600 })},
		"of another CA":           {stranger.certified(t, host, nil)},
		"that ended":              {k.certified(t, host, func(h *cert.Host) { h.ValidAfter -= 90000; h.ValidBefore -= 90000 })},
		"that has not begun":      {k.certified(t, host, func(h *cert.Host) { h.ValidAfter += 3600; h.ValidBefore += 3600 })},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := w.certify(blobs, []ssh.PublicKey{host}, time.Now()); err == nil || len(got.certificates) > 0 {
				t.Errorf("it was taken: %v", err)
			}
		})
	}
}

func TestWhatIsStoredIsReadBackOrRefused(t *testing.T) {
	k, host := newKeys(t), newKeys(t).user.PublicKey()
	w, err := wanted{}.accept(k.state(t), thisNode)
	if err == nil {
		w, err = w.certify([][]byte{k.certified(t, host, nil)}, []ssh.PublicKey{host}, time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	source, err := w.source()
	if err != nil {
		t.Fatal(err)
	}
	got, err := restore(source, thisNode)
	if err != nil || got.state.Version != 3 || len(got.certificates) != 1 || !sameKey(got.sessionCA[0], k.session.PublicKey()) {
		t.Errorf("read back %+v, %v", got, err)
	}
	for name, bad := range map[string][]byte{
		"nothing":        nil,
		"half of it":     source[:len(source)/2],
		"another format": []byte(strings.Replace(string(source), `"format":1`, `"format":2`, 1)),
		"more fields":    []byte(strings.Replace(string(source), `"format":1`, `"format":1,"x":1`, 1)),
	} {
		if _, err := restore(bad, thisNode); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := restore(source, "n-ba9876543210"); err == nil {
		t.Error("another node's state is taken")
	}
}

func TestTheDropInIsRenderedFromKnownShapesAlone(t *testing.T) {
	k := newKeys(t)
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ssh.NewPublicKey(ecdsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	state := k.state(t)
	state.Trust.SessionCA = append(state.Trust.SessionCA, text(second))
	state.Strict, state.Proven = true, true
	w, err := wanted{}.accept(state, thisNode)
	if err != nil {
		t.Fatal(err)
	}
	bare := sshdconf.Effective{
		"persourcepenaltyexemptlist": {"192.0.2.9"}, "gssapiauthentication": {"yes"}, "hostbasedauthentication": {"no"},
		"authorizedkeyscommand": {"/usr/bin/keys"},
	}
	for _, c := range []struct {
		version sshdconf.Version
		want    string
	}{
		{sshdconf.Version{Major: 8, Minor: 4}, `TrustedUserCAKeys "/d/session_ca.pub"
CASignatureAlgorithms ecdsa-sha2-nistp256,ssh-ed25519
AuthorizedPrincipalsCommand /bin/echo %u@n-0123456789ab
AuthorizedPrincipalsCommandUser nobody
AuthorizedPrincipalsFile none
RevokedKeys "/d/revoked.krl"
AuthorizedKeysFile none
AuthorizedKeysCommand none
PasswordAuthentication no
KbdInteractiveAuthentication no
ChallengeResponseAuthentication no
hostbasedauthentication no
gssapiauthentication no
`},
		{sshdconf.Version{Major: 10, Minor: 0}, `TrustedUserCAKeys "/d/session_ca.pub"
CASignatureAlgorithms ecdsa-sha2-nistp256,ssh-ed25519
AuthorizedPrincipalsCommand /bin/echo %u@n-0123456789ab
AuthorizedPrincipalsCommandUser nobody
AuthorizedPrincipalsFile none
RevokedKeys "/d/revoked.krl"
PerSourcePenaltyExemptList 192.0.2.9,10.0.4.7/32,2001:db8::/48
AuthorizedKeysFile none
AuthorizedKeysCommand none
PasswordAuthentication no
KbdInteractiveAuthentication no
hostbasedauthentication no
gssapiauthentication no
`},
	} {
		set, err := w.set(bare, c.version, "nobody")
		if err != nil {
			t.Fatal(err)
		}
		set.Sshd.Dir = "/d"
		_, got, _ := strings.Cut(string(set.Sshd.Render()), "uninstall\n")
		if got != c.want {
			t.Errorf("for %v:\n%s\nwant\n%s", c.version, got, c.want)
		}
	}
}

func TestStrictModeTakesBothTheWishAndTheProof(t *testing.T) {
	for name, c := range map[string]struct{ strict, proven, want bool }{
		"neither": {}, "only wished": {strict: true}, "only proven": {proven: true}, "both": {true, true, true},
	} {
		w := wanted{state: wire.AgentState{Strict: c.strict, Proven: c.proven}}
		if w.strict() != c.want {
			t.Errorf("%s: %v", name, w.strict())
		}
	}
}

func TestRenewalIsDue(t *testing.T) {
	k, host := newKeys(t), newKeys(t).user.PublicKey()
	now := time.Now()
	agentWith := func(spoil func(*cert.Host)) *agent {
		a := &agent{keys: []ssh.PublicKey{host}, renewal: backoff{first: time.Minute, most: time.Hour}}
		var err error
		if a.want, err = (wanted{}).accept(k.state(t), thisNode); err != nil {
			t.Fatal(err)
		}
		c, err := parseCertificate(k.certified(t, host, spoil))
		if err != nil {
			t.Fatal(err)
		}
		a.want.certificates = []*ssh.Certificate{c}
		return a
	}
	waits := map[time.Duration]bool{}
	for serial := range 50 {
		a := agentWith(func(h *cert.Host) { h.Serial = id.Serial(serial + 1) })
		wait := a.untilRenewal(now)
		if wait < 9*time.Hour || wait > 15*time.Hour {
			t.Errorf("serial %d: due in %v of 24h", serial, wait)
		}
		if again := a.untilRenewal(now); again != wait {
			t.Errorf("serial %d: due in %v, and then in %v", serial, wait, again)
		}
		waits[wait.Round(time.Minute)] = true
	}
	if len(waits) < 20 {
		t.Errorf("50 certificates are due at %d times: %v", len(waits), slices.Sorted(maps.Keys(waits)))
	}

	for name, a := range map[string]*agent{
		"after half of its life": agentWith(func(h *cert.Host) { h.ValidAfter -= 15 * 3600; h.ValidBefore -= 15 * 3600 }),
		"when it has ended":      agentWith(func(h *cert.Host) { h.ValidAfter -= 90000; h.ValidBefore -= 90000 }),
		"when its CA is trusted no longer": func() *agent {
			a := agentWith(nil)
			a.want.hostCA = []ssh.PublicKey{k.user.PublicKey()}
			return a
		}(),
		"when the node has another name": func() *agent {
			a := agentWith(nil)
			a.want.state.Name = "web-2"
			return a
		}(),
		"when sshd has another key": func() *agent {
			a := agentWith(nil)
			a.keys = []ssh.PublicKey{k.user.PublicKey()}
			return a
		}(),
		"when sshd has one more key": func() *agent {
			a := agentWith(nil)
			a.keys = append(a.keys, k.user.PublicKey())
			return a
		}(),
		"when there is none": func() *agent {
			a := agentWith(nil)
			a.want.certificates = nil
			return a
		}(),
	} {
		if wait := a.untilRenewal(now); wait != 0 {
			t.Errorf("%s: due in %v", name, wait)
		}
		a.renewal.failed()
		if wait := a.untilRenewal(now); wait == 0 || wait > time.Minute {
			t.Errorf("%s, and it failed: again in %v", name, wait)
		}
	}
	if wait := (&agent{}).untilRenewal(now); wait != never {
		t.Errorf("before the CA has said anything: due in %v", wait)
	}
}

func TestBackoffGrowsToItsLimitAndForgets(t *testing.T) {
	b := backoff{first: time.Second, most: time.Minute}
	if b.wait() != never {
		t.Error("it waits for something")
	}
	for n, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		b.failed()
		if wait := b.wait(); wait > want*time.Second || wait < want*time.Second/2-10*time.Millisecond {
			t.Errorf("failure %d: %v, want half of %v or more", n, wait, want*time.Second)
		}
	}
	b.reset()
	if b.wait() != never {
		t.Error("it does not forget")
	}
}

func TestRepairsAreLimitedWithinAnHour(t *testing.T) {
	var m mend
	now := time.Now()
	for n := range 3 {
		if !m.take(now.Add(time.Duration(n) * time.Minute)) {
			t.Errorf("repair %d is refused", n)
		}
	}
	if m.take(now.Add(59 * time.Minute)) {
		t.Error("a fourth within the hour")
	}
	if !m.take(now.Add(61 * time.Minute)) {
		t.Error("none after the hour")
	}
}

func TestAReportStaysWithinWhatTheCATakes(t *testing.T) {
	var lines []string
	for n := range 300 {
		lines = append(lines, fmt.Sprintf("%d %s", n, strings.Repeat("x", 1000)))
	}
	got := clip(lines)
	size := 0
	for _, l := range got {
		size += len(l)
	}
	if len(got) != 50 || got[49] != "and 251 more" || size > 50<<10 {
		t.Errorf("%d lines of %d bytes, the last %q", len(got), size, got[len(got)-1])
	}
}
