package bundle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// began is when the tests' session began.
var began = time.Unix(1_800_000_000, 0).UTC()

const (
	testSession  id.Session  = "7kq2-m9x4d"
	testIdentity id.Identity = "you@example.com"
	testNode     id.Node     = "n-000000000001"
)

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// issue makes the certificate that r asks for, as the signer does.
func issue(t testing.TB, r cert.Request, ca ssh.Signer) []byte {
	t.Helper()
	d, err := cert.Prepare(r, bytes.Repeat([]byte{7}, 32), ca.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	blob, err := d.Sign(func(data []byte) (*ssh.Signature, error) { return ca.Sign(rand.Reader, data) })
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func loginRequest(key ssh.PublicKey) cert.Login {
	after, before := cert.Window(began.Add(-time.Hour), 8*time.Hour)
	return cert.Login{Identity: testIdentity, LoginID: "0123456789ab", Key: key, Serial: 88213, ValidAfter: after, ValidBefore: before}
}

func sessionRequest(key ssh.PublicKey) cert.Session {
	after, before := cert.Window(began, time.Minute)
	return cert.Session{
		Session: testSession, Identity: testIdentity, Revision: 61, Login: "postgres", Node: testNode, Key: key, Serial: 88214,
		ValidAfter: after, ValidBefore: before, PTY: true,
		SourceAddress: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")},
	}
}

func hostRequest(key ssh.PublicKey) cert.Host {
	after, before := cert.Window(began.Add(-24*time.Hour), 7*24*time.Hour)
	return cert.Host{Proxy: "p-2", Principals: []string{"p-2.example.com"}, Key: key, Serial: 17, ValidAfter: after, ValidBefore: before}
}

// plainBundle has everything in its form, and proves nothing.
func plainBundle(t testing.TB) *Bundle {
	t.Helper()
	user, session, host, key := newKey(t), newKey(t), newKey(t), newKey(t).PublicKey()
	line := func(s ssh.Signer) []string {
		return []string{string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(s.PublicKey())))}
	}
	return &Bundle{
		Session:            testSession,
		Recording:          bytes.NewReader(bytes.Repeat([]byte("recorded "), 1000)),
		LoginCertificate:   issue(t, loginRequest(key), user),
		SessionCertificate: issue(t, sessionRequest(key), session),
		HostCertificate:    issue(t, hostRequest(key), host),
		Entries: []Entry{
			{Index: 3, Event: []byte(`{"kind":"session_granted","at":1}`), Hashes: []audit.Hash{{1}, {2}}},
			{Index: 7, Event: []byte(`{"kind":"session_ended","at":2}`), Hashes: []audit.Hash{}},
		},
		Checkpoint: "log.example.com/audit\n9\nAAAA\n\n\u2014 log.example.com/audit AAAA\n",
		Trust:      Trust{UserCA: line(user), SessionCA: line(session), HostCA: line(host), Log: wire.LogTrust{Origin: "log.example.com/audit", Keys: []string{"k"}}},
	}
}

// packed is b as a file.
func packed(t testing.TB, b *Bundle) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpack(file []byte) (*Bundle, error) { return Read(bytes.NewReader(file), int64(len(file))) }
