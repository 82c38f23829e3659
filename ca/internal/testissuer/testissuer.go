// Package testissuer is an OpenID Connect issuer of which a test has the key, for
// tokens that no real issuer would make: another's audience, a nonce for another
// key, no signature at all. What a real issuer makes is tested with rig.IDP.
//
// The product never imports it.
package testissuer

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ClientID is the audience of the tokens that Claims makes.
const ClientID = "sallyport"

// Issuer serves discovery, keys and userinfo on loopback until the test ends.
type Issuer struct {
	URL string

	t testing.TB

	mu       sync.Mutex
	key      *rsa.PrivateKey
	keyID    string
	keysGot  int // how often the keys were asked for
	down     bool
	userinfo map[string]any // nil: 401
}

// New starts an issuer.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{t: t}
	i.Rotate("one")
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", i.answer(func() any {
		return map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth",
			"token_endpoint": i.URL + "/token", "userinfo_endpoint": i.URL + "/userinfo",
		}
	}))
	mux.HandleFunc("/keys", i.answer(func() any {
		i.keysGot++
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: i.keyID, Algorithm: "RS256", Use: "sig"}}}
	}))
	mux.HandleFunc("/userinfo", i.answer(func() any {
		if i.userinfo == nil {
			return nil
		}
		return i.userinfo
	}))
	s := httptest.NewServer(mux)
	i.URL = s.URL
	t.Cleanup(s.Close)
	return i
}

// answer encodes what f returns; nil is 401.
func (i *Issuer) answer(f func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		body := f()
		if body == nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(body)
	}
}

// Down makes every answer an error, or no longer.
func (i *Issuer) Down(down bool) { i.mu.Lock(); i.down = down; i.mu.Unlock() }

// Userinfo sets what the userinfo endpoint says; nil refuses the access token.
func (i *Issuer) Userinfo(claims map[string]any) { i.mu.Lock(); i.userinfo = claims; i.mu.Unlock() }

// KeysAsked is how often the published keys were fetched.
func (i *Issuer) KeysAsked() int { i.mu.Lock(); defer i.mu.Unlock(); return i.keysGot }

// Rotate makes a new key under a new key ID; the old one is published no more.
func (i *Issuer) Rotate(keyID string) {
	i.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	i.key, i.keyID = key, keyID
	i.mu.Unlock()
}

// Claims are those of ann's token, issued now.
func (i *Issuer) Claims(nonce string) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{
		"iss": i.URL, "sub": "ann", "aud": ClientID, "iat": now, "exp": now + 600,
		"email": "ann@example.com", "email_verified": true, "groups": []string{"eng"}, "jti": rand.Text(),
	}
	if nonce != "" {
		c["nonce"] = nonce
	}
	return c
}

// With returns claims with some of them changed; a nil value takes one away.
func With(claims, change map[string]any) map[string]any {
	c := maps.Clone(claims)
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

// Sign makes a token by the issuer's own key, with RS256: what every issuer has
// to offer and most use (OpenID Connect Core, section 15.1).
func (i *Issuer) Sign(claims map[string]any) string {
	i.mu.Lock()
	key, keyID := i.key, i.keyID
	i.mu.Unlock()
	return i.SignBy(jose.RS256, key, keyID, claims)
}

// SignBy makes a token by any key.
func (i *Issuer) SignBy(alg jose.SignatureAlgorithm, key any, keyID string, claims map[string]any) string {
	i.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	data, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	signed, err := signer.Sign(data)
	if err != nil {
		i.t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return raw
}

// SignByPublicKey is the classic confusion: an HMAC whose secret is the public
// key that the issuer publishes.
func (i *Issuer) SignByPublicKey(claims map[string]any) string {
	i.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		i.t.Fatal(err)
	}
	return i.SignBy(jose.HS256, der, i.keyID, claims)
}

// Unsigned makes a token with alg none.
func (i *Issuer) Unsigned(claims map[string]any) string {
	i.t.Helper()
	data, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + e(data) + "."
}
