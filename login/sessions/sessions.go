// Package sessions is what an auditor does with recordings: list sessions, show
// what one was about, play it, and export it for other programs.
//
// A recorded node may have been hostile, and its output with it. What is printed
// about a session is quoted; what is played on a terminal keeps its colours and
// cursor movements, and loses what would command the auditor's terminal beyond
// its screen or make it answer (guard.go). Everything else writes bytes as they
// were recorded.
package sessions

import (
	"context"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Connect returns a client of the people's door with the person's proof.
type Connect func(context.Context, cli.Env) (*wire.Client, error)

// Commands are the commands by name: "sessions", with ls, show, play, export, hold
// and release below it, and "play".
func Commands(connect Connect) map[string]cli.Run {
	return map[string]cli.Run{
		"sessions": func(ctx context.Context, env cli.Env, args []string) error {
			var g grammar
			k, err := cli.Parse(env, "sallyport sessions", "List, show, search, play and export recorded sessions.", &g, args)
			if err != nil {
				return err
			}
			return k.Run(&call{ctx: ctx, env: env, connect: connect, now: time.Now()})
		},
		"play": func(ctx context.Context, env cli.Env, args []string) error {
			var c playCommand
			if _, err := cli.Parse(env, "sallyport play", "Play a recorded session.", &c, args); err != nil {
				return err
			}
			return c.Run(&call{ctx: ctx, env: env, connect: connect, now: time.Now()})
		},
	}
}

type grammar struct {
	LS     lsCommand     `cmd:"" name:"ls" help:"List sessions, newest first."`
	Show   showCommand   `cmd:"" help:"Show what a session was about: channels, commands, sizes, exit statuses, forwards."`
	Play   playCommand   `cmd:"" help:"Play a session on this terminal."`
	Export exportCommand `cmd:"" help:"Write a session for other programs."`

	Search  searchCommand  `cmd:"" help:"Find what was typed, run, printed or copied in sessions."`
	Hold    holdCommand    `cmd:"" help:"Keep a session's recording from being deleted, whatever its retention."`
	Release releaseCommand `cmd:"" help:"End a hold."`
}

// call is one call of a command.
type call struct {
	ctx     context.Context
	env     cli.Env
	connect Connect
	now     time.Time
	opener  recording.Opener // of the person, or of the CA; nil: none yet
}
