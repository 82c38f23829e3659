package login

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
	"github.com/sallyport-ssh/sallyport/login/internal/loginkey"
)

// morning is a person with a real provider, a hand CA, and a home directory in
// which nothing has happened yet.
type morning struct {
	*testing.T
	idp  *rig.Provider
	ca   *handCA
	home *rig.Home
}

func newMorning(t *testing.T) *morning {
	t.Helper()
	idp := rig.IDP(t, rig.Someone("ann", "eng", "db-oncall"))
	return &morning{t, idp, newHandCA(t, idp.Issuer), rig.NewHome(t, filepath.Join(t.TempDir(), "ann"), idp.Browser("ann"))}
}

func (m *morning) path(f home.File) string {
	return filepath.Join(m.home.Dir, ".ssh", "sallyport", string(f))
}

func (m *morning) config() string { return filepath.Join(m.home.Dir, ".ssh", "config") }

func (m *morning) read(path string) string {
	m.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		m.Fatal(err)
	}
	return string(data)
}

func (m *morning) certificate() *ssh.Certificate {
	m.Helper()
	c, err := loginkey.ReadCertificate([]byte(m.read(m.path(home.Certificate))))
	if err != nil {
		m.Fatal(err)
	}
	return c
}

// login logs in with certificates of the given life.
func (m *morning) login(life func() (from, to time.Time)) {
	m.Helper()
	m.ca.set(func(ca *handCA) { ca.life = life })
	m.home.Must("sallyport", "login", m.ca.server.URL)
}

// files are the names in ~/.ssh and below, with their modes.
func (m *morning) files() map[string]string {
	m.Helper()
	got := map[string]string{}
	top := filepath.Join(m.home.Dir, ".ssh")
	err := filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == top {
			return err
		}
		info, err := d.Info()
		got[strings.TrimPrefix(path, top+"/")] = info.Mode().String()
		return err
	})
	if err != nil {
		m.Fatal(err)
	}
	return got
}

