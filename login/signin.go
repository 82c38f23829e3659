package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
	"github.com/sallyport-ssh/sallyport/login/internal/loginkey"
	"github.com/sallyport-ssh/sallyport/login/internal/plain"
	"github.com/sallyport-ssh/sallyport/login/internal/signin"
)

// flow is how a person signs in.
type flow uint8

const (
	flowFitting flow = iota // the browser where there is one, else the device flow
	flowDevice              // --device
	flowAddress             // --no-browser: the browser's flow, the address printed
)

// choices are the flags of login; the zero choices are those of the login before.
type choices struct {
	url         string
	flow        flow
	tokenFile   string
	tokenEnv    string
	key         string // path of a security key's handle
	securityKey bool   // make one
}

// signIn is a whole login. The caller holds the lock.
func (p *person) signIn(ctx context.Context, o choices) error {
	// 1. Which CA, and what it says of itself.
	before, err := p.dir.LoadState()
	known := err == nil
	if o.url == "" {
		if !known {
			return fault.New(fault.Invalid, fault.BadRequest, "which CA?").Then("run: sallyport login https://access.example.com")
		}
		o.url = before.URL
	}
	if known && o.url == before.URL && o.key == "" && !o.securityKey && before.Key != p.dir.Path(home.Key) {
		o.key = before.Key // once a security key, always
	}
	client, err := wire.NewClient(o.url)
	if err != nil {
		return err
	}
	d, err := p.discover(ctx, client)
	if err != nil {
		return err
	}

	// 2. The key, before anybody signs in for one that will be refused.
	agent := p.agent()
	defer agent.Close()
	key, path, err := p.loginKey(ctx, o, d, agent)
	if err != nil {
		return err
	}

	// 3. The ID token, and with it the certificate.
	state := home.State{URL: client.URL(), Discovery: d, Key: path, TokenFile: o.tokenFile, TokenEnv: o.tokenEnv}
	var got *grant
	finish := func(ctx context.Context, t signin.Tokens) error {
		request, err := p.loginRequest(key, t)
		if err == nil {
			got, err = certify(ctx, client, wire.PathLogin, request, d, key)
		}
		if err == nil {
			p.forget(ctx, before, state, agent)
			err = p.install(ctx, &state, key, got, t, agent)
		}
		return err
	}
	switch {
	case o.tokenFile != "" || o.tokenEnv != "":
		t, err := p.workload(o.tokenFile, o.tokenEnv)
		if err == nil {
			err = finish(ctx, t)
		}
		if err != nil {
			return err
		}
	default:
		if err := p.ask(ctx, o.flow, d, key, finish); err != nil {
			return given(ctx, err)
		}
	}

	// 4. What the person sees.
	p.welcome(state, got)
	return nil
}

// forget ends what the login before left outside of our files: its key in the
// agent, and its refresh token if that was another CA's. What cannot be ended
// now runs out by itself.
func (p *person) forget(ctx context.Context, before, now home.State, agent *loginkey.Agent) {
	if c, err := p.certificate(); err == nil {
		agent.Remove(c.Key)
	}
	if before.URL != "" && before.URL != now.URL {
		p.dir.ForgetRefresh(ctx, before.URL)
	}
}

// discover asks the CA for all that a new laptop needs, and compares the clocks.
func (p *person) discover(ctx context.Context, client *wire.Client) (wire.Discovery, error) {
	var d wire.Discovery
	if err := client.Do(ctx, http.MethodGet, wire.PathDiscovery, nil, &d); err != nil {
		return d, err
	}
	if d.OIDC.Issuer == "" || len(d.Trust.UserCA) == 0 || len(d.Trust.HostCA) == 0 {
		return d, fault.New(fault.Unavailable, fault.CAAway, "%s answers, but not as a CA", client.URL()).Then("is the URL right?")
	}
	// A proof is refused beyond the window, and so is a certificate that a
	// wrong clock finds too young or too old: better said before the sign-in.
	if off := p.now().Sub(time.Unix(d.Now, 0)); off.Abs() > wire.ProofWindow && d.Now != 0 {
		way := "ahead of"
		if off < 0 {
			way = "behind"
		}
		return d, fault.New(fault.Unauthentic, fault.ClockSkew, "this machine's clock is %s %s the CA's", off.Abs().Round(time.Second), way).
			Then("set the clock (timedatectl set-ntp true) and try again")
	}
	return d, nil
}

