// Package idtoken says who an OpenID Connect ID token speaks of: a person of the
// configured issuer, or a workload of one of the others. It turns a token into an
// identity, and what has to be used up so that the token never serves twice.
//
// # Promises
//
// A token counts only if its issuer is configured, one of that issuer's published
// keys signed it with an asymmetric algorithm, we are its audience (and its
// authorized party, where it names one), it is within its time, and it is bound
// to the SSH key that asks: by the nonce that commits to the key, and by a
// signature of the key over the token. What the issuer does not say is not
// assumed: no groups claim is no groups, an e-mail address that the issuer has
// not verified is no name.
//
// An issuer that is away makes logins fail with issuer_away. It never makes them
// succeed with less: groups that cannot be asked for are an error, because a
// role may deny by group.
//
// # What it does not promise
//
// Whether a token was used before is the store's to say, in the transaction that
// records the login: Who.Once carries what to use up.
package idtoken

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/sshsig"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

var (
	errNoNonce    = errors.New("no nonce, and the device flow is not switched on")
	errNotCompact = errors.New("not a JWS in compact form")
)

// MaxToken is the size of the largest ID token, in bytes. Tokens with several
// hundred groups stay below it.
const MaxToken = 48 << 10

// Leeway is how far the issuer's clock and ours may be apart.
const Leeway = time.Minute

// Config says whose tokens count.
type Config struct {
	People    People
	Workloads []Workload
	// Client speaks to issuers; nil is one with timeouts. Its transport is wrapped.
	Client *http.Client
	Log    *slog.Logger
	Now    func() time.Time
}

// Who is a verified token's subject.
type Who struct {
	Name     id.Identity
	Issuer   string
	Subject  string // what the name is bound to at its issuer
	Groups   []string
	Claims   json.RawMessage // one JSON object, without the protocol's own claims
	Workload bool
	Once     []store.Once
}

// Verifier verifies tokens. It is safe for concurrent use. The zero Verifier
// knows no issuer and so refuses every token.
type Verifier struct {
	people    People
	workloads []Workload
	issuers   map[string]*issuer
	now       func() time.Time
}

// New makes a Verifier. It asks nobody yet: an issuer may be down when the CA
// starts.
func New(c Config) *Verifier {
	v := &Verifier{people: c.People, workloads: c.Workloads, issuers: map[string]*issuer{}, now: c.Now}
	if v.people.Issuer != "" {
		v.issuers[v.people.Issuer] = newIssuer(v.people.Issuer, c)
	}
	for _, w := range c.Workloads {
		if v.issuers[w.Issuer] == nil {
			v.issuers[w.Issuer] = newIssuer(w.Issuer, c)
		}
	}
	return v
}

// Run finds the issuers, and tries again until they answer, so that the first
// login need not wait. It returns when all are found or ctx ends.
func (v *Verifier) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, i := range v.issuers {
		wg.Go(func() { i.seek(ctx) })
	}
	wg.Wait()
}

// Login verifies a fresh token for key, which the caller parsed from
// r.PublicKey. Refused says of an error whom it refuses.
func (v *Verifier) Login(ctx context.Context, r wire.LoginRequest, key ssh.PublicKey) (Who, error) {
	t, err := v.verify(ctx, r, key)
	if err != nil {
		return Who{}, err
	}
	who, err := v.identify(ctx, t, r.AccessToken)
	if err != nil {
		return Who{}, err
	}
	if err := v.checkNonce(t, r, who.Workload); err != nil {
		return Who{}, of(who.Name, err)
	}
	if t.Nonce != "" {
		who.Once = append(who.Once, t.onceNonce())
	}
	return who, nil
}

// Renew verifies a token that came from a refresh, for somebody who holds a
// login certificate for key and holder. Such a token carries no new nonce
// (OpenID Connect Core, section 12.2); the old certificate binds instead.
func (v *Verifier) Renew(ctx context.Context, r wire.LoginRequest, key ssh.PublicKey, holder id.Identity) (Who, error) {
	t, err := v.verify(ctx, r, key)
	if err != nil {
		return Who{}, err
	}
	who, err := v.identify(ctx, t, r.AccessToken)
	if err != nil {
		return Who{}, err
	}
	if who.Name != holder {
		return Who{}, of(who.Name, fault.New(fault.Denied, fault.TokenOtherIdentity, "the certificate to renew is not %s's", who.Name).Then("run: sallyport login"))
	}
	return who, nil
}