func TestAFirstMorning(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	const mine = "Host other\r\n  User me"
	if err := os.WriteFile(m.config(), []byte(mine), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := m.home.Run("sallyport", "status"); r.Status != 1 || r.Stderr != "sallyport: you are not logged in\n  run: sallyport login\n" {
		t.Errorf("before: %s", r)
	}

	out := m.home.Must("sallyport", "login", m.ca.server.URL+"/")
	want := fmt.Sprintf(`Opening your browser to sign in at %s ...
Signed in as ann@example.com (groups: eng, db-oncall). Certificate until %s, renews by itself.
Wrote ~/.ssh/sallyport/config and one Include line in ~/.ssh/config.   Undo: sallyport logout
`, strings.TrimPrefix(m.idp.Issuer, "http://"), until(time.Unix(int64(m.certificate().ValidBefore), 0), time.Now()))
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"config": "-rw-r--r--", "sallyport": "drwx------", "sallyport/config": "-rw-------", "sallyport/id_ed25519": "-rw-------",
		"sallyport/id_ed25519.pub": "-rw-------", "sallyport/id_ed25519-cert.pub": "-rw-------", "sallyport/known_hosts": "-rw-------",
		"sallyport/state.json": "-rw-------", "sallyport/refresh_token": "-rw-------", "sallyport/lock": "-rw-------",
	}, m.files()); diff != "" {
		t.Errorf("files (-want +got)\n%s", diff)
	}
	first := m.certificate()

	// What is stored, and what is not.
	state, token := m.read(m.path("state.json")), strings.TrimSpace(m.read(m.path("refresh_token")))
	secrets := map[string]string{"the refresh token": token, "the key": strings.Split(m.read(m.path(home.Key)), "\n")[2], "the ID token": m.ca.last.IDToken, "the access token": m.ca.last.AccessToken}
	for what, secret := range secrets {
		if secret == "" || strings.Contains(state, secret) || strings.Contains(out, secret) {
			t.Errorf("%s is empty, in the state or on the screen", what)
		}
	}
	if out, err := exec.Command(rig.Need(t, "ssh-keygen", "openssh-client"), "-L", "-f", m.path(home.Certificate)).CombinedOutput(); err != nil || !strings.Contains(string(out), "ann@example.com") {
		t.Errorf("ssh-keygen does not read the certificate: %v\n%s", err, out)
	}

	// Once more: the URL is known, the key is new, nothing is written twice.
	if out := m.home.Must("sallyport", "login"); strings.Contains(out, "Wrote") || !strings.Contains(out, "Signed in as ann@example.com") {
		t.Errorf("a second login says %s", out)
	}
	if string(m.certificate().Key.Marshal()) == string(first.Key.Marshal()) {
		t.Error("a second login has the first one's key")
	}
	if got := strings.Count(m.read(m.config()), "Include "); got != 1 {
		t.Errorf("%d Include lines", got)
	}

	// Looking.
	if out := m.home.Must("sallyport", "status"); !strings.Contains(out, "Signed in as  ann@example.com\nGroups        eng, db-oncall\n") || !strings.Contains(out, "Example Inc., "+m.ca.server.URL) {
		t.Errorf("status: %s", out)
	}
	var st status
	if err := json.Unmarshal([]byte(m.home.Must("sallyport", "status", "--json")), &st); err != nil || !st.LoggedIn || !st.Renews || st.Serial != 7 || st.CA != m.ca.server.URL {
		t.Errorf("status --json: %+v, %v", st, err)
	}
	if diff := cmp.Diff(`NODE   LOGINS       LABELS             ROLE
web-1  root         env=prod tier=web  web-admin
web-1  deploy, www  env=prod tier=web  web-deploy
db-1   postgres     tier=db            db-oncall, dba
`, m.home.Must("sallyport", "ls")); diff != "" {
		t.Errorf("ls (-want +got)\n%s", diff)
	}
	var nodes []wire.ReachableNode
	if err := json.Unmarshal([]byte(m.home.Must("sallyport", "ls", "--json")), &nodes); err != nil || len(nodes) != 2 {
		t.Errorf("ls --json: %v, %v", nodes, err)
	}
	m.ca.set(func(ca *handCA) { ca.nodes = ca.nodes[:0:0] })
	if out := m.home.Must("sallyport", "ls"); out != "No role gives you a login on any node.\n" {
		t.Errorf("ls of nothing: %s", out)
	}
	if config := m.read(m.path(home.Config)); strings.Contains(config, "web-1") || !strings.Contains(config, "*.nodes.example.com") {
		t.Errorf("after ls the config is still\n%s", config)
	}
	if out := m.home.Must("sallyport", "ls", "--json"); out != "[]\n" {
		t.Errorf("ls --json of nothing: %s", out)
	}

	// And back.
	if out := m.home.Must("sallyport", "logout"); out != "Logged out. Nothing of sallyport is left in ~/.ssh.\n" {
		t.Errorf("logout says %s", out)
	}
	if n := m.ca.called(wire.PathLogout); n != 1 {
		t.Errorf("the CA was told %d times", n)
	}
	if diff := cmp.Diff(map[string]string{"config": "-rw-r--r--"}, m.files()); diff != "" {
		t.Errorf("left behind (-want +got)\n%s", diff)
	}
	if got := m.read(m.config()); got != mine {
		t.Errorf("the person's ssh_config is %q now", got)
	}
	if out := m.home.Must("sallyport", "logout"); out != "You were not logged in.\n" {
		t.Errorf("a second logout says %s", out)
	}
}

func TestALogoutWorksWithoutAnybody(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	m.login(hour)
	m.ca.server.Close()
	m.idp.Stop()
	r := m.home.Run("sallyport", "logout")
	if r.Status != 0 || !strings.HasPrefix(r.Stdout, "Logged out here. The CA could not be told: a copy of the certificate would work until ") {
		t.Errorf("%s", r)
	}
	if diff := cmp.Diff(map[string]string{}, m.files()); diff != "" {
		t.Errorf("left behind (-want +got)\n%s", diff)
	}
}

func TestTheAgentHasTheKeyUntilTheCertificateEnds(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	socket := startAgent(t)
	m.home.Set("SSH_AUTH_SOCK", socket)
	m.login(hour)
	held := func() string { return m.home.Run("ssh-add", "-L").Stdout }
	if got := held(); !strings.Contains(got, "ssh-ed25519-cert-v01@openssh.com ") || !strings.Contains(got, "sallyport ann@example.com") || strings.Count(got, "\n") != 2 {
		t.Errorf("the agent holds %q", got)
	}
	first := held()
	m.login(hour)
	if got := held(); got == first || strings.Count(got, "\n") != 2 {
		t.Errorf("after a second login it holds %q", got)
	}
	// Renewed, it is the same key and another certificate.
	m.login(almostOver)
	before := held()
	m.ca.set(func(ca *handCA) { ca.life = hour })
	m.home.Must("sallyport", "check")
	if got := held(); got == before || strings.Count(got, "\n") != 2 {
		t.Errorf("after a renewal it holds %q", got)
	}
	m.home.Must("sallyport", "logout")
	if got := held(); strings.Contains(got, "ssh-ed25519") {
		t.Errorf("after logout it holds %q", got)
	}
}

