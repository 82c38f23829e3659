package idtoken

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/testissuer"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/sshsig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// laptop is who asks: an SSH key.
type laptop struct {
	t    testing.TB
	key  ssh.Signer
	salt []byte
}

func newLaptop(t testing.TB) *laptop {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	salt := make([]byte, wire.NonceSaltSize)
	rand.Read(salt)
	return &laptop{t, key, salt}
}

func (l *laptop) nonce() string { return wire.Nonce(l.key.PublicKey().Marshal(), l.salt) }

func (l *laptop) request(token string) wire.LoginRequest {
	l.t.Helper()
	proof, err := sshsig.Sign(l.key, wire.NamespaceLogin, wire.LoginProof(token))
	if err != nil {
		l.t.Fatal(err)
	}
	return wire.LoginRequest{IDToken: token, PublicKey: l.key.PublicKey().Marshal(), NonceSalt: l.salt, Proof: proof}
}

func (l *laptop) deviceRequest(token string) wire.LoginRequest {
	r := l.request(token)
	r.NonceSalt = nil
	return r
}

func ordinary(i *testissuer.Issuer) Config {
	return Config{
		People: People{Issuer: i.URL, ClientID: testissuer.ClientID, NameClaim: "email", GroupsClaim: "groups", Userinfo: UserinfoAuto},
		Log:    slog.New(slog.DiscardHandler), Now: time.Now,
	}
}

