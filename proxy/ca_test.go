package proxy

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

func TestWhenTheCAIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	c, err := w.you.dial(where)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rig.Eventually(t, 10*time.Second, "the session is open", func() bool { return len(w.server.register.sessions()) == 1 })
	w.with(func(a *authority) { a.away = true })

	t.Run("a live session goes on", func(t *testing.T) {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if out, err := s.Output("echo still"); string(out) != "still\n" {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("a new one is refused in clear words", func(t *testing.T) {
		r := w.you.ssh(where, "true")
		if r.status != 254 || !strings.Contains(r.stderr, "sallyport: the CA at 127.0.0.1:") || !strings.Contains(r.stderr, "no new sessions can be opened until it is back") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("so is one that names its node before SSH", func(t *testing.T) {
		if c, err := w.you.connect(w.you.preamble("web-1", w.web.Login), w.web.Login); err == nil {
			c.Close()
			t.Error("a host certificate came from nowhere")
		} else if !strings.Contains(err.Error(), "sallyport: the CA at ") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a proxy that starts meanwhile says the same", func(t *testing.T) {
		c.Close()
		w.end()
		w.start()
		r := w.you.ssh(where, "true")
		if r.status != 254 || !strings.Contains(r.stderr, "sallyport: the CA at ") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("what has ended is told when it is back", func(t *testing.T) {
		w.with(func(a *authority) { a.away = false })
		if r := w.you.ssh(where, "echo back"); r.stdout != "back\n" {
			t.Errorf("%+v", r)
		}
		w.mu.Lock()
		starts := w.starts
		w.mu.Unlock()
		if starts != 2 {
			t.Errorf("the proxy said %d times that it started", starts)
		}
	})
}

func TestEndsAreToldAfterTheCACameBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	cmd := w.you.command(where, "cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, 10*time.Second, "the session runs", func() bool { return len(w.server.register.sessions()) == 1 })
	session := w.server.register.sessions()[0]
	w.with(func(a *authority) { a.away = true })
	in.Close()
	cmd.Wait()
	rig.Eventually(t, 10*time.Second, "the session has ended", func() bool { return len(w.server.register.sessions()) == 0 })
	w.with(func(a *authority) { a.away = false })
	w.recorded(session)
}

func TestAnswersOfTheCAThatDoNotFit(t *testing.T) {
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	foreign := rig.NewKey(t, "")
	for _, test := range []struct {
		name  string
		twist func(*wire.OpenResponse)
		mint  func(*cert.Session)
	}{
		{"a certificate for another login", nil, func(r *cert.Session) { r.Login = "root" }},
		{"a certificate for another node", nil, func(r *cert.Session) { r.Node = id.NewNode() }},
		{"a certificate for another person", nil, func(r *cert.Session) { r.Identity = "other@example.com" }},
		{"a certificate for another key", nil, func(r *cert.Session) { r.Key = foreign.PublicKey() }},
		{"another session's name", func(o *wire.OpenResponse) { o.Session = id.NewSession() }, nil},
		{"no certificate", func(o *wire.OpenResponse) { o.Certificate = nil }, nil},
		{"the person's own certificate", func(o *wire.OpenResponse) { o.Certificate = w.you.certificate.Marshal() }, nil},
		{"a grant of nothing", func(o *wire.OpenResponse) { o.Grant = policy.Grant{} }, nil},
		{"a role that gives nothing", func(o *wire.OpenResponse) { o.Grant = policy.Grant{Roles: []policy.RoleGrant{{Role: "empty"}}} }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.with(func(a *authority) { a.twist, a.mint = test.twist, test.mint })
			defer w.with(func(a *authority) { a.twist, a.mint = nil, nil })
			r := w.you.ssh(where, "true")
			if r.status != 254 || !strings.Contains(r.stderr, "sallyport: the CA's answer does not fit the question") {
				t.Errorf("%+v", r)
			}
		})
	}
	if strings.Contains(w.web.Log(), "Accepted") {
		t.Error("the node was touched")
	}
}

func TestEnrolment(t *testing.T) {
	a := newAuthority(t)
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "proxy.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	base := "name: p-1\nlisten: 127.0.0.1:0\nca: " + a.url + "\ndata: " + dir + "\n"
	run := func(config string, args ...string) (string, error) {
		var out bytes.Buffer
		env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: os.Getenv}
		err := Main(t.Context(), env, append([]string{"--config", write(config)}, args...))
		return out.String(), err
	}
	if _, err := run(base, "enroll"); fault.ReasonOf(err) != fault.NotEnrolled || !strings.Contains(fault.Of(err).Next, "token_file") {
		t.Errorf("without a token: %v", err)
	}
	os.WriteFile(token, []byte("wrong\n"), 0o600)
	if _, err := run(base+"token_file: "+token+"\n", "enroll"); fault.ReasonOf(err) != fault.JoinTokenUnknown {
		t.Errorf("with a wrong token: %v", err)
	}
	os.WriteFile(token, []byte(a.token+"\n"), 0o600)
	os.Chmod(token, 0o644)
	if _, err := run(base+"token_file: "+token+"\n", "enroll"); fault.ReasonOf(err) != fault.ConfigInvalid {
		t.Errorf("with a token that others can read: %v", err)
	}
	os.Chmod(token, 0o600)
	out, err := run(base+"token_file: "+token+"\n", "enroll")
	if err != nil || !strings.Contains(out, "proxy: enrolled as p-1") {
		t.Errorf("%q, %v", out, err)
	}
	out, err = run(base, "check")
	if err != nil || !strings.Contains(out, "enrolled at https://") || !strings.Contains(out, "keep_bulk: 1MiB") {
		t.Errorf("%q, %v", out, err)
	}
	for _, secret := range []string{identityFile, hostKeyFile, enrolledFile} {
		if info, err := os.Stat(filepath.Join(dir, secret)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", secret, info.Mode(), err)
		}
	}
	os.WriteFile(filepath.Join(dir, enrolledFile), []byte("{"), 0o600)
	if _, err := run(base, "run"); fault.ReasonOf(err) != fault.ConfigInvalid {
		t.Errorf("with a damaged enrolment: %v", err)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	base := "name: p-1\nlisten: 127.0.0.1:0\nca: https://access.example.com\ndata: /var/lib/sallyport/proxy\n"
	for name, text := range map[string]string{
		"nothing":                      "",
		"no CA":                        "name: p-1\n",
		"a name that is no host name":  strings.Replace(base, "p-1", "P 1", 1),
		"listen without a port":        strings.Replace(base, "127.0.0.1:0", "127.0.0.1", 1),
		"an egress that is no address": base + "egress: [proxy.example.com]\n",
		"profiles for everybody":       base + "debug: 0.0.0.0:6060\n",
		"profiles on a name":           base + "debug: localhost:6060\n",
		"limits that let nobody in":    base + "limits: {unauthenticated: 0}\n",
		"no time to log in":            base + "limits: {login_time: 0s}\n",
		"a storage that is none":       base + "storage: {url: \"ftp://host/dir\"}\n",
		"a storage without TLS":        base + "storage: {url: \"s3://b?endpoint=http://objects.example.com\"}\n",
		"a secret in the URL":          base + "storage: {url: \"s3://key:hunter2@bucket\"}\n",
		"a flush without end":          base + "storage: {flush: 0s}\n",
		"a backlog of nothing":         base + "storage: {backlog: 0}\n",
		"a log level that is none":     base + "log: {level: loud}\n",
		"an unknown key":               base + "recordngs: /x\n",
		"a key twice":                  base + "name: p-2\n",
	} {
		path := filepath.Join(t.TempDir(), "proxy.yaml")
		os.WriteFile(path, []byte(text), 0o600)
		var out bytes.Buffer
		err := Main(t.Context(), cli.Env{Stdout: &out, Stderr: &out, Getenv: os.Getenv}, []string{"--config", path, "check"})
		if fault.ReasonOf(err) != fault.ConfigInvalid {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(fault.Of(err).Show(), "hunter2") {
			t.Errorf("%s: the secret is shown", name)
		}
	}
}
