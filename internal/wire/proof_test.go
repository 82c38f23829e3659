package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

const host = "access.example.com"

var noon = time.Unix(1_800_000_000, 0)

// newLogin makes a login key and a certificate for it; the CA's key is made up,
// because a proof says nothing about it.
func newLogin(t testing.TB, seed byte) (ssh.Signer, []byte) {
	t.Helper()
	signer, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{99}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	certificate := &ssh.Certificate{
		Key: signer.PublicKey(), Serial: 7, CertType: ssh.UserCert, KeyId: "identity=you@example.com login=1",
		ValidPrincipals: []string{"you@example.com"}, ValidBefore: uint64(noon.Add(time.Hour).Unix()),
	}
	if err := certificate.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return signer, certificate.Marshal()
}

// proven is a request as the client sends it.
func proven(t testing.TB, method, url string, body []byte) *http.Request {
	t.Helper()
	signer, certificate := newLogin(t, 1)
	r := httptest.NewRequest(method, url, bytes.NewReader(body))
	r.URL.Host = host
	if err := Prove(r, body, signer, certificate, noon); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAProofHoldsForItsRequestAlone(t *testing.T) {
	body := []byte(`{"base":4}`)
	path := PathPolicy + "?check=1"
	for name, c := range map[string]struct {
		change func(r *http.Request) (*http.Request, []byte)
		host   string
		now    time.Time
		reason fault.Reason
	}{
		"the request as it was sent":               {nil, host, noon, ""},
		"a host in capitals":                       {nil, "ACCESS.example.com", noon, ""},
		"a clock that is 2 minutes ahead":          {nil, host, noon.Add(ProofWindow), ""},
		"a clock that is 2 minutes behind":         {nil, host, noon.Add(-ProofWindow), ""},
		"a clock that is more than 2 minutes fast": {nil, host, noon.Add(ProofWindow + time.Second), fault.ClockSkew},
		"a clock that is more than 2 minutes slow": {nil, host, noon.Add(-ProofWindow - time.Second), fault.ClockSkew},
		"another CA": {nil, "access.example.org", noon, fault.ProofInvalid},
		"another method": {func(r *http.Request) (*http.Request, []byte) {
			r.Method = http.MethodDelete
			return r, body
		}, host, noon, fault.ProofInvalid},
		"another path": {func(r *http.Request) (*http.Request, []byte) {
			r.URL.Path = PathAdminNodes
			return r, body
		}, host, noon, fault.ProofInvalid},
		"another query": {func(r *http.Request) (*http.Request, []byte) {
			r.URL.RawQuery = "check=0"
			return r, body
		}, host, noon, fault.ProofInvalid},
		"another body": {func(r *http.Request) (*http.Request, []byte) {
			return r, []byte(`{"base":5}`)
		}, host, noon, fault.ProofInvalid},
		"no body": {func(r *http.Request) (*http.Request, []byte) {
			return r, nil
		}, host, noon, fault.ProofInvalid},
		"another nonce": {func(r *http.Request) (*http.Request, []byte) {
			return withField(r, 2, strings.Repeat("0", 32)), body
		}, host, noon, fault.ProofInvalid},
		"another time": {func(r *http.Request) (*http.Request, []byte) {
			return withField(r, 1, strconv.FormatInt(noon.Unix()+1, 10)), body
		}, host, noon, fault.ProofInvalid},
		"the same time spelled otherwise": {func(r *http.Request) (*http.Request, []byte) {
			return withField(r, 1, "+"+strconv.FormatInt(noon.Unix(), 10)), body
		}, host, noon, fault.ProofInvalid},
		"a time before all clocks": {func(r *http.Request) (*http.Request, []byte) {
			return withField(r, 1, strconv.FormatInt(math.MinInt64, 10)), body
		}, host, noon, fault.ClockSkew},
		"a time after all clocks": {func(r *http.Request) (*http.Request, []byte) {
			return withField(r, 1, strconv.FormatInt(math.MaxInt64, 10)), body
		}, host, noon, fault.ClockSkew},
		"somebody else's certificate": {func(r *http.Request) (*http.Request, []byte) {
			_, other := newLogin(t, 2)
			return withField(r, 0, base64.StdEncoding.EncodeToString(other)), body
		}, host, noon, fault.ProofInvalid},
		"a signature by somebody else": {func(r *http.Request) (*http.Request, []byte) {
			signer, certificate := newLogin(t, 2)
			good := fields(r)
			if err := Prove(r, body, signer, certificate, noon); err != nil {
				t.Fatal(err)
			}
			return withField(r, 0, good[0]), body
		}, host, noon, fault.ProofInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			r, got := proven(t, http.MethodPut, path, body), body
			if c.change != nil {
				r, got = c.change(r)
			}
			p, err := ReadProof(r)
			if err != nil {
				t.Fatal(err)
			}
			once, err := p.Verify(r, got, c.host, c.now)
			if fault.ReasonOf(err) != c.reason || (err == nil) != (len(once) == 32) {
				t.Errorf("got %v and %d bytes, want reason %q", err, len(once), c.reason)
			}
		})
	}
}

func TestEachProofIsUsedUpUnderItsOwnName(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		r := proven(t, http.MethodGet, PathNodes, nil)
		p, err := ReadProof(r)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the same proof twice is the same name
			once, err := p.Verify(r, nil, host, noon)
			if err != nil {
				t.Fatal(err)
			}
			seen[string(once)] = true
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d names for 50 proofs", len(seen))
	}
}

