package holder_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/holder"
	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

var here = netip.MustParseAddr("192.0.2.7")

func TestAHolderIsKnown(t *testing.T) {
	ca := testca.New(t)
	ann := ca.Login("ann@example.com", "eng")
	h, err := ca.Holders.Check(t.Context(), ann.Parsed(t), here)
	if err != nil {
		t.Fatal(err)
	}
	if s := h.Subject(); s.Identity != "ann@example.com" || strings.Join(s.Groups, "") != "eng" || h.Login.Serial != ann.Serial {
		t.Errorf("got %+v", h)
	}
}

// Every certificate here but the last few is signed by the real user CA.
func TestACertificateIsRefused(t *testing.T) {
	ca := testca.New(t)
	user := ca.Keys[cert.LoginProfile]
	good := func(t *testing.T) ssh.Certificate { return *ca.Login("ann@example.com", "eng").Parsed(t) }
	changed := func(change func(*ssh.Certificate)) func(*testing.T) *ssh.Certificate {
		return func(t *testing.T) *ssh.Certificate {
			c := good(t)
			change(&c)
			return ca.Forge(user, c)
		}
	}
	for name, row := range map[string]struct {
		reason fault.Reason
		make   func(*testing.T) *ssh.Certificate
	}{
		"none":                  {fault.CertificateInvalid, func(*testing.T) *ssh.Certificate { return nil }},
		"without principals":    {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.ValidPrincipals = nil })},
		"with two principals":   {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "root") })},
		"for another principal": {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.ValidPrincipals = []string{"ada@example.com"} })},
		"that has expired": {fault.CertificateExpired, func(t *testing.T) *ssh.Certificate {
			return ca.LoginAt(time.Now().Add(-9*time.Hour), "ann@example.com").Parsed(t)
		}},
		"that is not yet valid": {fault.CertificateExpired, func(t *testing.T) *ssh.Certificate {
			return ca.LoginAt(time.Now().Add(time.Hour), "ann@example.com").Parsed(t)
		}},
		"of a host":                      {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.CertType = ssh.HostCert })},
		"with an unknown option":         {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"x@example.com": ""} })},
		"with force-command":             {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "id"} })},
		"with an extension":              {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.Extensions = map[string]string{"permit-pty": ""} })},
		"that lives for a year":          {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.ValidBefore += 365 * 86400 })},
		"for ever":                       {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity })},
		"with serial 0":                  {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.Serial = 0 })},
		"that is too large":              {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.KeyId = strings.Repeat("x", cert.MaxSize) })},
		"of another user CA":             {fault.CertificateInvalid, func(t *testing.T) *ssh.Certificate { return ca.Forge(testca.Key(t), good(t)) }},
		"of the session CA":              {fault.CertificateInvalid, func(t *testing.T) *ssh.Certificate { return ca.Forge(ca.Keys[cert.SessionProfile], good(t)) }},
		"of which there is no record":    {fault.CertificateInvalid, changed(func(c *ssh.Certificate) { c.Serial = 1 << 40 })},
		"made again from its own record": {fault.CertificateInvalid, changed(func(*ssh.Certificate) {})},
		"of a session, signed by the user CA": {fault.CertificateInvalid, changed(func(c *ssh.Certificate) {
			c.ValidPrincipals = []string{"root@n-000000000000"}
			c.KeyId = "session=7kq2-m9x4d identity=ann@example.com policy=1"
		})},
		"that was revoked": {fault.CertificateRevoked, func(t *testing.T) *ssh.Certificate {
			ann := ca.Login("ann@example.com")
			if err := ca.Store.Revoke(t.Context(), store.Actor{Name: "ada@example.com"}, ann.Serial); err != nil {
				t.Fatal(err)
			}
			return ann.Parsed(t)
		}},
		"that a certificate has signed": {fault.CertificateInvalid, func(t *testing.T) *ssh.Certificate {
			// The class of CVE-2025-49825: ann's certificate stands where a CA key should.
			c := good(t)
			c.SignatureKey = ca.Login("bob@example.com").Parsed(t)
			return &c
		}},
		"for a certificate": {fault.CertificateInvalid, func(t *testing.T) *ssh.Certificate {
			c := good(t)
			c.Key = ca.Login("bob@example.com").Parsed(t)
			return &c
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := ca.Holders.Check(t.Context(), row.make(t), here)
			if fault.ReasonOf(err) != row.reason {
				t.Errorf("got %v (%s), want %s", err, fault.ReasonOf(err), row.reason)
			}
			if h.Identity.Name != "" {
				t.Errorf("and yet it is %s's", h.Identity.Name)
			}
		})
	}
}

func TestAnEndedCertificateIsRenewedForAWhile(t *testing.T) {
	ca := testca.New(t)
	const week = 7 * 24 * time.Hour
	for name, row := range map[string]struct {
		began  time.Duration // ago; it lives for eight hours
		reason fault.Reason
	}{
		"that is still valid":       {time.Hour, ""},
		"that ended an hour ago":    {9 * time.Hour, ""},
		"that ended six days ago":   {6 * 24 * time.Hour, ""},
		"that ended eight days ago": {9 * 24 * time.Hour, fault.CertificateExpired},
		"that has not begun":        {-2 * time.Hour, fault.CertificateExpired},
	} {
		t.Run(name, func(t *testing.T) {
			ann := ca.LoginAt(time.Now().Add(-row.began), "ann@example.com")
			if _, err := ca.Holders.CheckEnded(t.Context(), ann.Parsed(t), here, week); fault.ReasonOf(err) != row.reason {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("not after a logout", func(t *testing.T) {
		ann := ca.LoginAt(time.Now().Add(-9*time.Hour), "ann@example.com")
		if err := ca.Store.Revoke(t.Context(), store.Actor{Name: "ada@example.com"}, ann.Serial); err != nil {
			t.Fatal(err)
		}
		if _, err := ca.Holders.CheckEnded(t.Context(), ann.Parsed(t), here, week); fault.ReasonOf(err) != fault.CertificateRevoked {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheZeroCheckerRefuses(t *testing.T) {
	ann := testca.New(t).Login("ann@example.com")
	if _, err := new(holder.Checker).Check(t.Context(), ann.Parsed(t), here); fault.ReasonOf(err) != fault.CertificateInvalid {
		t.Errorf("got %v", err)
	}
	if _, err := new(holder.Checker).CheckEnded(t.Context(), ann.Parsed(t), here, time.Hour); fault.ReasonOf(err) != fault.CertificateInvalid {
		t.Errorf("got %v", err)
	}
}