// verify checks everything that does not depend on whether a person or a
// workload asks.
func (v *Verifier) verify(ctx context.Context, r wire.LoginRequest, key ssh.PublicKey) (*token, error) {
	if len(r.IDToken) > MaxToken {
		return nil, fault.New(fault.Invalid, fault.TooLarge, "the ID token is larger than %d bytes", MaxToken)
	}
	// 1. The key that asks has signed this very token.
	if err := sshsig.Verify(r.Proof, key, wire.NamespaceLogin, wire.LoginProof(r.IDToken)); err != nil {
		return nil, fault.New(fault.Unauthentic, fault.ProofInvalid, "the login is not signed by the key that it is for").Because(err)
	}
	// 2. The issuer is configured. So far this is the token's word alone.
	claimed, err := claimedIssuer(r.IDToken)
	if err != nil {
		return nil, fault.New(fault.Unauthentic, fault.TokenInvalid, "this is no ID token").Because(err)
	}
	i := v.issuers[claimed]
	if i == nil {
		return nil, fault.New(fault.Unauthentic, fault.TokenIssuer, "the ID token is from an issuer that is not configured here")
	}
	// 3. One of its keys signed it, and it says so itself.
	t, err := i.verify(ctx, r.IDToken)
	if err != nil {
		return nil, err
	}
	// 4. It is within its time.
	if err := t.checkTime(v.now()); err != nil {
		return nil, err
	}
	return t, nil
}

// identify finds the rules that the token falls under. Audience, rules and name
// are checked there; nothing is recorded for tokens that match none.
func (v *Verifier) identify(ctx context.Context, t *token, accessToken string) (Who, error) {
	var who Who
	var err error
	if t.issuer.url == v.people.Issuer && t.hasAudience(v.people.ClientID) {
		who, err = v.person(ctx, t, accessToken)
	} else {
		who, err = v.workload(t)
	}
	if err != nil {
		return Who{}, err
	}
	if who.Claims, err = t.claims.keep(); err != nil {
		return Who{}, err
	}
	who.Issuer = t.issuer.url
	who.Once = []store.Once{t.onceToken()}
	return who, nil
}

// checkNonce: a token with a nonce is worth something only for the key that the
// nonce commits to. A token without one cannot be told from a stolen one of the
// same kind, and so is taken only where no nonce can be had: from workloads, and
// from the device flow where it is switched on (RFC 8628 has no place for a
// nonce).
func (v *Verifier) checkNonce(t *token, r wire.LoginRequest, workload bool) error {
	bad := fault.New(fault.Unauthentic, fault.TokenNonce, "the ID token was not issued for this key").Then("run: sallyport login")
	if t.Nonce == "" && len(r.NonceSalt) == 0 {
		if workload || v.people.Device {
			return nil
		}
		return bad.Because(errNoNonce)
	}
	want := wire.Nonce(r.PublicKey, r.NonceSalt)
	if len(r.NonceSalt) != wire.NonceSaltSize || subtle.ConstantTimeCompare([]byte(t.Nonce), []byte(want)) != 1 {
		return bad
	}
	return nil
}

// claimedIssuer reads the issuer that a token claims to be from. It takes the
// compact form alone (RFC 7515, section 3.1), written in its one canonical way:
// go-jose also reads JSON, line breaks and spare bits of base64, and a token in
// another dress would be another token to whoever counts uses.
func claimedIssuer(raw string) (string, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return "", errNotCompact
	}
	var payload []byte
	for n, part := range parts {
		data, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(data) != part {
			return "", errNotCompact
		}
		if n == 1 {
			payload = data
		}
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", err
	}
	// Google writes its own name in two ways; go-oidc takes both, too.
	if claims.Issuer == "accounts.google.com" {
		return "https://accounts.google.com", nil
	}
	return claims.Issuer, nil
}

// onceToken and onceNonce are what may be used a single time. A token is known by
// what its signature covers: the signature itself is not hashed, because an ECDSA
// signature of the same thing can be written in two ways. The nonce is used up
// too, so that a refreshed token that still carries it does not log in again.
func (t *token) onceToken() store.Once {
	sum := sha256.Sum256([]byte(t.signed))
	return store.Once{Kind: "id_token", Hash: sum[:], Expires: t.Expiry.Add(2 * Leeway).Unix()}
}

func (t *token) onceNonce() store.Once {
	sum := sha256.Sum256([]byte(t.issuer.url + "\x00" + t.Nonce))
	return store.Once{Kind: "nonce", Hash: sum[:], Expires: t.Expiry.Add(2 * Leeway).Unix()}
}
