//go:build !windows

package sshconf

import (
	"io/fs"
	"os"
	"syscall"
)

// ownedByUs: a file that is replaced becomes ours, and its owner could not read
// it any more.
func ownedByUs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
