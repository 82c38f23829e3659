package sshd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// script is a program that prints text and ends with status.
func script(t *testing.T, text string, status int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	body := fmt.Sprintf("#!/bin/sh\ncat <<'EOF'\n%s\nEOF\nexit %d\n", text, status)
	if err := os.WriteFile(path, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	rig.Need(t, "sshd", "openssh-server")
	if path, err := Find(""); err != nil || !filepath.IsAbs(path) {
		t.Errorf("got %q, %v", path, err)
	}
	plain := filepath.Join(t.TempDir(), "sshd")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{"sshd", "./sshd", "/no/such/sshd", plain, t.TempDir()} {
		if path, err := Find(given); fault.ReasonOf(err) != fault.ConfigInvalid {
			t.Errorf("%s: %q, %v", given, path, err)
		}
	}
}

func TestVersionIsReadAlsoFromAProgramThatKnowsNoV(t *testing.T) {
	old := Program{Path: script(t, "unknown option -- V\nOpenSSH_8.4p1 Debian-5+deb11u3\nusage: sshd", 1)}
	if v, err := old.Version(t.Context()); err != nil || v != (sshdconf.Version{Major: 8, Minor: 4}) {
		t.Errorf("got %v, %v", v, err)
	}
	other := Program{Path: script(t, "Dropbear", 0)}
	if v, err := other.Version(t.Context()); err == nil {
		t.Errorf("dropbear is OpenSSH %v", v)
	}
}

func TestARefusedConfigurationIsToldInSshdsWords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sshd_config")
	if err := os.WriteFile(path, []byte("UsePAM yes\nNonsense 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := Program{Path: rig.Need(t, "sshd", "openssh-server")}
	for name, err := range map[string]error{
		"-t": p.Test(t.Context(), path),
		"-T": func() error { _, err := p.Effective(t.Context(), path, ""); return err }(),
	} {
		if f := fault.Of(err); f.Reason != fault.ConfigInvalid || !strings.Contains(f.Text, "line 2: Bad configuration option: Nonsense") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEffectiveAnswersForAConnection(t *testing.T) {
	dir := t.TempDir()
	path, key := filepath.Join(dir, "sshd_config"), filepath.Join(dir, "key")
	rig.NewKey(t, key)
	if err := os.WriteFile(path, []byte("HostKey "+key+"\nPermitTTY yes\nMatch User root\n PermitTTY no\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := Program{Path: rig.Need(t, "sshd", "openssh-server")}
	for connection, want := range map[string]string{"": "yes", "user=root,host=h,addr=10.0.0.1": "no", "user=deploy,host=h,addr=10.0.0.1": "yes"} {
		e, err := p.Effective(t.Context(), path, connection)
		if err != nil || e.One("permittty") != want {
			t.Errorf("%q: %q, %v", connection, e.One("permittty"), err)
		}
	}
}

func TestReloadReturnsWhenSshdHasReadItsConfigurationAgain(t *testing.T) {
	s := rig.SSHD(t, rig.SSHDConfig{})
	p := Program{Path: rig.Need(t, "sshd", "openssh-server"), Config: s.Config()}
	for n := range 5 {
		was := strings.Count(s.Log(), "Server listening on")
		if err := p.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := strings.Count(s.Log(), "Server listening on"); now != was+1 {
			t.Errorf("reload %d: sshd has started to listen %d times", n, now-was)
		}
	}
	byCommand := p
	byCommand.Command = []string{"/bin/sh", "-c", "kill -HUP $(cat " + s.PidFile() + ")"}
	if err := byCommand.Reload(t.Context()); err != nil {
		t.Errorf("by a command: %v", err)
	}
}

func TestReloadRefuses(t *testing.T) {
	s := rig.SSHD(t, rig.SSHDConfig{})
	p := Program{Path: rig.Need(t, "sshd", "openssh-server"), Config: s.Config()}
	failing := p
	failing.Command = []string{"/bin/sh", "-c", "echo no such unit; exit 5"}
	if err := failing.Reload(t.Context()); err == nil || !strings.Contains(fault.Of(err).Text, "no such unit") {
		t.Errorf("a command that fails: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	idle := p
	idle.Command = []string{"/bin/true"}
	if err := idle.Reload(ctx); err == nil {
		t.Error("a command that does nothing is taken for a reload")
	}
	for name, content := range map[string]string{
		"a process that is not sshd": fmt.Sprint(os.Getpid()),
		"process 1":                  "1",
		"a negative number":          "-7",
		"no number":                  "sshd",
		"a process that is gone":     "4194303",
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(s.PidFile(), []byte(content+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := p.Reload(t.Context()); fault.ReasonOf(err) != fault.ConfigInvalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAProbeAcceptsExactlyTheCertificatesThatWereInstalled(t *testing.T) {
	ca := rig.NewKey(t, "")
	certify := func(key ssh.PublicKey, serial uint64) *ssh.Certificate {
		c := &ssh.Certificate{Key: key, Serial: serial, CertType: ssh.HostCert, ValidPrincipals: []string{"web-1"}, ValidBefore: ssh.CertTimeInfinity}
		if err := c.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		return c
	}
	shown := map[string]*ssh.Certificate{}
	s := rig.SSHD(t, rig.SSHDConfig{RSA: true, Certify: func(key ssh.PublicKey) *ssh.Certificate {
		shown[key.Type()] = certify(key, 1)
		return shown[key.Type()]
	}})
	p := Program{Path: rig.Need(t, "sshd", "openssh-server"), Config: s.Config()}
	var all []*ssh.Certificate
	for _, c := range shown {
		all = append(all, c)
	}
	if len(all) != 3 {
		t.Fatalf("%d host keys", len(all))
	}
	if err := p.Probe(t.Context(), all); err != nil {
		t.Errorf("the right ones: %v", err)
	}
	if err := p.Probe(t.Context(), nil); err != nil {
		t.Errorf("none: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.Probe(ctx, []*ssh.Certificate{certify(s.HostKeys[0], 2)}); fault.ReasonOf(err) != fault.NodeHostKey {
		t.Errorf("a later one: %v", err)
	}
	elsewhere := p
	elsewhere.Addr = rig.FreeAddr(t)
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := elsewhere.Probe(ctx, nil); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("where nothing listens: %v", err)
	}
}

func TestAddrIsOfThisMachine(t *testing.T) {
	for listen, want := range map[string]string{
		"0.0.0.0:22":        "127.0.0.1:22",
		"[::]:2222":         "[::1]:2222",
		"10.0.0.7:22":       "10.0.0.7:22",
		"[2001:db8::1]:22":  "[2001:db8::1]:22",
		"a name:22":         "",
		"":                  "",
		"%interface%:22222": "",
	} {
		got, err := Addr(sshdconf.Effective{"listenaddress": {listen}})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", listen, got, err)
		}
	}
}
