// Package sshd is the sshd program that runs on this node, seen from outside: it
// tests a configuration, says what one means, reads its own again, and answers a
// connection.
//
// # Promises
//
// Nothing here changes a file. A signal goes only to a process that is seen to
// be sshd. Whether a running sshd has taken a configuration up is never
// concluded from a command's success, but from a connection in which it proves
// its host key by the very certificate that it should have (Probe).
package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// commandLimit bounds one run of sshd or systemctl.
const commandLimit = 20 * time.Second

// Program is sshd as it is installed.
type Program struct {
	Path    string   // absolute: sshd runs itself again by it
	Config  string   // the configuration of the running one
	Command []string // reloads it; none finds out how
	Addr    string   // where it answers on this machine; "" takes it from Config
}

// places where distributions keep sshd.
var places = []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"}

// Find returns the path of sshd. given is what was configured, "" for none.
func Find(given string) (string, error) {
	look := places
	if given != "" {
		if !filepath.IsAbs(given) {
			return "", fault.New(fault.Invalid, fault.ConfigInvalid, "sshd's path %q is not absolute", given)
		}
		look = []string{given}
	}
	for _, path := range look {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fault.New(fault.Missing, fault.ConfigInvalid, "there is no sshd at %s", strings.Join(look, ", ")).
		Then("install openssh-server, or name the program with sshd: in agent.yaml")
}

// Version asks sshd which OpenSSH it is.
func (p Program) Version(ctx context.Context) (sshdconf.Version, error) {
	out, runErr := p.run(ctx, p.Path, "-V")
	v, err := sshdconf.ParseVersion(out)
	if err != nil {
		return v, fmt.Errorf("ask %s for its version: %w", p.Path, errors.Join(err, runErr))
	}
	return v, nil
}

// Test has sshd read the configuration at path and its host keys. The text of
// a fault is sshd's own words, which name file and line.
func (p Program) Test(ctx context.Context, path string) error {
	out, err := p.run(ctx, p.Path, "-t", "-f", path)
	if err == nil {
		return nil
	}
	return fault.New(fault.Invalid, fault.ConfigInvalid, "sshd refuses the configuration: %s", words(out)).Because(err)
}

// Effective asks what the configuration at path means for connections that no
// Match block fits, or, given sshd's test specification ("user=root,..."), for
// one that some may.
func (p Program) Effective(ctx context.Context, path, connection string) (sshdconf.Effective, error) {
	args := []string{"-T", "-f", path}
	if connection != "" {
		args = append(args, "-C", connection)
	}
	out, err := p.run(ctx, p.Path, args...)
	if err != nil {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "sshd refuses the configuration: %s", words(out)).Because(err)
	}
	return sshdconf.ParseEffective(out), nil
}

// run returns what was printed on both streams.
func (p Program) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return out, fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return out, nil
}

// words is a program's complaint on one line of bearable length.
func words(out []byte) string {
	text := strings.Join(strings.FieldsFunc(string(bytes.TrimSpace(out)), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	if len(text) > 400 {
		text = text[:400] + " ..."
	}
	if text == "" {
		text = "it gave no reason"
	}
	return text
}

// exists says whether path is there; what cannot be seen is not.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && err == nil
}