// startAgent runs an ssh-agent of the test's.
func startAgent(t *testing.T) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	rig.Start(t, exec.Command(rig.Need(t, "ssh-agent", "openssh-client"), "-D", "-a", socket))
	rig.Eventually(t, 10*time.Second, "ssh-agent listens", func() bool { _, err := os.Stat(socket); return err == nil })
	return socket
}

func TestAnAgentThatHangsDelaysNobody(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	dir, err := os.MkdirTemp("", "agent-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	silent := listenUnix(t, filepath.Join(dir, "s"))
	m.home.Set("SSH_AUTH_SOCK", silent)
	r := m.home.Run("sallyport", "login", m.ca.server.URL)
	if r.Status != 0 || !strings.Contains(r.Stderr, "ssh-agent") {
		t.Errorf("%s", r)
	}
}

// TestWhatALoginThatFailsSays: one sentence, the next step, a non-zero exit, and
// nothing of it left.
func TestWhatALoginThatFailsSays(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>welcome")) }))
	defer page.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(`{"hello":1}`)) }))
	defer other.Close()
	original := m.ca.d
	for name, c := range map[string]struct {
		change func(ca *handCA)
		args   []string // nil: login URL
		says   string   // a regular expression
		status int
	}{
		"no URL":                       {nil, []string{}, `which CA\?\n  run: sallyport login https://`, 2},
		"no CA there":                  {nil, []string{gone.URL}, `the CA at 127\.0\.0\.1:\d+ does not answer`, 1},
		"a web page there":             {nil, []string{page.URL}, `the CA at 127\.0\.0\.1:\d+ does not answer`, 1},
		"another service there":        {nil, []string{other.URL}, `answers, but not as a CA\n  is the URL right\?`, 1},
		"no TLS":                       {nil, []string{"http://access.example.com"}, `without TLS\n  use https://access.example.com`, 2},
		"no URL but a name":            {nil, []string{"access.example.com"}, `is not the URL of a CA\n  it looks like https://`, 2},
		"two flows":                    {nil, []string{"--device", "--no-browser", m.ca.server.URL}, `can't be used together`, 2},
		"a workload without token":     {nil, []string{"--id-token-file", "/nonexistent", m.ca.server.URL}, `the ID token in /nonexistent cannot be read`, 2},
		"a workload without variable":  {nil, []string{"--id-token-env", "NONE", m.ca.server.URL}, `the variable NONE is empty`, 2},
		"a token in place of its name": {nil, []string{"--id-token-env", "ey.ey.sig", m.ca.server.URL}, `takes the name of a variable`, 2},
		"an issuer that is away":       {func(ca *handCA) { ca.d.OIDC.Issuer = gone.URL }, nil, `the issuer at 127\.0\.0\.1:\d+ does not answer\n  `, 1},
		"an issuer without TLS":        {func(ca *handCA) { ca.d.OIDC.Issuer = "http://login.example.com" }, nil, `the issuer at login\.example\.com would be spoken to without TLS`, 2},
		"a clock that is behind":       {func(ca *handCA) { ca.d.Now = time.Now().Add(10 * time.Minute).Unix() }, nil, `clock is (9m59s|10m0s) behind the CA's\n  set the clock`, 1},
		"a clock that is ahead":        {func(ca *handCA) { ca.d.Now = time.Now().Add(-3 * time.Minute).Unix() }, nil, `clock is 3m\d+s ahead of the CA's\n  set the clock`, 1},
		"a security key is wanted":     {func(ca *handCA) { ca.d.SecurityKeyRequired = true }, nil, `Example Inc\. certifies security keys alone\n  plug yours in and run: sallyport login --security-key`, 1},
		"the CA refuses": {func(ca *handCA) {
			ca.refuse = fault.New(fault.Denied, fault.TokenClaims, "your token names no group").Then("ask the platform team")
		}, nil, `your token names no group\n  ask the platform team`, 1},
		"a certificate for another name": {func(ca *handCA) {
			ca.broken = func(c *ssh.Certificate) { c.ValidPrincipals = []string{"ann@example.com", "root"} }
		}, nil, `a certificate that is of no use`, 1},
		"a host certificate":            {func(ca *handCA) { ca.broken = func(c *ssh.Certificate) { c.CertType = ssh.HostCert } }, nil, `a certificate that is of no use`, 1},
		"a certificate for another key": {func(ca *handCA) { ca.broken = func(c *ssh.Certificate) { c.Key = ca.user.PublicKey() } }, nil, `a certificate that is of no use`, 1},
		"a certificate by another CA":   {func(ca *handCA) { ca.d.Trust.UserCA = ca.d.Trust.SessionCA }, nil, `a certificate that is of no use`, 1},
		"a pattern of every host":       {func(ca *handCA) { ca.d.Names = []string{"*"} }, nil, `the host pattern "\*", which has no place`, 2},
		"a node with a line break":      {func(ca *handCA) { ca.nodes[0].Name = "a\nProxyCommand x" }, nil, `has no place in an ssh_config`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := append([]wire.ReachableNode{}, m.ca.nodes...)
			defer m.ca.set(func(ca *handCA) { ca.d, ca.refuse, ca.broken, ca.nodes = original, nil, nil, nodes })
			if c.change != nil {
				m.ca.set(c.change)
			}
			if c.args == nil {
				c.args = []string{m.ca.server.URL}
			}
			r := m.home.Run("sallyport", append([]string{"login"}, c.args...)...)
			if r.Status != c.status || !regexp.MustCompile(c.says).MatchString(r.Stderr) || strings.Contains(r.Stderr, "cause: ") && c.status == 2 {
				t.Errorf("%s", r)
			}
			for f := range m.files() {
				if f != "sallyport" && f != "sallyport/lock" {
					t.Errorf("%s was left", f)
				}
			}
		})
	}
}

