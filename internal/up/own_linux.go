package up

import (
	"os/exec"
	"syscall"
)

// own ties the child's life to ours, in a process group of its own, so that a
// Ctrl-C at the terminal reaches it through end and not at once.
func own(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
