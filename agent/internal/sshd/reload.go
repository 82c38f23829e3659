package sshd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// systemdRuns exists where systemd is process 1 (sd_booted(3)).
const systemdRuns = "/run/systemd/system"

// units under which distributions run sshd.
var units = []string{"ssh.service", "sshd.service"}

// Times of a reload.
const (
	reloadLimit = 15 * time.Second
	reloadPause = 20 * time.Millisecond
)

// Reload has the running sshd read its configuration again, and returns when it
// has. Sessions go on.
//
// The caller has tested the configuration: sshd ends when it reads one that is
// broken. In this order: the configured command; systemd's unit; SIGHUP to the
// process in PidFile. Where sshd is started for each connection (a systemd
// socket) there is nothing to reload.
func (p Program) Reload(ctx context.Context) error {
	e, err := p.Effective(ctx, p.Config, "")
	if err != nil {
		return err
	}
	pidFile := e.One("pidfile")
	before, running := os.Stat(pidFile)
	if err := p.tell(ctx, pidFile); err != nil {
		return err
	}
	if running != nil {
		return nil // it writes no PidFile, or was not running
	}
	// All of these are done when the signal is sent. Until sshd has started
	// itself anew, the old one answers connections. It removes the PidFile then,
	// and writes it again when it listens (sshd.c, sighup_restart).
	ctx, cancel := context.WithTimeout(ctx, reloadLimit)
	defer cancel()
	for {
		if now, err := os.Stat(pidFile); err == nil && !(os.SameFile(before, now) && before.ModTime().Equal(now.ModTime())) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, fault.ConfigInvalid, "sshd was told to reload, and did not within %v", reloadLimit)
		case <-time.After(reloadPause):
		}
	}
}

func (p Program) tell(ctx context.Context, pidFile string) error {
	if len(p.Command) > 0 {
		return p.reloadBy(ctx, p.Command)
	}
	if unit := p.unit(ctx); unit != "" {
		return p.reloadBy(ctx, []string{"systemctl", "reload", unit})
	}
	pid, err := p.pid(pidFile)
	if err != nil {
		if exists(systemdRuns) {
			return nil // socket-activated: the next connection starts it
		}
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("reload sshd: %w", err)
	}
	return nil
}

func (p Program) reloadBy(ctx context.Context, command []string) error {
	if out, err := p.run(ctx, command[0], command[1:]...); err != nil {
		return fault.New(fault.Internal, fault.ConfigInvalid, "%s failed: %s", strings.Join(command, " "), words(out)).Because(err)
	}
	return nil
}

// unit is the active unit of systemd that runs this configuration, "" for none.
// A configuration elsewhere is run by somebody else.
func (p Program) unit(ctx context.Context) string {
	if !exists(systemdRuns) || filepath.Dir(p.Config) != "/etc/ssh" {
		return ""
	}
	for _, unit := range units {
		if _, err := p.run(ctx, "systemctl", "is-active", "--quiet", unit); err == nil {
			return unit
		}
	}
	return ""
}

// pid reads the process id in file and makes sure that it is sshd: the file
// outlives the process, and the number may be anybody's by now.
func (p Program) pid(file string) (int, error) {
	gone := fault.New(fault.Unavailable, fault.ConfigInvalid, "sshd does not run: %s names no process of it", file).
		Then("start sshd, or say with reload: in agent.yaml how it is reloaded")
	if file == "" || file == "none" {
		return 0, gone
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, gone.Because(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return 0, gone.Because(fmt.Errorf("it says %.20q", data))
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || strings.TrimSpace(string(name)) != "sshd" {
		return 0, gone.Because(fmt.Errorf("process %d is %q", pid, strings.TrimSpace(string(name))))
	}
	return pid, nil
}
