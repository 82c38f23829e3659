package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
	"github.com/sallyport-ssh/sallyport/login/internal/signin"
	"github.com/sallyport-ssh/sallyport/login/internal/sshconf"
)

// farewellLimit bounds what logout asks of others: it has to work without them.
const farewellLimit = 5 * time.Second

// logoutCommand ends the certificate at the CA and the refresh token at the
// issuer, if they can be reached, and removes everything of ours, whether they
// could or not.
func logoutCommand(ctx context.Context, env cli.Env, args []string) error {
	if _, err := cli.Parse(env, "sallyport logout", "End the login, and remove what login put on this machine.", &struct{}{}, args); err != nil {
		return err
	}
	p, err := newPerson(env)
	if err != nil {
		return err
	}
	lock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Unlock()

	s, loaded := p.dir.LoadState()
	c, _ := p.certificate()
	revoked := p.revoke(ctx, s, c)

	var errs []error
	agent := p.agent()
	defer agent.Close()
	if c != nil {
		errs = append(errs, agent.Remove(c.Key))
	}
	errs = append(errs, p.dir.ForgetRefresh(ctx, s.URL), sshconf.UninstallFile(p.dir), p.dir.Clear())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	switch {
	case errors.Is(loaded, home.ErrNotLoggedIn):
		fmt.Fprintln(p.out, "You were not logged in.")
	case revoked == nil:
		fmt.Fprintln(p.out, "Logged out. Nothing of sallyport is left in ~/.ssh.")
	default:
		fmt.Fprintf(p.out, "Logged out here. The CA could not be told: a copy of the certificate would work until %s.\n", until(c.to, p.now()))
	}
	return nil
}

// revoke tells the CA, and then the issuer. Only the CA's answer counts, and only
// while the certificate c is worth something.
func (p *person) revoke(ctx context.Context, s home.State, c *certificate) (err error) {
	if c.at(p.now()) != over {
		err = p.revokeCertificate(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, farewellLimit)
	defer cancel()
	if token, bad := p.dir.LoadRefresh(ctx, s.URL, s.Refresh); bad == nil && token != "" {
		if issuer, bad := signin.Discover(ctx, s.Discovery.OIDC); bad == nil {
			issuer.Revoke(ctx, token) // what cannot be revoked is at least not kept
		}
	}
	return err
}

func (p *person) revokeCertificate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, farewellLimit)
	defer cancel()
	client, agent, err := p.client()
	if err != nil {
		return err
	}
	defer agent.Close()
	return client.Do(ctx, http.MethodPost, wire.PathLogout, nil, nil)
}
