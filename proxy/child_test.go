package proxy

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/sallyport-ssh/sallyport/internal/cli"
)

// child runs `sallyport proxy` in a process of its own, for tests that kill it.
// With SALLYPORT_TEST_FILES none of its files can grow beyond so many bytes, as
// on a full disk (EFBIG in place of ENOSPC).
func child() int {
	env := cli.OS()
	if text := os.Getenv("SALLYPORT_TEST_FILES"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		signal.Ignore(syscall.SIGXFSZ)
		if err == nil {
			err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return cli.Report(env, Main(ctx, env, os.Args[1:]))
}
