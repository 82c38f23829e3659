package agent

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/agent/internal/install"
	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/krl"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Limits of what a CA may say.
const (
	maxCAs     = 8
	maxProxies = 1000
)

// strictWaits is what people are told meanwhile.
const strictWaits = "strict mode waits for a login through a proxy to work"

// wanted is what this node should look like: the last state of the CA that was
// accepted, and the host certificates. The zero value is nothing.
type wanted struct {
	state        wire.AgentState
	sessionCA    []ssh.PublicKey
	hostCA       []ssh.PublicKey
	certificates []*ssh.Certificate
}

// accept checks a state as if it came from a stranger. It is taken as a whole or
// not at all, and then replaces that of w; the certificates stay.
func (w wanted) accept(state wire.AgentState, node id.Node) (wanted, error) {
	refuse := func(format string, args ...any) (wanted, error) {
		return w, fault.New(fault.Invalid, fault.BadRequest, "the CA's word is refused: %s", fmt.Sprintf(format, args...)).
			Then("what is installed stays; see the CA's log and version")
	}
	if state.Node != node || node == "" {
		return refuse("it is for node %.40q, and this is %s", state.Node, node)
	}
	if _, err := id.ParseNodeName(string(state.Name)); err != nil {
		return refuse("%v", err)
	}
	lists := map[string][]ssh.PublicKey{}
	for name, lines := range map[string][]string{"user": state.Trust.UserCA, "session": state.Trust.SessionCA, "host": state.Trust.HostCA} {
		keys, err := authorities(lines)
		if err != nil {
			return refuse("%s CA: %v", name, err)
		}
		lists[name] = keys
	}
	// Never one key for two jobs: a user CA in TrustedUserCAKeys would let login
	// certificates in directly, past the proxy.
	for _, key := range lists["session"] {
		for _, other := range []string{"user", "host"} {
			if slices.ContainsFunc(lists[other], func(k ssh.PublicKey) bool { return sameKey(k, key) }) {
				return refuse("the session CA is a %s CA, too", other)
			}
		}
	}
	if _, err := krl.Parse(state.KRL); err != nil {
		return refuse("KRL: %v", err)
	}
	if len(state.Proxies) > maxProxies {
		return refuse("more than %d proxies", maxProxies)
	}
	for _, p := range state.Proxies {
		for _, egress := range p.Egress {
			if _, err := parseNetwork(egress); err != nil {
				return refuse("proxy address %.60q", egress)
			}
		}
	}
	w.state, w.sessionCA, w.hostCA = state, lists["session"], lists["host"]
	return w, nil
}

// authorities reads a list of CA keys, which is never empty.
func authorities(lines []string) ([]ssh.PublicKey, error) {
	if len(lines) == 0 || len(lines) > maxCAs {
		return nil, fmt.Errorf("%d keys are not 1 to %d", len(lines), maxCAs)
	}
	var keys []ssh.PublicKey
	for _, line := range lines {
		key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 || len(strings.TrimSpace(string(rest))) > 0 {
			return nil, fmt.Errorf("%.60q is no key", line)
		}
		if err := cert.CheckAuthority(key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is no address", s)
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}

// certify takes host certificates for keys, all of them or none.
func (w wanted) certify(blobs [][]byte, keys []ssh.PublicKey, now time.Time) (wanted, error) {
	if len(blobs) != len(keys) {
		return w, fault.New(fault.Invalid, fault.CertificateInvalid, "the CA certified %d of %d host keys", len(blobs), len(keys))
	}
	var list []*ssh.Certificate
	for i, blob := range blobs {
		c, err := parseCertificate(blob)
		if err != nil {
			return w, err
		}
		if !sameKey(c.Key, keys[i]) {
			return w, fault.New(fault.Invalid, fault.CertificateInvalid, "the CA certified another host key")
		}
		if err := cert.VerifyNode(c, w.hostCA, w.state.Name, w.state.Node, now); err != nil {
			return w, err
		}
		list = append(list, c)
	}
	w.certificates = list
	return w, nil
}

func parseCertificate(blob []byte) (*ssh.Certificate, error) {
	key, err := ssh.ParsePublicKey(blob)
	c, ok := key.(*ssh.Certificate)
	if err != nil || !ok {
		return nil, fault.New(fault.Invalid, fault.CertificateInvalid, "what the CA sent is no certificate").Because(err)
	}
	return c, nil
}

// strict says whether strict mode is to be on. It never is before a login
// through a proxy has worked: that is what people have left then.
func (w wanted) strict() bool { return w.state.Strict && w.state.Proven }

// set renders w for an sshd whose configuration without us is bare.
func (w wanted) set(bare sshdconf.Effective, version sshdconf.Version, commandUser string) (install.Set, error) {
	s := install.Set{
		Trust:        cert.AuthorizedKeys("sallyport session CA", w.sessionCA...),
		KRL:          w.state.KRL,
		Certificates: map[string]*ssh.Certificate{},
		Sshd: sshdconf.DropIn{
			Node: w.state.Node, SessionCA: w.sessionCA, CommandUser: commandUser, Version: version,
			Strict: w.strict(), Exempt: w.exempt(bare), KeysCommand: !bare.Unset("authorizedkeyscommand"),
		},
	}
	for _, c := range w.certificates {
		s.Certificates[c.Key.Type()+"-cert.pub"] = c
	}
	for _, keyword := range sshdconf.OtherMethods {
		if bare.One(keyword) != "" {
			s.Sshd.Methods = append(s.Sshd.Methods, keyword)
		}
	}
	var err error
	s.Source, err = w.source()
	return s, err
}

// exempt is the admin's own list and the proxies.
func (w wanted) exempt(bare sshdconf.Effective) []string {
	list := bare.List("persourcepenaltyexemptlist")
	var networks []string
	for _, p := range w.state.Proxies {
		for _, egress := range p.Egress {
			if n, err := parseNetwork(egress); err == nil {
				networks = append(networks, n.String())
			}
		}
	}
	slices.Sort(networks)
	for _, n := range slices.Compact(networks) {
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}

const (
	sourceFormat = 1
	maxSource    = 8 << 20 // bytes
)

// stored is how wanted is kept with the files that were made from it, so that
// an agent that starts while the CA is away knows what it wants.
type stored struct {
	Format       int             `json:"format"`
	State        wire.AgentState `json:"state"`
	Certificates [][]byte        `json:"certificates"`
}

func (w wanted) source() ([]byte, error) {
	s := stored{Format: sourceFormat, State: w.state}
	for _, c := range w.certificates {
		s.Certificates = append(s.Certificates, c.Marshal())
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("store state: %w", err)
	}
	return data, nil
}

// restore reads source back. The certificates may have ended since.
func restore(source []byte, node id.Node) (wanted, error) {
	var s stored
	if err := wire.Decode(strings.NewReader(string(source)), maxSource, &s); err != nil {
		return wanted{}, err
	}
	if s.Format != sourceFormat {
		return wanted{}, fmt.Errorf("read stored state: format %d", s.Format)
	}
	w, err := wanted{}.accept(s.State, node)
	if err != nil {
		return wanted{}, err
	}
	for _, blob := range s.Certificates {
		c, err := parseCertificate(blob)
		if err != nil {
			return wanted{}, err
		}
		w.certificates = append(w.certificates, c)
	}
	return w, nil
}
