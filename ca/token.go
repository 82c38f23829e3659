package ca

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/people"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

type tokenCommand struct {
	configFlag
	Part  string            `help:"What may enrol with it: agent or proxy." required:"" enum:"agent,proxy"`
	Name  []string          `help:"Host name or pattern such as web-*." required:""`
	Label map[string]string `help:"Label that the node gets, name=value."`
	Uses  int               `help:"How often it may be used." default:"1"`
	For   config.Duration   `help:"How long it lives." default:"1h"`
}

// run writes into the database itself: who can run this can read it anyway.
func (t tokenCommand) run(ctx context.Context, env cli.Env) error {
	c, err := t.load(env)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Config{URL: c.Database, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer s.Close()
	token, err := people.CreateToken(ctx, s, store.Actor{Name: audit.CA}, wire.NewJoinToken{
		Part: wire.Part(t.Part), Names: t.Name, Labels: t.Label, Uses: t.Uses, Seconds: t.For.Seconds(),
	}, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout, token.Secret)
	return nil
}
