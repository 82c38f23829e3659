package hostcerts

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// authority answers for a CA: from now, for an hour.
type authority struct {
	key, host ssh.Signer
	away      bool
	wrong     func(*ssh.Certificate)
}

func (a *authority) ask(_ context.Context, name id.NodeName) (*ssh.Certificate, error) {
	time.Sleep(time.Millisecond) // of the bubble's clock: a question takes time
	if a.away {
		return nil, fault.New(fault.Unavailable, fault.CAAway, "away")
	}
	c := &ssh.Certificate{
		Key: a.host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{string(name)},
		ValidAfter: uint64(time.Now().Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	if a.wrong != nil {
		a.wrong(c)
	}
	return c, c.SignCert(rand.Reader, a.key)
}

func principal(t *testing.T, s ssh.Signer) string {
	t.Helper()
	return s.PublicKey().(*ssh.Certificate).ValidPrincipals[0]
}

func TestACertificateIsAskedOncePerNameAndHalfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{key: newKey(t), host: newKey(t)}
		c := New(a.host, a.ask, time.Now)
		get := func(name id.NodeName) {
			t.Helper()
			s, err := c.Signer(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if principal(t, s) != string(name) {
				t.Fatalf("certificate of %s under the name %s", principal(t, s), name)
			}
		}
		want := func(hits, asked int64) {
			t.Helper()
			if got := c.Counts(); got.Hits != hits || got.Asked != asked {
				t.Errorf("%d hits and %d questions, want %d and %d", got.Hits, got.Asked, hits, asked)
			}
		}
		get("web-1")
		get("web-1")
		want(1, 1)
		get("web-2")
		want(1, 2)
		time.Sleep(29 * time.Minute)
		get("web-1")
		want(2, 2)
		time.Sleep(2 * time.Minute)
		get("web-1")
		want(2, 3)
		get("web-1")
		want(3, 3)
	})
}

func TestManyConnectionsAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{key: newKey(t), host: newKey(t)}
		c := New(a.host, a.ask, time.Now)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := c.Signer(t.Context(), "web-1"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := c.Counts(); got.Asked != 1 || got.Joined != 49 {
			t.Errorf("%+v for 50 connections", got)
		}
	})
}

func TestWhenTheCAIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{key: newKey(t), host: newKey(t), away: true}
		c := New(a.host, a.ask, time.Now)
		if _, err := c.Signer(t.Context(), "web-1"); !errors.Is(err, &fault.Error{Reason: fault.CAAway}) {
			t.Fatalf("without a certificate: %v", err)
		}
		a.away = false
		if _, err := c.Signer(t.Context(), "web-1"); err != nil {
			t.Fatalf("the failure was kept: %v", err)
		}
		a.away = true
		time.Sleep(45 * time.Minute)
		if _, err := c.Signer(t.Context(), "web-1"); err != nil {
			t.Errorf("a certificate that is still good was not used: %v", err)
		}
		time.Sleep(16 * time.Minute)
		if _, err := c.Signer(t.Context(), "web-1"); !errors.Is(err, &fault.Error{Reason: fault.CAAway}) {
			t.Errorf("an expired certificate was used: %v", err)
		}
	})
}

func TestWhoeverLeavesDoesNotTakeTheQuestionAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{key: newKey(t), host: newKey(t)}
		c := New(a.host, a.ask, time.Now)
		gone, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { c.Signer(gone, "web-1") })
		synctest.Wait()
		all.Go(func() {
			if _, err := c.Signer(t.Context(), "web-1"); err != nil {
				t.Errorf("the one who stayed got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		all.Wait()
	})
}

func TestACertificateThatNoClientWouldTakeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := newKey(t)
		for name, wrong := range map[string]func(*ssh.Certificate){
			"another name":     func(c *ssh.Certificate) { c.ValidPrincipals[0] = "web-2" },
			"no name":          func(c *ssh.Certificate) { c.ValidPrincipals = nil },
			"a name too many":  func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "web-2") },
			"a person's":       func(c *ssh.Certificate) { c.CertType = ssh.UserCert },
			"expired":          func(c *ssh.Certificate) { c.ValidBefore = uint64(time.Now().Unix()) },
			"another key's":    func(c *ssh.Certificate) { c.Key = other.PublicKey() },
			"a day in the far": func(c *ssh.Certificate) { c.ValidBefore = 1 << 63 },
		} {
			a := &authority{key: newKey(t), host: newKey(t), wrong: wrong}
			c := New(a.host, a.ask, time.Now)
			if _, err := c.Signer(t.Context(), "web-1"); !errors.Is(err, &fault.Error{Reason: fault.CertificateInvalid}) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestExpiredNamesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{key: newKey(t), host: newKey(t)}
		c := New(a.host, a.ask, time.Now)
		for _, name := range []id.NodeName{"web-1", "web-2", "web-3"} {
			c.Signer(t.Context(), name)
		}
		time.Sleep(2 * time.Hour)
		c.Signer(t.Context(), "web-4")
		if len(c.held) != 1 {
			t.Errorf("%d names are held, want 1", len(c.held))
		}
	})
}