// loginKey returns the key to be certified and the path where ssh finds it. A
// fresh one is not written yet.
func (p *person) loginKey(ctx context.Context, o choices, d wire.Discovery, agent *loginkey.Agent) (loginkey.Key, string, error) {
	if o.key == "" && o.securityKey {
		o.key = p.dir.Path(home.SecurityKey)
		if _, err := p.dir.Read(home.SecurityKey); err != nil {
			if err := agent.MakeSecurityKey(ctx, o.key, p.env.Stdin, p.env.Stderr); err != nil {
				return loginkey.Key{}, "", err
			}
		}
	}
	if o.key != "" {
		key, err := loginkey.OpenSecurityKey(o.key, agent)
		return key, o.key, err
	}
	if d.SecurityKeyRequired {
		return loginkey.Key{}, "", fault.New(fault.Denied, fault.KeyRefused, "%s certifies security keys alone", nameOf(d)).
			Then("plug yours in and run: sallyport login --security-key")
	}
	key, err := loginkey.New()
	return key, p.dir.Path(home.Key), err
}

// ask signs a person in.
func (p *person) ask(ctx context.Context, f flow, d wire.Discovery, key loginkey.Key, finish func(context.Context, signin.Tokens) error) error {
	issuer, err := signin.Discover(ctx, d.OIDC)
	if err != nil {
		return err
	}
	opener := signin.FindOpener(p.env.Getenv)
	if f == flowFitting && opener == nil && issuer.HasDevice() {
		f = flowDevice
	}
	if f == flowDevice {
		t, err := issuer.Device(ctx, signin.Device{Out: p.out, Terminal: cli.IsTerminal(p.out)})
		if err != nil {
			return err
		}
		return finish(ctx, t)
	}
	if f == flowAddress {
		opener = nil
	}
	return issuer.Browser(ctx, signin.Browser{PublicKey: key.PublicKey().Marshal(), Open: opener, Out: p.out}, finish)
}

// workload reads the ID token that stands ready.
func (p *person) workload(file, env string) (signin.Tokens, error) {
	if file != "" {
		return signin.FromFile(file)
	}
	return signin.FromEnv(p.env.Getenv, env)
}

// given is err with the exit status of a program that Ctrl-C ended, if that it was.
func given(ctx context.Context, err error) error {
	if ctx.Err() != nil && fault.ReasonOf(err) == fault.SignInEnded {
		return &cli.Exit{Status: 130, Err: err}
	}
	return err
}

// welcome says who is signed in and for how long.
func (p *person) welcome(s home.State, g *grant) {
	groups := "no groups"
	if len(g.answer.Groups) > 0 {
		groups = "groups: " + plain.List(g.answer.Groups)
	}
	fmt.Fprintf(p.out, "Signed in as %s (%s). Certificate until %s%s.\n", g.answer.Identity, groups,
		until(time.Unix(g.answer.ValidBefore, 0), p.now()), p.renewal(s))
}

// renewal says how the certificate of s is renewed, to stand after its end.
func (p *person) renewal(s home.State) string {
	switch {
	case s.TokenFile != "":
		return ", renews from " + p.dir.Show(s.TokenFile)
	case s.TokenEnv != "":
		return ", renews from $" + s.TokenEnv
	case s.Refresh == home.KeeperNone:
		return ""
	case s.RefreshUntil != 0:
		return ", renews by itself until " + until(time.Unix(s.RefreshUntil, 0), p.now())
	}
	return ", renews by itself"
}

// until is a time as one says it: the hour today, the day within a week, else the
// date.
func until(t, now time.Time) string {
	t = t.In(now.Location())
	switch midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location()); {
	case t.Before(midnight):
		return t.Format("2 Jan 15:04")
	case t.Before(midnight.AddDate(0, 0, 1)):
		return t.Format("15:04")
	case t.Before(midnight.AddDate(0, 0, 2)):
		return "tomorrow " + t.Format("15:04")
	case t.Before(midnight.AddDate(0, 0, 7)):
		return t.Format("Monday")
	}
	return t.Format("2 Jan")
}

// nameOf is what people call the CA.
func nameOf(d wire.Discovery) string {
	if d.Name != "" {
		return plain.Text(d.Name)
	}
	return "this CA"
}

// isSSOEnded: only signing in again helps.
func isSSOEnded(err error) bool {
	return errors.Is(err, &fault.Error{Reason: fault.SSOEnded})
}
