// Package admin holds the commands by which admins keep policy, nodes and join
// tokens: `sallyport policy`, `sallyport node` and `sallyport token`.
//
// Each command is a few calls to the CA and a calm page of text; with --json it
// prints what the CA said instead. The CA alone decides who is an admin and what
// is legal; what is checked here is checked to answer sooner and closer to the
// line.
//
// # Security model
//
// What the CA returns was partly said by nodes, and a node may have been taken
// over: nothing of it reaches the terminal unless it is printable. The secret of
// a join token is printed once, on standard output, because that is what was
// asked for; it is in no error and no log. A host key that was fetched over the
// network is pinned only after a person, or a fingerprint that came another way,
// has vouched for it.
package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Connect returns a client whose requests are proven by the admin's login, or
// says how to log in.
type Connect func(context.Context, cli.Env) (*wire.Client, error)

// Commands returns the commands by their names, for main's table of parts.
func Commands(connect Connect) map[string]cli.Run {
	a := admin{connect}
	return map[string]cli.Run{"policy": a.policy, "node": a.node, "token": a.token}
}

// admin is what all commands have in common.
type admin struct {
	connect Connect
}

// call makes one request on a fresh client.
func (a admin) call(ctx context.Context, env cli.Env, method, path string, in, out any) error {
	client, err := a.connect(ctx, env)
	if err != nil {
		return err
	}
	return client.Do(ctx, method, path, in, out)
}

// remove deletes what the names stand for, in their order, up to the first that
// the CA refuses.
func (a admin) remove(ctx context.Context, env cli.Env, path string, names []string, o output) error {
	client, err := a.connect(ctx, env)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := client.Do(ctx, http.MethodDelete, fill(path, name), nil, nil); err != nil {
			return err
		}
		if !o.JSON {
			fmt.Fprintf(env.Stdout, "Removed %s.\n", printable(name))
		}
	}
	return o.show(env.Stdout, map[string][]string{"removed": names}, func(io.Writer) {})
}

// fill puts value into a path's one {placeholder}.
func fill(path, value string) string {
	before, rest, _ := strings.Cut(path, "{")
	_, after, _ := strings.Cut(rest, "}")
	return before + url.PathEscape(value) + after
}

// output is how a command answers.
type output struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// show prints v as JSON if that was asked for, or else calls people.
func (o output) show(w io.Writer, v any, people func(io.Writer)) error {
	if !o.JSON {
		people(w)
		return nil
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

// badUsage is for flags that kong could not judge.
func badUsage(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, fault.BadRequest, format, args...)
}

// labels reads name=value flags.
func labels(flags []string) (map[string]string, error) {
	m := make(map[string]string, len(flags))
	for _, flag := range flags {
		name, value, ok := strings.Cut(flag, "=")
		if !ok || name == "" || value == "" {
			return nil, badUsage("label %q is not name=value", flag)
		}
		if _, twice := m[name]; twice {
			return nil, badUsage("label %s is given twice", name)
		}
		m[name] = value
	}
	return m, nil
}
