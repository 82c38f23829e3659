package ca

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func testSignals() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}
