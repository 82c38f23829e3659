package login

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/loginkey"
)

// Connect returns a client of the people's door whose requests are proven by the
// person's login key. It renews the certificate if that is due and, where a
// person looks on, signs them in. The error of who never logged in says how to.
//
// With a security key every request of the client waits for a touch.
func Connect(ctx context.Context, env cli.Env) (*wire.Client, error) {
	p, err := newPerson(env)
	if err != nil {
		return nil, err
	}
	if err := p.freshen(ctx); err != nil {
		return nil, given(ctx, err)
	}
	client, _, err := p.client()
	return client, err
}

// client is a proven client by what stands in the files, and what ends the use of
// it: the connection to the agent, which a security key's signatures go through.
func (p *person) client() (*wire.Client, *loginkey.Agent, error) {
	s, err := p.dir.LoadState()
	if err != nil {
		return nil, nil, err
	}
	c, err := p.certificate()
	if err != nil {
		return nil, nil, err
	}
	agent := p.agent()
	key, err := loginkey.Load(s.Key, agent)
	if err != nil {
		agent.Close()
		return nil, nil, err
	}
	p.askForTouch(key.PublicKey())
	client, err := wire.NewClient(s.URL)
	if err != nil {
		agent.Close()
		return nil, nil, err
	}
	return client.WithProof(key, c.Marshal()), agent, nil
}
