//go:build !linux

package signer

import (
	"context"
	"errors"
	"net"
)

// The signer runs on Linux alone: only there can it be fenced in. The rest of
// the binary, the person's side, builds everywhere.
var errElsewhere = errors.New("the signer runs on Linux only")

func hide() error                                          { return errElsewhere }
func fence(listening bool) error                           { return errElsewhere }
func inherited() (net.Conn, error)                         { return nil, errElsewhere }
func listen(path string, peer uint32) (door, error)        { return nil, errElsewhere }
func startProcess(Config) (net.Conn, func() error, error)  { return nil, nil, errElsewhere }
func dialSocket(context.Context, Config) (net.Conn, error) { return nil, errElsewhere }
