// Package cli is the one voice of the command line: how a part is called, how
// its flags are read, and how its errors reach the person and the exit status.
//
// main.go holds the table of parts; each entry is a Run. A part parses only its
// own flags, so that `sallyport check`, which ssh runs before every connection,
// does not pay for the flags of the rest.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Env is the process around a command. Tests make their own.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
}

// Run carries out one command with the arguments after its name. It returns
// when ctx ends (the first SIGINT or SIGTERM) or the work is done.
type Run func(ctx context.Context, env Env, args []string) error

// OS is the real process.
func OS() Env {
	return Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
}

// IsTerminal says whether w is a terminal, and so may carry colour.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Exit is an error that carries its own exit status and, if Silent, has told
// the person already.
type Exit struct {
	Status int
	Silent bool
	Err    error
}

func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

func (e *Exit) Unwrap() error { return e.Err }

// errHelp ends a command whose help was printed.
var errHelp = errors.New("help was asked for")

// Parse reads args into grammar, a pointer to a kong struct, for the command
// called name ("sallyport proxy"). Usage errors are faults of kind Invalid; when
// help was asked for, it is printed and Parse returns an error that Report maps
// to status 0.
func Parse(env Env, name, about string, grammar any, args []string, options ...kong.Option) (*kong.Context, error) {
	helped := false
	options = append([]kong.Option{
		kong.Name(name), kong.Description(about),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	}, options...)
	k, err := kong.New(grammar, options...)
	if err != nil {
		return nil, fmt.Errorf("build flags of %s: %w", name, err)
	}
	kctx, err := k.Parse(args)
	if helped {
		return nil, errHelp
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, fault.BadRequest, "%v", err).Then("see: %s --help", name)
	}
	return kctx, nil
}

// Report prints err as a person should see it and returns the exit status:
// 0 for nil and help, 2 for bad usage, the status of an Exit, else 1.
func Report(env Env, err error) int {
	if err == nil || errors.Is(err, errHelp) {
		return 0
	}
	var exit *Exit
	if errors.As(err, &exit) && (exit.Silent || exit.Err == nil) {
		return exit.Status
	}
	status := 1
	if exit != nil {
		status = exit.Status
	}
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		head := "sallyport: "
		if f.Kind == fault.Denied {
			head += "denied: "
		}
		fmt.Fprintf(env.Stderr, "%s%s\n", head, f.Show())
		if f.Kind == fault.Internal && f.Err != nil {
			fmt.Fprintf(env.Stderr, "  cause: %v\n", f.Err)
		}
		if f.Kind == fault.Invalid && exit == nil {
			status = 2
		}
	default:
		fmt.Fprintf(env.Stderr, "sallyport: %v\n", err)
	}
	return status
}
