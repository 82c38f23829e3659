package cert

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// node is a real sshd that is configured as DESIGN, section 2 says.
type node struct {
	*rig.Sshd
	id id.Node
}

func startNode(t *testing.T, sessionCA ssh.PublicKey, logins ...string) node {
	t.Helper()
	n := id.NewNode()
	return node{rig.SSHD(t, rig.SSHDConfig{SessionCA: []ssh.PublicKey{sessionCA}, Node: n, Logins: logins}), n}
}

// enter logs in to n as login from a loopback address, and runs command.
func (n node) enter(from, login string, c *ssh.Certificate, key ssh.Signer, command string) (string, error) {
	signer, err := ssh.NewCertSigner(c, key)
	if err != nil {
		return "", err
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	conn, err := dialer.Dial("tcp", n.Addr)
	if err != nil {
		return "", err
	}
	transport, channels, requests, err := ssh.NewClientConn(conn, n.Addr, &ssh.ClientConfig{
		User: login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(n.HostKeys[0]), HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err != nil {
		conn.Close()
		return "", err
	}
	client := ssh.NewClient(transport, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	out, err := session.CombinedOutput(command)
	return strings.TrimSpace(string(out)), err
}

func (n node) session(t *testing.T, key ssh.Signer) Session {
	r := sessionOf(key.PublicKey(), time.Now())
	r.Session, r.Login, r.Node = id.NewSession(), id.Login(n.Login), n.id
	r.SourceAddress = []netip.Prefix{Source(netip.MustParseAddr("127.0.0.1"))}
	return r
}

// TestPromise1AnSshdTakesOnlySessionCertificates: what the other two CAs sign
// opens nothing, and neither does a session certificate with a thing missing.
func TestPromise1AnSshdTakesOnlySessionCertificates(t *testing.T) {
	userCA, sessionCA, hostCA, key := newSigner(t), newSigner(t), newSigner(t), newSigner(t)
	n := startNode(t, sessionCA.PublicKey())
	asPrincipal := loginOf(key.PublicKey(), time.Now())
	asPrincipal.Identity = id.Identity(id.Principal(id.Login(n.Login), n.id))
	bare := issue(t, n.session(t, key), sessionCA)
	bare.ValidPrincipals = nil
	for name, c := range map[string]*ssh.Certificate{
		"a login certificate":                          issue(t, loginOf(key.PublicKey(), time.Now()), userCA),
		"a login certificate by the session CA":        issue(t, loginOf(key.PublicKey(), time.Now()), sessionCA),
		"a login certificate that names the principal": issue(t, asPrincipal, userCA),
		"a host certificate":                           issue(t, hostOf(key.PublicKey(), time.Now()), hostCA),
		"a host certificate by the session CA":         issue(t, hostOf(key.PublicKey(), time.Now()), sessionCA),
		"a session certificate by the user CA":         issue(t, n.session(t, key), userCA),
		"a session certificate without principals":     sign(t, bare, sessionCA),
		"a session certificate that was changed after": changedSerial(issue(t, n.session(t, key), sessionCA)),
		"a session certificate of yesterday":           issue(t, yesterday(n.session(t, key)), sessionCA),
		"a session certificate of tomorrow":            issue(t, tomorrow(n.session(t, key)), sessionCA),
	} {
		if out, err := n.enter("127.0.0.1", n.Login, c, key, "id -un"); err == nil {
			t.Errorf("sshd lets %s in as %q", name, out)
		}
	}
	if _, err := n.enter("127.0.0.1", n.Login, issue(t, n.session(t, key), sessionCA), key, "true"); err != nil {
		t.Errorf("sshd refuses a good session certificate: %v\n%s", err, n.Log())
	}
}

func changedSerial(c *ssh.Certificate) *ssh.Certificate { c.Serial++; return c }

func yesterday(r Session) Session { r.ValidAfter -= 86400; r.ValidBefore -= 86400; return r }
func tomorrow(r Session) Session  { r.ValidAfter += 86400; r.ValidBefore += 86400; return r }

// TestPromise2ASessionCertificateOpensOneLoginOnOneNodeFromOneAddressForAMinute
// is promise 2 of DESIGN, section 7, as far as certificates and a real sshd
// keep it without the proxy.
func TestPromise2ASessionCertificateOpensOneLoginOnOneNodeFromOneAddressForAMinute(t *testing.T) {
	ca, key := newSigner(t), newSigner(t)
	logins := []string{"deploy", "backup"}
	n, other := startNode(t, ca.PublicKey(), logins...), startNode(t, ca.PublicKey(), logins...)
	request := n.session(t, key)
	c := issue(t, request, ca)

	out, err := n.enter("127.0.0.1", n.Login, c, key, "id -un")
	if err != nil || out != n.Login {
		t.Fatalf("the right login on the right node: %q, %v\n%s", out, err, n.Log())
	}
	// The node's own log joins to the recording (DESIGN, section 2).
	if want := fmt.Sprintf("ID session=%s identity=%s policy=%d (serial %d)", request.Session, request.Identity, request.Revision, request.Serial); !strings.Contains(n.Log(), want) {
		t.Errorf("%q is not in the node's log:\n%s", want, n.Log())
	}
	if os.Geteuid() == 0 { // without root there is one login
		if _, err := n.enter("127.0.0.1", "backup", c, key, "true"); err == nil {
			t.Error("it opens another login")
		}
	}
	if _, err := other.enter("127.0.0.1", other.Login, c, key, "true"); err == nil {
		t.Error("it opens another node")
	}
	if _, err := n.enter("127.0.0.2", n.Login, c, key, "true"); err == nil {
		t.Error("it opens from another address")
	}

	// Its minute, shortened to what is left of it.
	request.ValidBefore = time.Now().Add(3 * time.Second).Unix()
	short := issue(t, request, ca)
	if _, err := n.enter("127.0.0.1", n.Login, short, key, "true"); err != nil {
		t.Fatalf("before its end: %v\n%s", err, n.Log())
	}
	rig.Eventually(t, 15*time.Second, "sshd refuses a certificate after its end", func() bool {
		_, err := n.enter("127.0.0.1", n.Login, short, key, "true")
		return err != nil
	})
	if time.Now().Unix() < request.ValidBefore {
		t.Error("sshd refused it before its end")
	}
}

// TestASessionCertificateGivesWhatItsExtensionsSay: without permit-pty there is
// no terminal, and a forced command is what runs.
func TestASessionCertificateGivesWhatItsExtensionsSay(t *testing.T) {
	ca, key := newSigner(t), newSigner(t)
	n := startNode(t, ca.PublicKey())
	sealed := n.session(t, key)
	sealed.ForceCommand = "echo sealed; echo \"$SSH_ORIGINAL_COMMAND\""
	out, err := n.enter("127.0.0.1", n.Login, issue(t, sealed, ca), key, "id; cat /etc/passwd")
	if err != nil || out != "sealed\nid; cat /etc/passwd" {
		t.Errorf("a forced command ran as %q, %v", out, err)
	}
	for _, allowed := range []bool{false, true} {
		r := n.session(t, key)
		r.PTY, r.AgentForwarding, r.PortForwarding = allowed, allowed, allowed
		signer, err := ssh.NewCertSigner(issue(t, r, ca), key)
		if err != nil {
			t.Fatal(err)
		}
		client, err := ssh.Dial("tcp", n.Addr, &ssh.ClientConfig{
			User: n.Login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
			HostKeyCallback: ssh.FixedHostKey(n.HostKeys[0]), HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := session.RequestPty("xterm", 24, 80, nil); (err == nil) != allowed {
			t.Errorf("allowed %v, a terminal: %v", allowed, err)
		}
		if ok, err := session.SendRequest("auth-agent-req@openssh.com", true, nil); err != nil || ok != allowed {
			t.Errorf("allowed %v, agent forwarding: %v, %v", allowed, ok, err)
		}
		if conn, err := client.Dial("tcp", n.Addr); (err == nil) != allowed {
			t.Errorf("allowed %v, port forwarding: %v", allowed, err)
		} else if conn != nil {
			conn.Close()
		}
	}
}

// TestAClientTakesOurHostCertificate: real ssh and the line of known_hosts that
// CertAuthority prints.
func TestAClientTakesOurHostCertificate(t *testing.T) {
	sessionCA, hostCA := newSigner(t), newSigner(t)
	certify := func(names ...string) func(ssh.PublicKey) *ssh.Certificate {
		return func(key ssh.PublicKey) *ssh.Certificate {
			r := hostOf(key, time.Now())
			r.Principals = names
			return issue(t, r, hostCA)
		}
	}
	n := node{rig.SSHD(t, rig.SSHDConfig{SessionCA: []ssh.PublicKey{sessionCA.PublicKey()}, Node: "n-0123456789ab", Certify: certify("web-1")}), "n-0123456789ab"}
	if out, err := n.ssh(t, sessionCA, hostCA.PublicKey(), "web-1"); err != nil {
		t.Errorf("ssh refuses the host certificate: %v: %s", err, out)
	}
	if out, err := n.ssh(t, sessionCA, hostCA.PublicKey(), "web-2"); err == nil || !strings.Contains(out, "Host key verification failed") {
		t.Errorf("ssh takes web-1's certificate for web-2: %v: %s", err, out)
	}
	if out, err := n.ssh(t, sessionCA, sessionCA.PublicKey(), "web-1"); err == nil || !strings.Contains(out, "Host key verification failed") {
		t.Errorf("ssh takes the host certificate of another CA: %v: %s", err, out)
	}
}