func TestAnSSHConfigThatCannotBeChanged(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	if err := os.WriteFile(m.config(), []byte("Host *\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	r := m.home.Run("sallyport", "login", m.ca.server.URL)
	if r.Status == 0 || !strings.Contains(r.Stderr, "~/.ssh/config was left as it is: it is read-only\n  put this line at the top of it: Include ") {
		t.Errorf("%s", r)
	}
	m.certificate() // is there all the same
	if got := m.read(m.config()); got != "Host *\n" {
		t.Errorf("it was changed to %q", got)
	}
	// ssh's own check does not care.
	m.home.Must("sallyport", "check")
}

func TestAWorkloadLogsInWithTheTokenThatStandsReady(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	token := func(sub string) string {
		return strings.Join([]string{"e30", rawURL(`{"sub":"` + sub + `","email":"ci:example"}`), "c2ln"}, ".")
	}
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(token("one"))
	m.ca.set(func(ca *handCA) { ca.life = endedLife })
	if out := m.home.Must("sallyport", "login", "--id-token-file", file, m.ca.server.URL); !strings.Contains(out, "Signed in as ci:example (no groups). Certificate until ") || !strings.Contains(out, ", renews from "+file) {
		t.Errorf("login says %s", out)
	}
	write(token("two"))
	m.ca.set(func(ca *handCA) { ca.life = hour })
	m.home.Must("sallyport", "check")
	if m.ca.last.IDToken != token("two") || m.ca.called(wire.PathRenew) != 0 || m.ca.called(wire.PathLogin) != 2 {
		t.Errorf("the renewal sent %s", m.ca.last.IDToken)
	}
	m.home.Set("CI_TOKEN", token("three"))
	m.home.Must("sallyport", "login", "--id-token-env", "CI_TOKEN")
	if m.ca.last.IDToken != token("three") {
		t.Errorf("the login sent %s", m.ca.last.IDToken)
	}
}

// env is what a command that runs in the test's own process gets.
func (m *morning) env() cli.Env {
	return cli.Env{Stdin: strings.NewReader(""), Stdout: &rig.Log{}, Stderr: &rig.Log{}, Getenv: func(name string) string {
		if name == "HOME" {
			return m.home.Dir
		}
		return ""
	}}
}

func rawURL(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// listenUnix accepts at path and never says a word.
func listenUnix(t *testing.T, path string) string {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return path
}
