package login

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
)

// realCA runs `sallyport ca` for the people of issuer, with more lines in its
// configuration.
func realCA(t *testing.T, issuer string, more ...string) (url string) {
	t.Helper()
	dir, listen := t.TempDir(), rig.FreeAddr(t)
	url = "http://" + listen
	config := filepath.Join(dir, "ca.yaml")
	lines := append([]string{
		"url: " + url, "listen: " + listen, "parts:", "  listen: " + rig.FreeAddr(t), "data: " + filepath.Join(dir, "data"),
		"oidc:", "  issuer: " + issuer, "  client_id: sallyport", "  device: true", "admins:", "  groups: [platform]",
	}, more...)
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(rig.Binary(t), "ca", "init", "--config", config).CombinedOutput(); err != nil {
		t.Fatalf("ca init: %v\n%s", err, out)
	}
	ca := rig.Start(t, exec.Command(rig.Binary(t), "ca", "run", "--config", config))
	client, err := wire.NewClient(url)
	if err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, 30*time.Second, "the CA answers", func() bool {
		select {
		case <-ca.Done():
			t.Fatalf("the CA ended:\n%s", ca.Log)
		default:
		}
		return client.Do(t.Context(), http.MethodGet, wire.PathDiscovery, nil, nil) == nil
	})
	return url
}

// in is somebody's morning at the real CA.
func in(t *testing.T, idp *rig.Provider, name string) *morning {
	t.Helper()
	return &morning{T: t, idp: idp, home: rig.NewHome(t, filepath.Join(t.TempDir(), name), idp.Browser(name))}
}

