package login

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
	"github.com/sallyport-ssh/sallyport/login/internal/loginkey"
	"github.com/sallyport-ssh/sallyport/login/internal/signin"
)

// Limits of time of a renewal that nobody asked for.
const (
	dueLimit  = 5 * time.Second  // while the certificate still opens everything
	overLimit = 20 * time.Second // when ssh would fail without it
	// After a renewal that failed, the next waits so long: an issuer that is away
	// must not slow down every ssh, nor every one of the forty that Ansible starts.
	duePause  = time.Minute
	overPause = 5 * time.Second
)

// freshen sees to it that there is a valid certificate: it does nothing, or
// renews, or, where a person looks on, signs them in again.
func (p *person) freshen(ctx context.Context) error {
	c, _ := p.certificate() // none is over
	switch c.at(p.now()) {
	case fresh:
		return nil
	case due:
		if !loginkey.IsSecurityKey(c.Key) { // a touch is asked for when it is needed
			p.renewAhead(ctx)
		}
		return nil
	}
	if _, loaded := p.dir.LoadState(); loaded != nil {
		return loaded // nobody has ever logged in here
	}
	lock, err := p.lockForRenewal(ctx)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	// Whoever held the lock has renewed it, as a rule.
	if c, err = p.certificate(); c.at(p.now()) != over {
		return nil
	}
	if err == nil {
		pause := overPause
		if p.watched() {
			pause = 0 // a person may have put right what was wrong
		}
		err = p.tryRenew(ctx, overLimit, pause)
		if err == nil {
			return nil
		}
	}
	if !p.watched() || ctx.Err() != nil || !signInHelps(err) {
		return p.expired(c, err)
	}
	q := *p
	q.out = p.env.Stderr // stdout is ssh's or a script's
	fmt.Fprintf(q.out, "sallyport: %s.\n", fault.Of(p.expired(c, err)).Text)
	return q.signIn(ctx, choices{})
}

// renewAhead renews a certificate that is still valid, and is silent about what
// goes wrong: the person has nothing to do yet.
func (p *person) renewAhead(ctx context.Context) {
	lock, err := p.dir.TryLock()
	if err != nil || lock == nil {
		return // somebody is at it
	}
	defer lock.Unlock()
	if c, _ := p.certificate(); c.at(p.now()) == due {
		p.tryRenew(ctx, dueLimit, duePause)
	}
}

