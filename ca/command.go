package ca

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/keyfile"
	"github.com/sallyport-ssh/sallyport/ca/internal/people"
	"github.com/sallyport-ssh/sallyport/ca/internal/signer"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/policydir"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
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

// handler makes the log's handler; w may be nil to ask whether it could be made.
func (l Log) handler(w io.Writer) (slog.Handler, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return nil, config.At("level", "%q is none of debug, info, warn, error", l.Level)
	}
	switch options := (&slog.HandlerOptions{Level: level}); l.Format {
	case "text":
		return slog.NewTextHandler(w, options), nil
	case "json":
		return slog.NewJSONHandler(w, options), nil
	}
	return nil, config.At("format", "%q is none of text, json", l.Format)
}

type runCommand struct{ configFlag }

func (r runCommand) run(ctx context.Context, env cli.Env) error {
	c, err := r.load(env)
	if err != nil {
		return err
	}
	h, err := c.Log.handler(env.Stderr)
	if err != nil {
		return err
	}
	ca, err := Open(ctx, c, slog.New(h).With("part", "ca"))
	if err != nil {
		return err
	}
	defer ca.Close()
	return ca.Serve(ctx)
}

type initCommand struct {
	configFlag
	Keys           string `help:"Folder for the keys, in place of the configuration's." placeholder:"DIR"`
	PassphraseFile string `help:"File with the passphrase, in place of the configuration's; made if it does not exist." placeholder:"FILE"`
	Kind           string `help:"Kind of CA keys: ed25519 or p256." default:"ed25519" enum:"ed25519,p256"`
	Example        string `help:"Write an example configuration to FILE and make no keys." placeholder:"FILE"`
}

func (i initCommand) run(env cli.Env) error {
	if i.Example != "" {
		return writeExample(env, i.Example)
	}
	dir, file := i.Keys, i.PassphraseFile
	if dir == "" || file == "" {
		c, err := i.load(env)
		if err != nil {
			return err
		}
		if dir == "" {
			dir = c.Keys.Dir
		}
		if file == "" {
			file = c.Keys.PassphraseFile
		}
	}
	if err := makePassphrase(env, file); err != nil {
		return err
	}
	pass, err := keyfile.ReadPassphrase(file)
	if err != nil {
		return err
	}
	defer clear(pass)
	keys, err := signer.Init(dir, pass, signer.KeyKind(i.Kind))
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "Keys are in %s, encrypted under %s. Back up both, apart from each other.\n", dir, file)
	printKeys(env.Stdout, keys)
	return nil
}

// makePassphrase writes a random passphrase where there is no file.
func makePassphrase(env cli.Env, path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // it is read next, with its own errors
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make directory of the passphrase: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make passphrase file: %w", err)
	}
	_, err = f.WriteString(randomText() + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("make passphrase file: %w", err)
	}
	fmt.Fprintf(env.Stdout, "Made a random passphrase in %s.\n", path)
	return nil
}

type keysCommand struct {
	configFlag
	Keys       string `help:"Folder with the keys, in place of the configuration's." placeholder:"DIR"`
	Sshd       bool   `help:"The file for sshd_config's TrustedUserCAKeys." xor:"form"`
	KnownHosts bool   `help:"The @cert-authority lines for known_hosts." xor:"form"`
	JSON       bool   `help:"All of them, for scripts." name:"json" xor:"form"`
}

func (k keysCommand) run(env cli.Env) error {
	dir, names := k.Keys, []string{"*"}
	if dir == "" {
		c, err := k.load(env)
		if err != nil {
			return err
		}
		dir = c.Keys.Dir
		if len(c.Names) > 0 {
			names = c.Names
		}
	}
	keys, err := signer.ReadPublicKeys(dir)
	if err != nil {
		return err
	}
	switch {
	case k.Sshd:
		_, err = env.Stdout.Write(keys.TrustedUserCAKeys())
	case k.KnownHosts:
		_, err = env.Stdout.Write(keys.KnownHosts(names...))
	case k.JSON:
		e := json.NewEncoder(env.Stdout)
		e.SetIndent("", "  ")
		err = e.Encode(wire.Trust{Version: 1, UserCA: lines(keys.UserCA), SessionCA: lines(keys.SessionCA), HostCA: lines(keys.HostCA)})
	default:
		printKeys(env.Stdout, keys)
	}
	return err
}

func printKeys(w io.Writer, keys signer.PublicKeys) {
	for _, p := range []struct {
		name, about string
		profile     cert.Profile
	}{
		{"user CA", "signs login certificates; proxies trust it, no sshd ever does", cert.LoginProfile},
		{"session CA", "signs session certificates; nodes trust it (--sshd)", cert.SessionProfile},
		{"host CA", "signs host certificates; people trust it (--known-hosts)", cert.HostProfile},
	} {
		fmt.Fprintf(w, "%-10s  %s\n", p.name, p.about)
		for _, line := range lines(keys.Of(p.profile)) {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
}

type checkCommand struct{ configFlag }

// run prints the configuration as it counts, then everything that is wrong with
// what it names, so that one call is enough.
func (k checkCommand) run(env cli.Env) error {
	c, err := k.load(env)
	if err != nil {
		return err
	}
	if err := config.Print(env.Stdout, c); err != nil {
		return err
	}
	wrong := 0
	for _, err := range c.examine() {
		if err != nil {
			wrong++
			fmt.Fprintf(env.Stderr, "sallyport: %s\n", fault.Of(err).Show())
		}
	}
	if wrong > 0 {
		return &cli.Exit{Status: 1, Silent: true}
	}
	fmt.Fprintf(env.Stderr, "%s is good.\n", k.Config)
	return nil
}

// examine looks at the files that the configuration names. It opens no key and
// asks no issuer.
func (c *Config) examine() []error {
	_, errKeys := signer.ReadPublicKeys(c.Keys.Dir)
	_, errPass := keyfile.ReadPassphrase(c.Keys.PassphraseFile)
	_, errTLS := c.TLS.config()
	var errSecret, errPolicy error
	if f := c.OIDC.ClientSecretFile; f != "" {
		_, errSecret = config.ReadSecret(f)
	}
	if c.PolicyDir != "" {
		_, errPolicy = policydir.Read(c.PolicyDir)
	}
	return []error{errKeys, errPass, errTLS, errSecret, errPolicy}
}

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
	token, err := people.CreateToken(ctx, s, wire.NewJoinToken{
		Part: wire.Part(t.Part), Names: t.Name, Labels: t.Label, Uses: t.Uses, Seconds: t.For.Seconds(),
	}, "sallyport ca token", time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout, token.Secret)
	return nil
}
