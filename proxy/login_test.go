package proxy

import (
	"crypto/rand"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// bent returns you's certificate with a change, signed again by ca.
func (w *world) bent(ca ssh.Signer, change func(*ssh.Certificate)) *ssh.Certificate {
	w.t.Helper()
	c := *w.login("you@example.com", w.you.key.PublicKey(), nil)
	change(&c)
	if err := c.SignCert(rand.Reader, ca); err != nil {
		w.t.Fatal(err)
	}
	return &c
}

func TestCertificatesThatAreNoLogin(t *testing.T) {
	w := newWorld(t)
	hour := uint64(3600)
	now := uint64(time.Now().Unix())
	self := must(ssh.NewCertSigner(w.you.certificate, w.you.key))
	for _, test := range []struct {
		name string
		c    *ssh.Certificate
	}{
		{"no principals", w.bent(w.user, func(c *ssh.Certificate) { c.ValidPrincipals = nil })},
		{"two principals", w.bent(w.user, func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "root") })},
		{"a principal that is another than the KeyID's", w.bent(w.user, func(c *ssh.Certificate) { c.ValidPrincipals[0] = "root" })},
		{"expired", w.bent(w.user, func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = now-2*hour, now-hour })},
		{"expired a second ago", w.bent(w.user, func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = now-2*hour, now-1 })},
		{"not yet valid", w.bent(w.user, func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = now+hour, now+2*hour })},
		{"valid for ever", w.bent(w.user, func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity })},
		{"by the session CA", w.bent(w.session, func(*ssh.Certificate) {})},
		{"by the host CA", w.bent(w.authority.host, func(*ssh.Certificate) {})},
		{"by another CA", w.bent(rig.NewKey(t, ""), func(*ssh.Certificate) {})},
		{"by its own key", w.bent(w.you.key, func(*ssh.Certificate) {})},
		{"a host certificate", w.bent(w.user, func(c *ssh.Certificate) { c.CertType = ssh.HostCert })},
		{"neither a user's nor a host's", w.bent(w.user, func(c *ssh.Certificate) { c.CertType = 3 })},
		{"serial 0", w.bent(w.user, func(c *ssh.Certificate) { c.Serial = 0 })},
		{"an unknown critical option", w.bent(w.user, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"x@example.com": ""} })},
		{"force-command, which nobody would carry out", w.bent(w.user, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "true"} })},
		{"verify-required, which nobody could check", w.bent(w.user, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"verify-required": ""} })},
		{"from another address", w.bent(w.user, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"source-address": "192.0.2.1"} })},
		{"an empty source address", w.bent(w.user, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"source-address": ""} })},
		{"an extension", w.bent(w.user, func(c *ssh.Certificate) { c.Extensions = map[string]string{"permit-pty": ""} })},
		{"oversized", w.bent(w.user, func(c *ssh.Certificate) { c.KeyId += strings.Repeat("x", 20<<10) })},
		{"oversized by principals", w.bent(w.user, func(c *ssh.Certificate) {
			for range 2000 {
				c.ValidPrincipals = append(c.ValidPrincipals, "you@example.com")
			}
		})},
		{"a signature over something else", func() *ssh.Certificate {
			c := *w.you.certificate
			c.Serial++
			return &c
		}()},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := *w.you
			p.certificate = test.c
			c, err := p.dial(w.web.Login + "@web-1")
			if err == nil {
				c.Close()
				t.Error("let in")
			}
		})
	}
	t.Run("a certificate as CA key", func(t *testing.T) {
		// What a holder of a login certificate signs with it is no login.
		c := *w.you.certificate
		c.SignatureKey = self.PublicKey()
		sig, err := self.Sign(rand.Reader, []byte("anything"))
		if err != nil {
			t.Fatal(err)
		}
		c.Signature = sig
		p := *w.you
		p.certificate = &c
		if conn, err := p.dial(w.web.Login + "@web-1"); err == nil {
			conn.Close()
			t.Error("let in")
		}
	})
	t.Run("somebody else's certificate", func(t *testing.T) {
		p := *w.you
		p.key = rig.NewKey(t, "") // without its key
		_, err := ssh.NewCertSigner(p.certificate, p.key)
		if err == nil {
			t.Fatal("x/crypto would sign with another key")
		}
		conn, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{
			User: w.web.Login + "@web-1", Auth: []ssh.AuthMethod{ssh.PublicKeys(stolen{w.you.certificate, p.key})}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err == nil {
			conn.Close()
			t.Error("let in without possession of the key")
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked) != 0 {
		t.Errorf("the CA was asked %d times for somebody who is not authenticated", len(w.asked))
	}
}

// stolen shows a certificate and signs with another key.
type stolen struct {
	certificate *ssh.Certificate
	ssh.Signer
}

func (s stolen) PublicKey() ssh.PublicKey { return s.certificate }

func TestACertificateWithAnAddressIsGoodFromThere(t *testing.T) {
	w := newWorld(t)
	p := w.person("you@example.com", func(r *cert.Login) { r.SourceAddress = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	where := w.web.Login + "@web-1"
	if r := p.ssh(where, "echo ok"); r.stdout != "ok\n" {
		t.Errorf("directly: %+v", r)
	}
	if r := p.jump(where, "echo ok"); r.stdout != "ok\n" { // inside, the address must be the person's
		t.Errorf("inside a jump: %+v", r)
	}
	far := w.person("you@example.com", func(r *cert.Login) { r.SourceAddress = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	if r := far.ssh(where, "true"); r.status != 255 || !strings.Contains(r.stderr, "may not be used from 127.0.0.1") {
		t.Errorf("from elsewhere: %+v", r)
	}
}

func TestWhoeverHasNoCertificateIsToldWhatToDo(t *testing.T) {
	w := newWorld(t)
	const next = "sallyport: a plain key opens nothing here; run: sallyport login"
	t.Run("a plain key", func(t *testing.T) {
		cmd := w.you.command(w.web.Login+"@web-1", "true")
		for i, a := range cmd.Args {
			if strings.HasPrefix(a, "CertificateFile=") {
				cmd.Args[i] = "CertificateFile=none"
			}
			if strings.HasPrefix(a, "IdentityFile=") {
				other := w.you.path("plain")
				rig.NewKey(t, other)
				cmd.Args[i] = "IdentityFile=" + other
			}
		}
		r := execute(t, cmd, "")
		if r.status != 255 || strings.Count(r.stderr, next) != 1 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("an expired certificate", func(t *testing.T) {
		p := w.person("you@example.com", func(r *cert.Login) {
			r.ValidAfter, r.ValidBefore = time.Now().Add(-2*time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
		})
		r := p.ssh(w.web.Login+"@web-1", "true")
		if r.status != 255 || !strings.Contains(r.stderr, "sallyport: the certificate ended ") || !strings.Contains(r.stderr, "run: sallyport login") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("passwords and questions are not offered", func(t *testing.T) {
		for _, method := range []ssh.AuthMethod{ssh.Password("x"), ssh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) { return nil, nil })} {
			c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{method}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
			if err == nil {
				c.Close()
				t.Error("let in")
			}
		}
	})
}