// lockForRenewal waits for another renewal, which is short, or where the person
// looks on for another login.
func (p *person) lockForRenewal(ctx context.Context) (*home.Lock, error) {
	if p.watched() {
		return p.lock(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, overLimit)
	defer cancel()
	return p.lock(ctx)
}

// tryRenew renews, unless that failed less than pause ago. What goes wrong is
// kept in the state, for the next one and for status. The caller holds the lock.
func (p *person) tryRenew(ctx context.Context, limit, pause time.Duration) error {
	s, err := p.dir.LoadState()
	if err != nil {
		return err
	}
	if since := p.now().Sub(time.Unix(s.Tried, 0)); s.Trouble != "" && since >= 0 && since < pause {
		return fault.New(fault.Unavailable, fault.SSOEnded, "%s", s.Trouble).Then("run: sallyport login")
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err = p.renew(ctx, &s); err != nil && ctx.Err() != context.Canceled {
		s.Tried, s.Trouble = p.now().Unix(), fault.Of(err).Text
		if saved := p.dir.SaveState(s); saved != nil {
			return saved
		}
	}
	return err
}

// renew gets a new certificate for the key of the old one.
func (p *person) renew(ctx context.Context, s *home.State) error {
	// 1. What there is to renew, and whether that can be done without a person.
	old, err := p.certificate()
	if err != nil {
		return err
	}
	if loginkey.IsSecurityKey(old.Key) {
		if !p.watched() {
			return fault.New(fault.Unauthentic, fault.KeyRefused, "the security key has to be touched").Then("run: sallyport login")
		}
	}
	agent := p.agent()
	defer agent.Close()
	key, err := loginkey.Load(s.Key, agent)
	if err != nil {
		return err
	}
	client, err := wire.NewClient(s.URL)
	if err != nil {
		return err
	}

	// 2. The CA's word first: its keys may have been rotated, its proxies moved.
	d, err := p.discover(ctx, client)
	if err != nil {
		return err
	}

	// 3. A new ID token.
	path := wire.PathRenew
	var t signin.Tokens
	if s.TokenFile != "" || s.TokenEnv != "" {
		path = wire.PathLogin // a workload has no session at the issuer
		t, err = p.workload(s.TokenFile, s.TokenEnv)
	} else {
		t, err = p.refresh(ctx, s, d)
	}
	if err != nil {
		return err
	}

	// 4. The certificate.
	request, err := p.loginRequest(key, t)
	if err != nil {
		return err
	}
	var body any = request
	if path == wire.PathRenew {
		body = wire.RenewRequest{LoginRequest: request, Certificate: old.Marshal()}
	}
	g, err := certify(ctx, client, path, body, d, key)
	if err != nil {
		return err
	}
	s.Discovery = d
	return p.install(ctx, s, key, g, t, agent)
}

// refresh trades the refresh token for new tokens. It goes to the issuer that gave
// it: a CA that suddenly names another one does not get to see it.
func (p *person) refresh(ctx context.Context, s *home.State, d wire.Discovery) (signin.Tokens, error) {
	over := fault.New(fault.Unauthentic, fault.SSOEnded, "nothing is left to renew it with").Then("run: sallyport login")
	if d.OIDC.Issuer != s.Discovery.OIDC.Issuer || d.OIDC.ClientID != s.Discovery.OIDC.ClientID {
		return signin.Tokens{}, fault.New(fault.Unauthentic, fault.SSOEnded, "%s signs people in elsewhere now", nameOf(d)).Then("run: sallyport login")
	}
	token, err := p.dir.LoadRefresh(ctx, s.URL, s.Refresh)
	if err != nil {
		return signin.Tokens{}, over.Because(err)
	}
	if token == "" {
		return signin.Tokens{}, over
	}
	issuer, err := signin.Discover(ctx, d.OIDC)
	if err != nil {
		return signin.Tokens{}, err
	}
	t, err := issuer.Refresh(ctx, token)
	if t.Refresh != "" && t.Refresh != token {
		// It may be the only one that is still good: kept whatever comes next.
		keeper, saved := p.dir.SaveRefresh(context.WithoutCancel(ctx), s.URL, t.Refresh)
		if saved != nil {
			return t, saved
		}
		s.Refresh = keeper
	}
	if isSSOEnded(err) {
		// One that is dead is not shown to the issuer again.
		if forgot := p.dir.ForgetRefresh(context.WithoutCancel(ctx), s.URL); forgot == nil {
			s.Refresh = home.KeeperNone
		}
	}
	return t, err
}

// expired says why there is no certificate, in one line. c is the last one, nil
// if there is none.
func (p *person) expired(c *certificate, err error) error {
	cause := fault.Of(err)
	f := fault.New(fault.Unauthentic, fault.CertificateExpired, "your certificate is gone, and could not be replaced")
	if c != nil {
		f = fault.New(fault.Unauthentic, fault.CertificateExpired, "your certificate ended at %s: %s", until(c.to, p.now()), cause.Text)
	}
	if cause.Next != "" {
		return f.Then("%s", cause.Next).Because(cause.Err)
	}
	return f.Then("run: sallyport login").Because(cause.Err)
}

// signInHelps: not where somebody is away, or the clock is wrong.
func signInHelps(err error) bool {
	switch fault.ReasonOf(err) {
	case fault.CAAway, fault.IssuerAway, fault.StoreAway, fault.SignerAway, fault.ClockSkew:
		return false
	}
	return true
}

// watched says whether a person sees what we write and could sign in. Match exec
// has stdin and stdout on /dev/null, and stderr on the terminal if there is one.
func (p *person) watched() bool {
	if !cli.IsTerminal(p.env.Stderr) {
		return false
	}
	tty, err := os.OpenFile(ttyPath, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	tty.Close()
	return true
}