// TestAtTheRealCA: everything that the hand CA cannot know.
func TestAtTheRealCA(t *testing.T) {
	t.Parallel()
	idp := rig.IDP(t, rig.Someone("ann", "eng"), rig.Someone("bob", "eng"), rig.Someone("ada", "platform"))
	url := realCA(t, idp.Issuer)
	ann, bob := in(t, idp, "ann"), in(t, idp, "bob")

	t.Run("a person logs in by browser", func(t *testing.T) {
		if out := ann.home.Must("sallyport", "login", url); !strings.Contains(out, "Signed in as ann@example.com (groups: eng)") {
			t.Errorf("login says %s", out)
		}
		if c := ann.certificate(); len(c.ValidPrincipals) != 1 || c.ValidPrincipals[0] != "ann@example.com" || c.Serial == 0 {
			t.Errorf("principals %q, serial %d", c.ValidPrincipals, c.Serial)
		}
		if out := ann.home.Must("sallyport", "ls"); out != "No role gives you a login on any node.\n" {
			t.Errorf("ls says %s", out)
		}
	})

	t.Run("a person logs in on another device", func(t *testing.T) {
		bob.home.Set("BROWSER", "")
		p := rig.Start(t, bob.home.Command("sallyport", "login", url))
		code := regexp.MustCompile(`open this address on any device:\n  (\S+)\nand enter the code:\n  (\S+)\n`)
		rig.Eventually(t, 10*time.Second, "there is a code", func() bool { return code.MatchString(p.Log.String()) })
		m := code.FindStringSubmatch(p.Log.String())
		if err := idp.Allow("bob", m[1], m[2]); err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if p.Cmd.ProcessState.ExitCode() != 0 || !strings.Contains(p.Log.String(), "Signed in as bob@example.com") {
			t.Fatalf("%s", p.Log)
		}
	})

	t.Run("a person is refused by the device flow where they say no", func(t *testing.T) {
		p := rig.Start(t, bob.home.Command("sallyport", "login", "--device"))
		code := regexp.MustCompile(`any device:\n  (\S+)\nand enter the code:\n  (\S+)\n`)
		rig.Eventually(t, 10*time.Second, "there is a code", func() bool { return code.MatchString(p.Log.String()) })
		m := code.FindStringSubmatch(p.Log.String())
		if err := idp.Deny("bob", m[1], m[2]); err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if p.Cmd.ProcessState.ExitCode() != 1 || !strings.Contains(p.Log.String(), "did not let you in") {
			t.Fatalf("%s", p.Log)
		}
	})

	t.Run("a certificate is renewed for the same key", func(t *testing.T) {
		before, key := ann.certificate(), ann.read(ann.path(home.Key))
		if err := ann.renewNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := ann.certificate()
		if after.Serial == before.Serial || ann.read(ann.path(home.Key)) != key || after.ValidPrincipals[0] != "ann@example.com" {
			t.Errorf("serial %d after %d", after.Serial, before.Serial)
		}
		ann.home.Must("sallyport", "ls")
	})

	t.Run("nobody renews with somebody else's refresh token", func(t *testing.T) {
		// The provider forgets whose refresh tokens of the device flow are.
		bob.home.Set("BROWSER", idp.Browser("bob"))
		bob.home.Must("sallyport", "login")
		own := ann.read(ann.path("refresh_token"))
		if err := os.WriteFile(ann.path("refresh_token"), []byte(bob.read(bob.path("refresh_token"))), 0o600); err != nil {
			t.Fatal(err)
		}
		before := ann.certificate().Serial
		if err := ann.renewNow(t.Context()); fault.ReasonOf(err) != fault.TokenOtherIdentity {
			t.Errorf("got %v", err)
		}
		if ann.certificate().Serial != before {
			t.Error("there is a new certificate")
		}
		if err := os.WriteFile(ann.path("refresh_token"), []byte(own), 0o600); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("an admin is one, and others are not", func(t *testing.T) {
		ada := in(t, idp, "ada")
		ada.home.Must("sallyport", "login", url)
		for m, want := range map[*morning]fault.Reason{ada: "", ann: fault.NotAdmin} {
			client, err := Connect(t.Context(), m.env())
			if err == nil {
				err = client.Do(t.Context(), http.MethodGet, wire.PathPolicy, nil, nil)
			}
			if fault.ReasonOf(err) != want {
				t.Errorf("got %v, want %q", err, want)
			}
		}
	})

	t.Run("a certificate that was logged out opens nothing", func(t *testing.T) {
		kept := map[home.File]string{}
		for _, f := range []home.File{home.Key, home.Certificate, "state.json"} {
			kept[f] = bob.read(bob.path(f))
		}
		if out := bob.home.Must("sallyport", "logout"); out != "Logged out. Nothing of sallyport is left in ~/.ssh.\n" {
			t.Errorf("logout says %s", out)
		}
		if err := os.MkdirAll(filepath.Dir(bob.path(home.Key)), 0o700); err != nil {
			t.Fatal(err)
		}
		for f, text := range kept { // a thief's copy
			if err := os.WriteFile(bob.path(f), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if r := bob.home.Run("sallyport", "ls"); r.Status == 0 || !strings.Contains(r.Stderr, "sallyport: ") {
			t.Errorf("%s", r)
		}
	})

	t.Run("a clock that is wrong is named by the CA, too", func(t *testing.T) {
		var d wire.Discovery
		client, err := wire.NewClient(url)
		if err == nil {
			err = client.Do(t.Context(), http.MethodGet, wire.PathDiscovery, nil, &d)
		}
		if off := time.Since(time.Unix(d.Now, 0)).Abs(); err != nil || off > 5*time.Second {
			t.Errorf("%v off, %v", off, err)
		}
	})
}

// renewNow renews though nothing is due yet.
func (m *morning) renewNow(ctx context.Context) error {
	p, err := newPerson(m.env())
	if err != nil {
		return err
	}
	lock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	s, err := p.dir.LoadState()
	if err != nil {
		return err
	}
	return p.renew(ctx, &s)
}

// TestASecurityKeyIsAskedForEarly: before the person signs in for nothing.
func TestASecurityKeyIsAskedForEarly(t *testing.T) {
	t.Parallel()
	idp := rig.IDP(t, rig.Someone("ann"))
	url := realCA(t, idp.Issuer, "certificates:", "  security_key_required: true")
	ann := in(t, idp, "ann")
	r := ann.home.Run("sallyport", "login", url)
	if r.Status == 0 || !strings.Contains(r.Stderr, "certifies security keys alone\n  plug yours in and run: sallyport login --security-key") || strings.Contains(r.Stdout, "Opening") {
		t.Errorf("%s", r)
	}
}
