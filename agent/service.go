package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/sallyport-ssh/sallyport/deploy"
)

// The service is installed for the default places only; whoever has others has
// a supervisor of their own.
const (
	unitName    = "sallyport-agent.service"
	unitPath    = "/etc/systemd/system/" + unitName
	systemdRuns = "/run/systemd/system" // exists where it does, sd_booted(3)
)

// service has systemd run the agent from now on.
func (e enrollCommand) service(ctx context.Context, n *node, say func(string, ...any)) error {
	defaults := Defaults()
	if n.config.Dir != defaults.Dir || n.config.SshdConfig != defaults.SshdConfig || e.NoService {
		return nil
	}
	if _, err := os.Stat(systemdRuns); err != nil {
		say("systemd does not run here: have sallyport agent run started at boot.")
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("install service: %w", err)
	}
	unit := strings.Replace(deploy.AgentUnit, "ExecStart="+deploy.Binary+" ", "ExecStart="+program+" ", 1)
	if !packaged() {
		if err := n.installer.Disk.Write(unitPath, []byte(unit), 0o644); err != nil {
			return err
		}
	}
	n.close() // the service takes the lock
	for _, args := range [][]string{{"daemon-reload"}, {"enable", "--now", unitName}} {
		if out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	say("%s runs, now and after every boot.", unitName)
	return nil
}

// packaged says whether a package brought the unit.
func packaged() bool {
	_, err := os.Stat("/usr/lib/systemd/system/" + unitName)
	return err == nil
}

// removeService ends the service that enrolment installed.
func removeService(ctx context.Context, say func(string, ...any)) error {
	if _, err := os.Stat(unitPath); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if out, err := exec.CommandContext(ctx, "systemctl", "disable", "--now", unitName).CombinedOutput(); err != nil {
		return fmt.Errorf("stop %s: %w: %s", unitName, err, out)
	}
	if err := os.Remove(unitPath); err != nil {
		return fmt.Errorf("remove %s: %w", unitPath, err)
	}
	say("%s is removed.", unitName)
	return nil
}
