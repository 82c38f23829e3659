package store

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

var certificatePromises = []promise{
	{"a certificate has its intent before it has its blob", func(t *testing.T, s *Store) {
		i := intent(ProfileHost, "web-1")
		serial := reserved(t, s, i)
		got := must(s.Certificate(t.Context(), serial))(t)
		if got.Reserved == 0 || got.Blob != nil {
			t.Fatalf("%+v", got)
		}
		ok(t, s.Complete(t.Context(), serial, []byte("signed")))
		want := Certificate{Intent: i, Serial: serial, Reserved: got.Reserved, Blob: []byte("signed")}
		if diff := cmp.Diff(want, must(s.Certificate(t.Context(), serial))(t)); diff != "" {
			t.Fatal(diff)
		}
	}},
	{"a certificate is completed once", func(t *testing.T, s *Store) {
		serial := reserved(t, s, intent(ProfileHost, "web-1"))
		ok(t, s.Complete(t.Context(), serial, []byte("signed")))
		refused(t, s.Complete(t.Context(), serial, []byte("signed")), fault.CertificateStored)
		refused(t, s.Complete(t.Context(), serial, []byte("other")), fault.CertificateStored)
		if got := must(s.Certificate(t.Context(), serial))(t); string(got.Blob) != "signed" {
			t.Fatalf("blob %q", got.Blob)
		}
	}},
	{"of many who complete one serial at once one does", func(t *testing.T, s *Store) {
		serial := reserved(t, s, intent(ProfileHost, "web-1"))
		errs := make([]error, 20)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = s.Complete(t.Context(), serial, fmt.Append(nil, i)) })
		}
		wg.Wait()
		blob := string(must(s.Certificate(t.Context(), serial))(t).Blob)
		for i, err := range errs {
			if blob == fmt.Sprint(i) {
				ok(t, err)
			} else {
				refused(t, err, fault.CertificateStored)
			}
		}
	}},
	{"a serial that was never reserved cannot be completed", func(t *testing.T, s *Store) {
		refused(t, s.Complete(t.Context(), 1, []byte("signed")), fault.NotFound)
		refused(t, s.Complete(t.Context(), 0, []byte("signed")), fault.NotFound)
		refused(t, s.Complete(t.Context(), 1<<63, []byte("signed")), fault.NotFound)
	}},
	{"an empty certificate is refused", func(t *testing.T, s *Store) {
		serial := reserved(t, s, intent(ProfileHost, "web-1"))
		refused(t, s.Complete(t.Context(), serial, nil), fault.BadRequest)
	}},
	{"a profile that does not exist takes no serial", func(t *testing.T, s *Store) {
		_, err := s.Reserve(t.Context(), ada, intent("root", "web-1"))
		refused(t, err, fault.InternalError)
		if got := reserved(t, s, intent(ProfileHost, "web-1")); got != 1 {
			t.Fatalf("serial %d, want 1", got)
		}
	}},
	{"an unknown serial is not found", func(t *testing.T, s *Store) {
		_, err := s.Certificate(t.Context(), 7)
		refused(t, err, fault.NotFound)
		_, err = s.Certificate(t.Context(), 1<<63)
		refused(t, err, fault.NotFound)
		refused(t, s.Revoke(t.Context(), ada, 7), fault.NotFound)
	}},
	{"revoked logins are listed until they expire", func(t *testing.T, s *Store) {
		now := time.Unix(5000, 0)
		s.clock = func() time.Time { return now }
		short := intent(ProfileLogin, "you@example.com")
		short.ValidBefore = 6000
		a := reserved(t, s, short)
		b := reserved(t, s, intent(ProfileLogin, "you@example.com"))
		c := reserved(t, s, intent(ProfileHost, "web-1"))
		reserved(t, s, intent(ProfileLogin, "you@example.com"))
		for _, serial := range []id.Serial{c, b, a} {
			ok(t, s.Revoke(t.Context(), ada, serial))
		}
		list := func() (serials []id.Serial) {
			for _, c := range must(s.RevokedLogins(t.Context()))(t) {
				if c.Revoked != 5000 {
					t.Fatalf("%+v", c)
				}
				serials = append(serials, c.Serial)
			}
			return serials
		}
		if diff := cmp.Diff([]id.Serial{a, b}, list()); diff != "" {
			t.Fatal(diff)
		}
		now = time.Unix(6000, 0)
		if diff := cmp.Diff([]id.Serial{b}, list()); diff != "" {
			t.Fatal(diff)
		}
	}},
	{"revoking bumps the state once and keeps its first time", func(t *testing.T, s *Store) {
		now := time.Unix(5000, 0)
		s.clock = func() time.Time { return now }
		serial := reserved(t, s, intent(ProfileLogin, "you@example.com"))
		before := must(s.StateVersion(t.Context()))(t)
		ok(t, s.Revoke(t.Context(), ada, serial))
		now = time.Unix(6000, 0)
		ok(t, s.Revoke(t.Context(), ada, serial))
		if got := must(s.StateVersion(t.Context()))(t); got != before+1 {
			t.Fatalf("state %d, want %d", got, before+1)
		}
		if got := must(s.Certificate(t.Context(), serial))(t).Revoked; got != 5000 {
			t.Fatalf("revoked at %d, want 5000", got)
		}
	}},
	{"a certificate that was revoked before it was signed can still be completed", func(t *testing.T, s *Store) {
		serial := reserved(t, s, intent(ProfileLogin, "you@example.com"))
		ok(t, s.Revoke(t.Context(), ada, serial))
		ok(t, s.Complete(t.Context(), serial, []byte("signed")))
	}},
}
