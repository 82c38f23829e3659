// Sallyport is a zero-trust SSH certificate authority with a recording proxy.
// One binary; the first argument is the part. This package is the table of parts
// and their wiring, and holds no logic.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/login"
	"github.com/sallyport-ssh/sallyport/login/admin"
	"github.com/sallyport-ssh/sallyport/login/audit"
	"github.com/sallyport-ssh/sallyport/login/recordings"
	"github.com/sallyport-ssh/sallyport/login/sessions"
)

// version is set by the linker at release.
var version = "dev"

// part is one row of the table: what `sallyport name` does.
type part struct {
	name, about string
	run         cli.Run
}

// chapter is a group of parts under one heading of the help.
type chapter struct {
	title string
	parts []part
}

// book is the table of parts, in the order in which help lists them.
func book() []chapter {
	person, admins, auditors := login.Commands(), admin.Commands(login.Connect), sessions.Commands(login.Connect)
	evidence := recordings.Commands(login.Connect)
	return append([]chapter{
		{"You", []part{
			{"login", "sign in, and set up ssh", person["login"]},
			{"status", "who you are here, and until when", person["status"]},
			{"ls", "the nodes that you may reach, and as whom", person["ls"]},
			{"logout", "take everything of Sallyport off this machine", person["logout"]},
		}},
		{"Admins and auditors", []part{
			{"policy", "apply, show and explain who may do what", admins["policy"]},
			{"node", "list, add, change and remove nodes", admins["node"]},
			{"token", "make the tokens by which nodes and proxies join", admins["token"]},
			{"sessions", "list, show, play and export what was recorded", auditors["sessions"]},
			{"play", "play a recorded session", auditors["play"]},
			{"audit", "list the audit log, keep a copy of it, and verify it", audit.Commands(login.Connect)["audit"]},
			{"recording", "verify and export the evidence of a session", evidence["recording"]},
		}},
		{"What ssh runs", []part{
			{"check", "renew the certificate if it has to be", person["check"]},
			{"connect", "open a connection to the proxy for ssh", person["connect"]},
		}},
	}, servers()...)
}

func main() {
	env := cli.OS()
	// The first signal asks the part to end in good order; the second one has its
	// default effect.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Report(env, dispatch(ctx, env, os.Args[1:])))
}

func dispatch(ctx context.Context, env cli.Env, args []string) error {
	if len(args) == 0 {
		help(env.Stderr)
		return &cli.Exit{Status: 2, Silent: true}
	}
	for _, c := range book() {
		for _, p := range c.parts {
			if p.name == args[0] {
				return p.run(ctx, env, args[1:])
			}
		}
	}
	switch args[0] {
	case "help", "--help", "-h":
		help(env.Stdout)
		return nil
	case "version", "--version":
		fmt.Fprintln(env.Stdout, "sallyport", version)
		return nil
	}
	return fault.New(fault.Invalid, fault.BadRequest, "there is no command %q", args[0]).Then("see: sallyport help")
}

func help(w io.Writer) {
	fmt.Fprintln(w, "Usage: sallyport COMMAND [--help]")
	for _, c := range book() {
		fmt.Fprintf(w, "\n%s\n", c.title)
		for _, p := range c.parts {
			fmt.Fprintf(w, "  %-9s %s\n", p.name, p.about)
		}
	}
}
