package proxy

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sallyport-ssh/sallyport/internal/cli"
)

// child runs `sallyport proxy` in a process of its own, for tests that kill it.
func child() int {
	env := cli.OS()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return cli.Report(env, Main(ctx, env, os.Args[1:]))
}
