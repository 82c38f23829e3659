package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// grammar of `sallyport proxy`.
type grammar struct {
	Config string `help:"Configuration file." default:"/etc/sallyport/proxy.yaml" placeholder:"FILE"`

	Run    struct{} `cmd:"" help:"Serve SSH until told to stop; enrols first, if need be."`
	Enroll struct{} `cmd:"" help:"Enrol with the join token of the configuration, and stop."`
	Check  struct{} `cmd:"" help:"Print the effective configuration and what is wrong with it."`
}

// Main runs `sallyport proxy`.
func Main(ctx context.Context, env cli.Env, args []string) error {
	var g grammar
	k, err := cli.Parse(env, "sallyport proxy", "The data plane: ends SSH on both sides, asks the CA, records.", &g, args)
	if err != nil {
		return err
	}
	c := Defaults()
	if err := config.Load(g.Config, &c); err != nil {
		return err
	}
	c.complete()
	if err := c.checkSecrets(); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return fault.New(fault.Invalid, fault.ConfigInvalid, "%s: %v", g.Config, err)
	}
	log, err := c.Log.Logger(env.Stderr, "proxy")
	if err != nil {
		return err
	}
	switch strings.Fields(k.Command())[0] {
	case "run":
		return run(ctx, c, log)
	case "enroll":
		return enrolOnly(ctx, env, c)
	}
	return check(ctx, env, c)
}

func run(ctx context.Context, c Config, log *slog.Logger) error {
	s, err := open(ctx, c, log)
	if err != nil {
		return err
	}
	// Go's default keepalive (15 s, nine times) notices peers that are gone.
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		s.recordings.Close()
		return fault.New(fault.Internal, fault.ConfigInvalid, "cannot listen on %s", c.Listen).Then("is another program there?").Because(err)
	}
	if c.Debug != "" {
		stop, err := s.debug(c.Debug)
		if err != nil {
			l.Close()
			s.recordings.Close()
			return err
		}
		defer stop()
	}
	return s.serve(ctx, l)
}

func enrolOnly(ctx context.Context, env cli.Env, c Config) error {
	k, err := loadKeys(c.Data)
	if err != nil {
		return err
	}
	if _, err := enrol(ctx, c, k); err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "proxy: enrolled as %s. Start it: sallyport proxy run\n", c.Name)
	return nil
}

// check prints the configuration and what the proxy knows.
func check(ctx context.Context, env cli.Env, c Config) error {
	if err := config.Print(env.Stdout, c); err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout, storageLine(ctx, c))
	m, err := loadMembership(c.Data)
	if err != nil {
		return err
	}
	if m == nil {
		fmt.Fprintf(env.Stdout, "# not enrolled yet\n")
		return nil
	}
	k, err := loadKeys(c.Data)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "# enrolled at %s; host key %s\n", m.Door.URL, ssh.FingerprintSHA256(k.host.PublicKey()))
	f, err := newFollower(c.Data, k, m, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if t := f.trust(); t.host != nil {
		until := time.Unix(int64(t.host.PublicKey().(*ssh.Certificate).ValidBefore), 0).UTC()
		fmt.Fprintf(env.Stdout, "# host certificate until %s\n", until.Format(time.RFC3339))
	}
	return nil
}
