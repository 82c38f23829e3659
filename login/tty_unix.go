//go:build !windows

package login

// ttyPath is the terminal of this process, if it has one.
const ttyPath = "/dev/tty"
