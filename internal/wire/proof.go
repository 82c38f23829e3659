package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/sshsig"
)

// Namespaces of the SSH signatures that this package knows. A signature made in
// one is worth nothing in another.
const (
	NamespaceLogin   = "login@sallyport"
	NamespaceRequest = "request@sallyport"
)

// ProofWindow is how far a request's time may be from the CA's clock, either
// way. Within it a nonce is accepted once.
const ProofWindow = 2 * time.Minute

// NonceSaltSize is the size of LoginRequest.NonceSalt in bytes.
const NonceSaltSize = 32

// Nonce is the OIDC nonce that commits to an SSH public key: whoever steals the
// ID token cannot have another key certified with it. salt keeps two logins with
// one key apart.
func Nonce(publicKey, salt []byte) string {
	h := sha256.New()
	h.Write([]byte("sallyport-nonce-v1\x00"))
	for _, part := range [][]byte{publicKey, salt} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// LoginProof is the message that the login key signs when it is certified: it
// ties this key to this ID token.
func LoginProof(idToken string) []byte {
	sum := sha256.Sum256([]byte(idToken))
	return []byte("sallyport-login-v1\n" + hex.EncodeToString(sum[:]))
}

// scheme of the Authorization header of a proven request.
const scheme = "Sallyport "

// requestMessage is what a request's signature covers. host is the people's
// door as the client addressed it, so that a proof shown to one CA is not worth
// anything at another; whether somebody types HTTPS's own port is no difference.
func requestMessage(method, host, uri, at, nonce string, body []byte) []byte {
	sum := sha256.Sum256(body)
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	return []byte(strings.Join([]string{"sallyport-request-v1", method, host, uri, at, nonce, hex.EncodeToString(sum[:])}, "\n"))
}

// Prove signs r, whose body is body, with the login key and attaches the login
// certificate.
func Prove(r *http.Request, body []byte, key ssh.Signer, certificate []byte, now time.Time) error {
	var random [16]byte
	rand.Read(random[:])
	at, nonce := strconv.FormatInt(now.Unix(), 10), hex.EncodeToString(random[:])
	sig, err := sshsig.Sign(key, NamespaceRequest, requestMessage(r.Method, r.URL.Host, r.URL.RequestURI(), at, nonce, body))
	if err != nil {
		return fmt.Errorf("prove request: %w", err)
	}
	e := base64.StdEncoding.EncodeToString
	r.Header.Set("Authorization", scheme+strings.Join([]string{e(certificate), at, nonce, e(sig)}, " "))
	return nil
}

// Proof is a request's proof as it was sent. Nothing of it is trusted before
// Verify, and Certificate not before the caller has verified it.
type Proof struct {
	Certificate *ssh.Certificate
	Time        time.Time
	nonce       string
	at          string
	signature   []byte
}

// ReadProof parses the Authorization header of r. A request without one is
// Unauthentic.
func ReadProof(r *http.Request) (*Proof, error) {
	bad := fault.New(fault.Unauthentic, fault.ProofInvalid, "this request is not signed by a login key").Then("run: sallyport login")
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), scheme)
	fields := strings.Fields(rest)
	if !ok || len(fields) != 4 || len(rest) > 32<<10 {
		return nil, bad
	}
	blob, err := base64.StdEncoding.DecodeString(fields[0])
	if err != nil {
		return nil, bad.Because(err)
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, bad.Because(err)
	}
	certificate, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, bad.Because(fmt.Errorf("%s is no certificate", key.Type()))
	}
	seconds, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return nil, bad.Because(err)
	}
	sig, err := base64.StdEncoding.DecodeString(fields[3])
	if err != nil || len(fields[2]) != 32 {
		return nil, bad.Because(err)
	}
	return &Proof{Certificate: certificate, Time: time.Unix(seconds, 0), nonce: fields[2], at: fields[1], signature: sig}, nil
}

// Verify checks that the certificate's key signed r with body at about now for
// host. It returns the hash under which the nonce has to be used up until
// Time + ProofWindow. The certificate itself is the caller's to verify.
func (p *Proof) Verify(r *http.Request, body []byte, host string, now time.Time) (once []byte, err error) {
	if d := now.Sub(p.Time); d > ProofWindow || d < -ProofWindow {
		return nil, fault.New(fault.Unauthentic, fault.ClockSkew, "this machine's clock is %s off the CA's", d.Abs().Round(time.Second)).Then("set the clock (timedatectl set-ntp true) and try again")
	}
	msg := requestMessage(r.Method, host, r.URL.RequestURI(), p.at, p.nonce, body)
	if err := sshsig.Verify(p.signature, p.Certificate.Key, NamespaceRequest, msg); err != nil {
		return nil, fault.New(fault.Unauthentic, fault.ProofInvalid, "the request's signature does not verify").Because(err)
	}
	sum := sha256.Sum256([]byte("request\x00" + p.nonce))
	return sum[:], nil
}
