// Sallyport is a zero-trust SSH certificate authority with a recording proxy.
// One binary; the first argument is the part. This file is the table of parts
// and holds no logic.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sallyport-ssh/sallyport/internal/cli"
)

// version is set by the linker at release.
var version = "dev"

type part struct {
	name, about string
	run         cli.Run
}

// people are the commands of the person's side, admins' and auditors' among
// them.
var people = []part{}

// parts in the order in which help lists them.
func parts() []part { return append(append([]part{}, servers...), people...) }

func main() {
	env := cli.OS()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := cli.Report(env, dispatch(ctx, env, os.Args[1:]))
	stop()
	os.Exit(status)
}

func dispatch(ctx context.Context, env cli.Env, args []string) error {
	if len(args) > 0 {
		for _, p := range parts() {
			if p.name == args[0] {
				return p.run(ctx, env, args[1:])
			}
		}
	}
	fmt.Fprintf(env.Stderr, "sallyport %s\n", version)
	for _, p := range parts() {
		fmt.Fprintf(env.Stderr, "  %-10s %s\n", p.name, p.about)
	}
	return &cli.Exit{Status: 2, Silent: true}
}
