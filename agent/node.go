package agent

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/sallyport-ssh/sallyport/agent/internal/install"
	"github.com/sallyport-ssh/sallyport/agent/internal/sshd"
	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// node is this machine: its sshd, the agent's files, and the way to the CA.
type node struct {
	config    Config
	log       *slog.Logger
	program   sshd.Program
	version   sshdconf.Version
	installer *install.Installer

	lock *os.File // held while the process may change files; nil for those that only look
}

// purpose is what a node is opened for.
type purpose int

const (
	looking  purpose = iota // changes nothing
	changing                // takes the lock that lets one process at a time change files
	running                 // changing, for as long as the node is up
)

// openNode finds sshd.
func (p places) openNode(ctx context.Context, env cli.Env, why purpose) (*node, error) {
	c, err := p.load()
	if err != nil {
		return nil, err
	}
	log, err := c.logger(env, why != running)
	if err != nil {
		return nil, err
	}
	path, err := sshd.Find(c.Sshd)
	if err != nil {
		return nil, err
	}
	config, err := filepath.EvalSymlinks(c.SshdConfig) // a rename would replace the link
	if err != nil {
		return nil, fault.New(fault.Missing, fault.ConfigInvalid, "there is no %s", c.SshdConfig).
			Then("name sshd's configuration with --sshd-config").Because(err)
	}
	n := &node{config: c, log: log, program: sshd.Program{Path: path, Config: config, Command: c.Reload, Addr: c.Listen}}
	if n.version, err = n.program.Version(ctx); err != nil {
		return nil, err
	}
	if !n.version.AtLeast(sshdconf.Oldest) {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "sshd %s has no Include; the agent works with %s and later", n.version, sshdconf.Oldest).
			Then("use this node without an agent: sallyport node add")
	}
	n.installer = &install.Installer{Dir: c.Dir, Config: config, DropIn: c.DropIn, Sshd: n.program, Disk: install.OS{}, Log: log}
	if why != looking {
		if err := n.take(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// take locks the agent's directory for this process.
func (n *node) take() error {
	if err := n.installer.Disk.Mkdir(n.config.Dir); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(n.config.Dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock %s: %w", n.config.Dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return fault.New(fault.Conflict, fault.ConfigInvalid, "an agent runs in %s", n.config.Dir).
			Then("stop it first: systemctl stop sallyport-agent").Because(err)
	}
	n.lock = f
	return nil
}

// locked says whether a process holds the lock.
func (n *node) locked() bool {
	f, err := os.Open(filepath.Join(n.config.Dir, lockName))
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

// close gives the lock back, also where a child process has a copy of it that it
// has not closed yet.
func (n *node) close() {
	if n.lock != nil {
		syscall.Flock(int(n.lock.Fd()), syscall.LOCK_UN)
		n.lock.Close()
		n.lock = nil
	}
}

// client speaks to the CA as this node.
func (n *node) client(door wire.PartsDoor) (*wire.Client, error) {
	identity, err := wire.LoadIdentity(filepath.Join(n.config.Dir, identityFile))
	if err != nil {
		return nil, err
	}
	return wire.NewPartsClient(door, identity)
}

// strict asks sshd whether certificates are the only way in.
func (n *node) strict(ctx context.Context) (bool, error) {
	e, err := n.program.Effective(ctx, n.program.Config, "")
	return err == nil && isStrict(e), err
}

// commandUser runs AuthorizedPrincipalsCommand: somebody who owns nothing, or,
// for an sshd without root, the only one who can.
func (n *node) commandUser() (string, error) {
	if os.Geteuid() == 0 {
		return "nobody", nil
	}
	me, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("who runs sshd: %w", err)
	}
	return me.Username, nil
}

// pairs prints labels in the order of their names.
func pairs(labels map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, name+"="+labels[name])
	}
	return strings.Join(list, " ")
}