// fields are the parts of the Authorization header: certificate, time, nonce,
// signature.
func fields(r *http.Request) []string {
	return strings.Fields(strings.TrimPrefix(r.Header.Get("Authorization"), scheme))
}

func withField(r *http.Request, i int, value string) *http.Request {
	f := fields(r)
	f[i] = value
	r.Header.Set("Authorization", scheme+strings.Join(f, " "))
	return r
}

func TestReadProofRefuses(t *testing.T) {
	signer, certificate := newLogin(t, 1)
	e := base64.StdEncoding.EncodeToString
	sig := e([]byte("a signature"))
	nonce := strings.Repeat("a", 32)
	header := func(certificate, at, nonce, sig string) string {
		return scheme + strings.Join([]string{certificate, at, nonce, sig}, " ")
	}
	if _, err := ReadProof(withHeader(header(e(certificate), "1", nonce, sig))); err != nil {
		t.Fatalf("the header that the rows vary is bad itself: %v", err)
	}
	for name, value := range map[string]string{
		"no header":                       "",
		"a bearer token":                  "Bearer eyJhbGciOiJub25lIn0.e30.",
		"the scheme alone":                scheme,
		"the scheme in capitals":          strings.ToUpper(header(e(certificate), "1", nonce, sig)),
		"three fields":                    scheme + e(certificate) + " 1 " + nonce,
		"five fields":                     header(e(certificate), "1", nonce, sig) + " x",
		"a certificate that is no base64": header("%%%", "1", nonce, sig),
		"an empty certificate":            header("=", "1", nonce, sig),
		"a plain key":                     header(e(signer.PublicKey().Marshal()), "1", nonce, sig),
		"half a certificate":              header(e(certificate[:len(certificate)/2]), "1", nonce, sig),
		"a certificate and more":          header(e(append(bytes.Clone(certificate), 0)), "1", nonce, sig),
		"no time":                         header(e(certificate), "now", nonce, sig),
		"a time beyond 64 bits":           header(e(certificate), "99999999999999999999", nonce, sig),
		"a short nonce":                   header(e(certificate), "1", nonce[1:], sig),
		"a long nonce":                    header(e(certificate), "1", nonce+"a", sig),
		"a signature that is no base64":   header(e(certificate), "1", nonce, "%%%"),
		"more than 32 KiB":                header(e(certificate), "1", nonce, strings.Repeat("A", 32<<10)),
	} {
		t.Run(name, func(t *testing.T) {
			p, err := ReadProof(withHeader(value))
			if p != nil || fault.ReasonOf(err) != fault.ProofInvalid || fault.Of(err).Kind != fault.Unauthentic {
				t.Errorf("got %v, %v", p, err)
			}
		})
	}
}

func withHeader(value string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, PathNodes, nil)
	if value != "" {
		r.Header.Set("Authorization", value)
	}
	return r
}

func TestANonceCommitsToKeyAndSalt(t *testing.T) {
	key, salt := []byte("a public key"), bytes.Repeat([]byte{1}, NonceSaltSize)
	nonce := Nonce(key, salt)
	for name, other := range map[string]string{
		"another key":                         Nonce([]byte("another key!"), salt),
		"another salt":                        Nonce(key, bytes.Repeat([]byte{2}, NonceSaltSize)),
		"no salt":                             Nonce(key, nil),
		"a byte that moved from key to salt":  Nonce(key[:len(key)-1], append([]byte("y"), salt...)),
		"both in one, and an empty salt":      Nonce(append(bytes.Clone(key), salt...), nil),
		"the same in the wrong order of both": Nonce(salt, key),
	} {
		if other == nonce {
			t.Errorf("%s gives the same nonce", name)
		}
	}
	// An issuer may be as narrow as a URL is.
	if len(nonce) != 43 || strings.Trim(nonce, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("%q", nonce)
	}
}

// FuzzReadProof: what is read holds together, and nothing made up verifies.
func FuzzReadProof(f *testing.F) {
	_, certificate := newLogin(f, 1)
	f.Add(scheme + base64.StdEncoding.EncodeToString(certificate) + " 1800000000 " + strings.Repeat("a", 32) + " AAAA")
	f.Add(scheme)
	f.Fuzz(func(t *testing.T, value string) {
		r := withHeader(value)
		p, err := ReadProof(r)
		if err != nil {
			return
		}
		if p.Certificate == nil || p.Certificate.Key == nil || len(p.nonce) != 32 {
			t.Fatalf("read %+v", p)
		}
		if _, err := p.Verify(r, nil, host, p.Time); err == nil {
			t.Fatalf("%q verifies", value)
		}
	})
}

func TestARequestIsForAHostHoweverItIsTyped(t *testing.T) {
	message := func(host string) string { return string(requestMessage("GET", host, "/", "1", "n", nil)) }
	want := message("access.example.com")
	for _, typed := range []string{"Access.Example.com", "access.example.com:443"} {
		if message(typed) != want {
			t.Errorf("%s is another host", typed)
		}
	}
	for _, other := range []string{"access.example.com:444", "access.example.com:4430", "example.com"} {
		if message(other) == want {
			t.Errorf("%s is the same host", other)
		}
	}
}
