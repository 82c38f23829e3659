package ca

import (
	"context"
	"strings"

	"github.com/sallyport-ssh/sallyport/ca/internal/signer"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/config"
)

// grammar of `sallyport ca`.
type grammar struct {
	Run   runCommand   `cmd:"" help:"Serve both doors until told to stop."`
	Init  initCommand  `cmd:"" help:"Make the CA keys, and the passphrase if there is none."`
	Keys  keysCommand  `cmd:"" help:"Print the public keys."`
	Check checkCommand `cmd:"" help:"Print the effective configuration and what is wrong with it."`
	Token tokenCommand `cmd:"" help:"Make a join token without a login, on the CA's own machine."`
}

// configFlag is every command's.
type configFlag struct {
	Config string `help:"Configuration file." default:"/etc/sallyport/ca.yaml" placeholder:"FILE"`
}

// Main runs `sallyport ca`.
func Main(ctx context.Context, env cli.Env, args []string) error {
	var g grammar
	k, err := cli.Parse(env, "sallyport ca", "The control plane: logins, decisions, certificates.", &g, args)
	if err != nil {
		return err
	}
	switch strings.Fields(k.Command())[0] {
	case "run":
		return g.Run.run(ctx, env)
	case "init":
		return g.Init.run(env)
	case "keys":
		return g.Keys.run(env)
	case "check":
		return g.Check.run(env)
	}
	return g.Token.run(ctx, env)
}

// SignerMain runs `sallyport signer`, the process with the keys.
func SignerMain(ctx context.Context, env cli.Env, args []string) error {
	return signer.Main(ctx, env, args)
}

// load reads the configuration, completes and checks it.
func (f configFlag) load(env cli.Env) (Config, error) {
	c := Defaults()
	if err := config.Load(f.Config, &c); err != nil {
		return c, err
	}
	c.complete(env.Getenv)
	if err := c.checkSecrets(); err != nil {
		return c, err
	}
	return c, c.Check()
}

type runCommand struct{ configFlag }

func (r runCommand) run(ctx context.Context, env cli.Env) error {
	c, err := r.load(env)
	if err != nil {
		return err
	}
	log, err := c.Log.Logger(env.Stderr, "ca")
	if err != nil {
		return err
	}
	ca, err := Open(ctx, c, log)
	if err != nil {
		return err
	}
	defer ca.Close()
	return ca.Serve(ctx)
}