func TestATokenIsRefused(t *testing.T) {
	i := testissuer.New(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	changed := func(change map[string]any) func(*laptop) wire.LoginRequest {
		return func(l *laptop) wire.LoginRequest {
			return l.request(i.Sign(testissuer.With(i.Claims(l.nonce()), change)))
		}
	}
	for name, row := range map[string]struct {
		reason  fault.Reason
		request func(*laptop) wire.LoginRequest
	}{
		"without a signature (alg none)": {fault.TokenInvalid, func(l *laptop) wire.LoginRequest {
			return l.request(i.Unsigned(i.Claims(l.nonce())))
		}},
		"signed with the public key as the secret (HS256)": {fault.TokenInvalid, func(l *laptop) wire.LoginRequest {
			return l.request(i.SignByPublicKey(i.Claims(l.nonce())))
		}},
		"signed by a key that the issuer does not publish": {fault.TokenInvalid, func(l *laptop) wire.LoginRequest {
			return l.request(i.SignBy(jose.ES256, other, "two", i.Claims(l.nonce())))
		}},
		"signed by another key under the issuer's key ID": {fault.TokenInvalid, func(l *laptop) wire.LoginRequest {
			return l.request(i.SignBy(jose.ES256, other, "one", i.Claims(l.nonce())))
		}},
		"that is no token": {fault.TokenInvalid, func(l *laptop) wire.LoginRequest { return l.request("hello") }},
		"that is empty":    {fault.TokenInvalid, func(l *laptop) wire.LoginRequest { return l.request("") }},
		"that is too large": {fault.TooLarge, func(l *laptop) wire.LoginRequest {
			return l.request(i.Sign(testissuer.With(i.Claims(l.nonce()), map[string]any{"x": strings.Repeat("x", MaxToken)})))
		}},
		"of an issuer that is not configured":             {fault.TokenIssuer, changed(map[string]any{"iss": "https://evil.example.com"})},
		"of an issuer whose name only begins like ours":   {fault.TokenIssuer, changed(map[string]any{"iss": i.URL + "/"})},
		"for another audience":                            {fault.TokenAudience, changed(map[string]any{"aud": "grafana"})},
		"for several audiences without an azp":            {fault.TokenAudience, changed(map[string]any{"aud": []string{testissuer.ClientID, "grafana"}})},
		"with the azp of another application":             {fault.TokenAudience, changed(map[string]any{"azp": "grafana"})},
		"with an azp that is no text":                     {fault.TokenAudience, changed(map[string]any{"azp": 1})},
		"that has expired":                                {fault.TokenExpired, changed(map[string]any{"iat": now - 700, "exp": now - 100})},
		"that was issued in ten minutes":                  {fault.ClockSkew, changed(map[string]any{"iat": now + 600, "exp": now + 1200})},
		"that is not valid for another ten minutes":       {fault.ClockSkew, changed(map[string]any{"nbf": now + 600})},
		"without a subject":                               {fault.TokenInvalid, changed(map[string]any{"sub": nil})},
		"without iat":                                     {fault.TokenInvalid, changed(map[string]any{"iat": nil})},
		"without exp":                                     {fault.TokenInvalid, changed(map[string]any{"exp": nil})},
		"without a nonce":                                 {fault.TokenNonce, changed(map[string]any{"nonce": nil})},
		"with the nonce of another login":                 {fault.TokenNonce, changed(map[string]any{"nonce": newLaptop(t).nonce()})},
		"without a name":                                  {fault.TokenClaims, changed(map[string]any{"email": nil})},
		"with an e-mail address that nobody has verified": {fault.TokenClaims, changed(map[string]any{"email_verified": false})},
		"with an e-mail address and no word about it":     {fault.TokenClaims, changed(map[string]any{"email_verified": nil})},
		"with a name that could be read as two":           {fault.TokenClaims, changed(map[string]any{"email": "ann@example.com,root"})},
		"with a name that is a pattern":                   {fault.TokenClaims, changed(map[string]any{"email": "*"})},
		"with a name that looks like a workload's":        {fault.TokenClaims, changed(map[string]any{"email": "ci:deploy"})},
		"with groups of another shape":                    {fault.TokenClaims, changed(map[string]any{"groups": map[string]any{"eng": true}})},
		"with a group that is no text":                    {fault.TokenClaims, changed(map[string]any{"groups": []any{"eng", 7}})},
		"with more claims than are kept":                  {fault.TokenClaims, changed(map[string]any{"x": strings.Repeat("x", maxClaims)})},
		"for which no key has signed": {fault.ProofInvalid, func(l *laptop) wire.LoginRequest {
			r := l.request(i.Sign(i.Claims(l.nonce())))
			r.Proof = nil
			return r
		}},
		"for which another key has signed": {fault.ProofInvalid, func(l *laptop) wire.LoginRequest {
			r := l.request(i.Sign(i.Claims(l.nonce())))
			r.Proof = newLaptop(t).request(r.IDToken).Proof
			return r
		}},
		"with a signature for another token": {fault.ProofInvalid, func(l *laptop) wire.LoginRequest {
			r := l.request(i.Sign(i.Claims(l.nonce())))
			r.Proof = l.request(i.Sign(i.Claims(l.nonce()))).Proof
			return r
		}},
		"that was stolen and shown with another key": {fault.TokenNonce, func(l *laptop) wire.LoginRequest {
			return newLaptop(t).request(i.Sign(i.Claims(l.nonce())))
		}},
		"with a nonce, by who leaves out the salt": {fault.TokenNonce, func(l *laptop) wire.LoginRequest {
			return l.deviceRequest(i.Sign(i.Claims(l.nonce())))
		}},
		"of the device flow, which is off": {fault.TokenNonce, func(l *laptop) wire.LoginRequest {
			return l.deviceRequest(i.Sign(i.Claims("")))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := ordinary(i)
			c.People.Prefixes = []string{"ci:"}
			r := row.request(newLaptop(t))
			key, err := ssh.ParsePublicKey(r.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			who, err := New(c).Login(t.Context(), r, key)
			if fault.ReasonOf(err) != row.reason {
				t.Errorf("got %v (%s), want %s", err, fault.ReasonOf(err), row.reason)
			}
			if who.Name != "" {
				t.Errorf("and yet it names %s", who.Name)
			}
		})
	}
}

func TestATokenIsTaken(t *testing.T) {
	i := testissuer.New(t)
	now := time.Now().Unix()
	for name, row := range map[string]struct {
		change map[string]any
		groups string
	}{
		"as it is":                             {nil, "eng"},
		"with our azp and another audience":    {map[string]any{"aud": []string{testissuer.ClientID, "x"}, "azp": testissuer.ClientID}, "eng"},
		"from a clock that is a minute ahead":  {map[string]any{"iat": now + 59}, "eng"},
		"a minute after its end, by our clock": {map[string]any{"exp": now - 50}, "eng"},
		"with email_verified as text":          {map[string]any{"email_verified": "true"}, "eng"},
		"without groups, as of no group":       {map[string]any{"groups": nil}, ""},
		"with one group as text":               {map[string]any{"groups": "ops"}, "ops"},
		"with groups twice and out of order":   {map[string]any{"groups": []string{"b", "a", "b"}}, "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			who, err := New(ordinary(i)).Login(t.Context(), l.request(i.Sign(testissuer.With(i.Claims(l.nonce()), row.change))), l.key.PublicKey())
			if err != nil {
				t.Fatal(err)
			}
			if who.Name != "ann@example.com" || who.Issuer != i.URL || who.Subject != "ann" || strings.Join(who.Groups, " ") != row.groups {
				t.Errorf("got %+v", who)
			}
			if len(who.Once) != 2 || who.Once[0].Kind == who.Once[1].Kind {
				t.Errorf("to be used once: %+v", who.Once)
			}
		})
	}
}

func TestWhatIsKeptOfATokenSpeaksOfItsSubject(t *testing.T) {
	i := testissuer.New(t)
	l := newLaptop(t)
	token := i.Sign(testissuer.With(i.Claims(l.nonce()), map[string]any{"department": "web", "auth_time": 1, "at_hash": nil}))
	who, err := New(ordinary(i)).Login(t.Context(), l.request(token), l.key.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	var kept map[string]any
	if err := json.Unmarshal(who.Claims, &kept); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nonce", "exp", "iat", "jti", "auth_time"} {
		if _, ok := kept[name]; ok {
			t.Errorf("%s is kept, and differs from token to token", name)
		}
	}
	if kept["department"] != "web" || kept["iss"] != i.URL {
		t.Errorf("kept: %v", kept)
	}
}

func TestTheSameTokenIsTheSameOnce(t *testing.T) {
	i := testissuer.New(t)
	l := newLaptop(t)
	token := i.Sign(i.Claims(l.nonce()))
	v := New(ordinary(i))
	first, err := v.Login(t.Context(), l.request(token), l.key.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	again, err := v.Login(t.Context(), l.request(token), l.key.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := v.Renew(t.Context(), l.request(token), l.key.PublicKey(), "ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	for n, o := range [][]byte{again.Once[0].Hash, renewed.Once[0].Hash} {
		if string(o) != string(first.Once[0].Hash) {
			t.Errorf("use %d has another hash", n+2)
		}
	}
	other, err := v.Login(t.Context(), l.request(i.Sign(i.Claims(l.nonce()))), l.key.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if string(other.Once[0].Hash) == string(first.Once[0].Hash) {
		t.Error("another token has the same hash")
	}
	if string(other.Once[1].Hash) != string(first.Once[1].Hash) {
		t.Error("the same nonce has another hash")
	}
}

// Whoever wants to use a token twice may not dress it up as another one.
func TestATokenInAnotherDressIsRefused(t *testing.T) {
	i := testissuer.New(t)
	v := New(ordinary(i))
	l := newLaptop(t)
	claims := i.Claims(l.nonce())
	token := i.Sign(claims)
	for claims["pad"] = ""; len(strings.Split(token, ".")[1])%4 == 0; token = i.Sign(claims) {
		claims["pad"] = claims["pad"].(string) + "x" // so that the payload has spare bits
	}
	parts := strings.Split(token, ".")
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, parts[1][len(parts[1])-1])
	for name, dressed := range map[string]string{
		"with spare bits set":      parts[0] + "." + parts[1][:len(parts[1])-1] + string(alphabet[last|1]) + "." + parts[2],
		"with a line break":        parts[0] + "." + parts[1][:9] + "\n" + parts[1][9:] + "." + parts[2],
		"with padding":             token + "=",
		"as JSON":                  `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"as JSON with dots in it":  `{"x":".` + parts[1] + `.","protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"with something before it": " " + token,
		"with something behind it": token + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := v.Login(t.Context(), l.request(dressed), l.key.PublicKey()); fault.ReasonOf(err) != fault.TokenInvalid {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := v.Login(t.Context(), l.request(token), l.key.PublicKey()); err != nil {
		t.Errorf("in its own: %v", err)
	}
}

func TestARenewalIsForTheHolderAlone(t *testing.T) {
	i := testissuer.New(t)
	l := newLaptop(t)
	v := New(ordinary(i))
	token := l.deviceRequest(i.Sign(i.Claims("")))
	if _, err := v.Renew(t.Context(), token, l.key.PublicKey(), "bob@example.com"); fault.ReasonOf(err) != fault.TokenOtherIdentity {
		t.Errorf("ann renews bob's certificate: %v", err)
	}
	who, err := v.Renew(t.Context(), token, l.key.PublicKey(), "ann@example.com")
	if err != nil || who.Name != "ann@example.com" {
		t.Errorf("ann renews her own: %v, %v", who, err)
	}
}

func TestTheDeviceFlowIsSwitchedOn(t *testing.T) {
	i := testissuer.New(t)
	c := ordinary(i)
	c.People.Device = true
	l := newLaptop(t)
	if _, err := New(c).Login(t.Context(), l.deviceRequest(i.Sign(i.Claims(""))), l.key.PublicKey()); err != nil {
		t.Errorf("a token without a nonce: %v", err)
	}
	if _, err := New(c).Login(t.Context(), l.deviceRequest(i.Sign(i.Claims(l.nonce()))), l.key.PublicKey()); fault.ReasonOf(err) != fault.TokenNonce {
		t.Errorf("a token of a browser's login, passed off as a device's: %v", err)
	}
}

func TestASignInThatIsTooLongAgoIsRefused(t *testing.T) {
	i := testissuer.New(t)
	c := ordinary(i)
	c.People.MaxAge = time.Hour
	now := time.Now().Unix()
	for name, row := range map[string]struct {
		at     any
		reason fault.Reason
	}{
		"just now":                     {now - 10, ""},
		"two hours ago":                {now - 7200, fault.TokenExpired},
		"at a time that is not stated": {nil, fault.TokenExpired},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			_, err := New(c).Login(t.Context(), l.request(i.Sign(testissuer.With(i.Claims(l.nonce()), map[string]any{"auth_time": row.at}))), l.key.PublicKey())
			if fault.ReasonOf(err) != row.reason {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestUserinfoIsAskedForGroups(t *testing.T) {
	i := testissuer.New(t)
	login := func(c Config, accessToken string, change map[string]any) (Who, error) {
		l := newLaptop(t)
		r := l.request(i.Sign(testissuer.With(i.Claims(l.nonce()), change)))
		r.AccessToken = accessToken
		return New(c).Login(t.Context(), r, l.key.PublicKey())
	}
	noGroups := map[string]any{"groups": nil}

	i.Userinfo(map[string]any{"sub": "ann", "groups": []string{"from-userinfo"}, "email": "root@example.com"})
	who, err := login(ordinary(i), "token", noGroups)
	if err != nil || strings.Join(who.Groups, "") != "from-userinfo" {
		t.Errorf("groups: %v, %v", who.Groups, err)
	}
	if who.Name != "ann@example.com" {
		t.Errorf("userinfo, which nobody signed, overrules the ID token: %s", who.Name)
	}
	if who, err = login(ordinary(i), "token", nil); err != nil || strings.Join(who.Groups, "") != "eng" {
		t.Errorf("the ID token's own groups count: %v, %v", who.Groups, err)
	}

	i.Userinfo(map[string]any{"sub": "bob", "groups": []string{"platform"}})
	if _, err = login(ordinary(i), "token", noGroups); fault.ReasonOf(err) != fault.TokenClaims {
		t.Errorf("userinfo about somebody else: %v", err)
	}
	i.Userinfo(nil)
	if _, err = login(ordinary(i), "token", noGroups); fault.ReasonOf(err) != fault.TokenInvalid {
		t.Errorf("an access token that the issuer refuses: %v", err)
	}
	c := ordinary(i)
	c.People.Userinfo = UserinfoAlways
	if _, err = login(c, "", nil); fault.ReasonOf(err) != fault.TokenClaims {
		t.Errorf("always, and no access token: %v", err)
	}
}

func TestAnIssuerThatIsAwayIsNamed(t *testing.T) {
	i := testissuer.New(t)
	i.Down(true)
	v := New(ordinary(i))
	l := newLaptop(t)
	login := func() error {
		_, err := v.Login(t.Context(), l.request(i.Sign(i.Claims(l.nonce()))), l.key.PublicKey())
		return err
	}
	f := fault.Of(login())
	if f.Reason != fault.IssuerAway || f.Kind != fault.Unavailable || !strings.Contains(f.Text, "does not answer") {
		t.Errorf("got %+v", f)
	}
	i.Down(false)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	v.Run(ctx) // returns when the issuer is found
	if err := login(); err != nil {
		t.Errorf("it is back: %v", err)
	}
	// Its keys are known now, and logins go on without it.
	i.Down(true)
	if err := login(); err != nil {
		t.Errorf("it is away again, and its keys are known: %v", err)
	}
	i.Rotate("two")
	if err := login(); fault.ReasonOf(err) != fault.IssuerAway {
		t.Errorf("a key that it cannot be asked about: %v", err)
	}
	i.Down(false)
	if err := login(); err != nil {
		t.Errorf("a new key of the issuer: %v", err)
	}
}

func TestForgedTokensDoNotBecomeARushOnTheIssuer(t *testing.T) {
	i := testissuer.New(t)
	v := New(ordinary(i))
	l := newLaptop(t)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for range 5 * fetchBurst {
		_, err := v.Login(t.Context(), l.request(i.SignBy(jose.ES256, other, rand.Text(), i.Claims(l.nonce()))), l.key.PublicKey())
		if fault.ReasonOf(err) != fault.TokenInvalid {
			t.Fatalf("a forged token: %v", err)
		}
	}
	if n := i.KeysAsked(); n > fetchBurst+1 {
		t.Errorf("the issuer was asked %d times for its keys", n)
	}
}

func TestTheZeroVerifierRefuses(t *testing.T) {
	i := testissuer.New(t)
	l := newLaptop(t)
	if _, err := new(Verifier).Login(t.Context(), l.request(i.Sign(i.Claims(l.nonce()))), l.key.PublicKey()); fault.ReasonOf(err) != fault.TokenIssuer {
		t.Errorf("got %v", err)
	}
}
