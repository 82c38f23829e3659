package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

type tokenFlags struct {
	Create createFlags   `cmd:"" help:"Make a join token for an agent or a proxy."`
	Ls     listFlags     `cmd:"" help:"List the join tokens, without their secrets."`
	Rm     rmTokensFlags `cmd:"" help:"Take join tokens back; what has enrolled stays."`
}

type createFlags struct {
	Part  string          `enum:"agent,proxy" default:"agent" help:"What may enrol with it: agent or proxy."`
	Name  []string        `required:"" sep:"none" placeholder:"PATTERN" help:"The names that it may take, as in web-*."`
	Label []string        `sep:"none" placeholder:"NAME=VALUE" help:"Labels that the node gets; it cannot choose others."`
	Uses  int             `default:"1" help:"How many may enrol with it."`
	TTL   config.Duration `name:"ttl" default:"1h" help:"How long it may be used."`
	output
}

type rmTokensFlags struct {
	IDs []string `arg:"" name:"id" help:"The tokens, as token ls names them."`
	output
}

func (a admin) token(ctx context.Context, env cli.Env, args []string) error {
	var flags tokenFlags
	parsed, err := cli.Parse(env, "sallyport token", "What lets agents and proxies enrol.", &flags, args)
	if err != nil {
		return err
	}
	switch name, _, _ := strings.Cut(parsed.Command(), " "); name {
	case "create":
		return a.createToken(ctx, env, flags.Create)
	case "ls":
		return a.listTokens(ctx, env, flags.Ls)
	default:
		return a.removeTokens(ctx, env, flags.Rm)
	}
}

func (a admin) createToken(ctx context.Context, env cli.Env, flags createFlags) error {
	request := wire.NewJoinToken{Part: wire.Part(flags.Part), Names: flags.Name, Uses: flags.Uses, Seconds: flags.TTL.Seconds()}
	var err error
	if request.Labels, err = labels(flags.Label); err != nil {
		return err
	}
	if request.Uses < 1 || request.Seconds < 1 {
		return badUsage("a token is good for at least one use and one second")
	}
	client, err := a.connect(ctx, env)
	if err != nil {
		return err
	}
	var token wire.JoinTokenSecret
	if err := client.Do(ctx, http.MethodPost, wire.PathAdminTokens, request, &token); err != nil {
		return err
	}
	return flags.show(env.Stdout, token, func(w io.Writer) { printToken(w, token, client.URL(), time.Now()) })
}

func printToken(w io.Writer, t wire.JoinTokenSecret, url string, now time.Time) {
	with := ""
	if len(t.Labels) > 0 {
		with = " with " + pairs(t.Labels)
	}
	fmt.Fprintf(w, "For %s named %s%s, until %s. It is shown this once.\n\n", count(t.Uses, string(t.Part)),
		printable(strings.Join(t.Names, " or ")), printable(with), when(t.Expires, now))
	if t.Part == wire.PartAgent {
		fmt.Fprintf(w, "  curl -fsS %s/install | sudo sh -s -- --token %s\n", url, printable(t.Secret))
		return
	}
	fmt.Fprintf(w, "  %s\n\nStore it, chmod 600, in the file that the proxy's configuration names as token_file.\n", printable(t.Secret))
}

func (a admin) listTokens(ctx context.Context, env cli.Env, flags listFlags) error {
	var tokens []wire.JoinToken
	if err := a.call(ctx, env, http.MethodGet, wire.PathAdminTokens, nil, &tokens); err != nil {
		return err
	}
	tokens = append([]wire.JoinToken{}, tokens...) // a script reads [], not null
	return flags.show(env.Stdout, tokens, func(w io.Writer) { printTokens(w, tokens, time.Now()) })
}

func printTokens(w io.Writer, tokens []wire.JoinToken, now time.Time) {
	if len(tokens) == 0 {
		fmt.Fprintln(w, "No join tokens. Make one: sallyport token create --name NAME")
		return
	}
	slices.SortFunc(tokens, func(a, b wire.JoinToken) int { return strings.Compare(a.ID, b.ID) })
	t := newTable("TOKEN", "FOR", "NAMES", "LABELS", "USED", "UNTIL", "MADE BY")
	for _, k := range tokens {
		until := when(k.Expires, now)
		switch {
		case k.Expires <= now.Unix():
			until = "over"
		case k.Used >= k.Uses:
			until = "used up"
		}
		t.add(k.ID, string(k.Part), strings.Join(k.Names, " "), pairs(k.Labels), fmt.Sprintf("%d/%d", k.Used, k.Uses), until, k.Author)
	}
	t.print(w)
}

func (a admin) removeTokens(ctx context.Context, env cli.Env, flags rmTokensFlags) error {
	return a.remove(ctx, env, wire.PathAdminToken, flags.IDs, flags.output)
}
