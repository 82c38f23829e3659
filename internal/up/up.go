// Package up is `sallyport up`: a CA with its signer and a proxy on one machine,
// with SQLite and local files, from one directory and one command.
//
// It is wiring only. At the first start it writes the directory: a passphrase,
// the CA's keys, ca.yaml and proxy.yaml as an operator would have written them.
// After that it starts `sallyport ca run` and `sallyport proxy run` as children,
// says where things are, and ends both when it is told to, or when one of them
// ends. Growing out of it means taking the two files and starting the parts
// elsewhere; nothing in them is peculiar to up.
package up

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// flags are asked for at the first start; afterwards the files count.
type flags struct {
	Dir      string   `help:"Where keys, database, recordings and configuration are." default:"sallyport-data" type:"path"`
	Issuer   string   `help:"OIDC issuer that signs people in (first start)."`
	ClientID string   `help:"Client id of sallyport there (first start)." default:"sallyport"`
	Admin    []string `help:"Group of admins, or an identity with an @ (first start)."`
	URL      string   `help:"Address of the CA for people (first start)." default:"http://127.0.0.1:8440"`
	Parts    string   `help:"Address of the CA for agents and proxies (first start)." default:"127.0.0.1:8441"`
	Listen   string   `help:"Where that door listens (first start)." default:"127.0.0.1:8440"`
	SSH      string   `help:"Address of the proxy (first start)." default:"127.0.0.1:8022"`
}

// Main runs `sallyport up`.
func Main(ctx context.Context, env cli.Env, args []string) error {
	var f flags
	if _, err := cli.Parse(env, "sallyport up", "Run CA, signer and proxy on this machine, with SQLite and local files.", &f, args); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find my own program: %w", err)
	}
	u := &installation{flags: f, self: self, env: env}
	if err := u.prepare(ctx); err != nil {
		return err
	}
	return u.run(ctx)
}

// installation is one directory and what runs from it.
type installation struct {
	flags
	self string
	env  cli.Env
}

func (u *installation) path(name ...string) string {
	return filepath.Join(append([]string{u.Dir}, name...)...)
}

// run starts the children in the order in which they need each other.
func (u *installation) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	at, err := u.remember()
	if err != nil {
		return err
	}
	ca := u.child("ca", "run", "--config", u.path("ca.yaml"))
	if err := ca.start(); err != nil {
		return err
	}
	defer ca.end()
	client, err := wire.NewClient(at.URL)
	if err != nil {
		return err
	}
	if err := ca.ready(ctx, at.URL, func() bool {
		return client.Do(ctx, http.MethodGet, wire.PathHealth, nil, nil) == nil
	}); err != nil {
		return err
	}
	token, err := u.proxyToken(ctx)
	if err != nil {
		return err
	}
	if token != "" {
		defer os.Remove(token)
	}
	proxy := u.child("proxy", "run", "--config", u.path("proxy.yaml"))
	if err := proxy.start(); err != nil {
		return err
	}
	defer proxy.end()
	if err := proxy.ready(ctx, at.SSH, func() bool {
		conn, err := net.DialTimeout("tcp", at.SSH, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}); err != nil {
		return err
	}
	u.welcome(at.URL)

	select {
	case <-ctx.Done():
		return nil
	case err = <-ca.done:
		ca.done <- err
		err = fmt.Errorf("the CA ended: %v", err)
	case err = <-proxy.done:
		proxy.done <- err
		err = fmt.Errorf("the proxy ended: %v", err)
	}
	return fault.New(fault.Internal, fault.InternalError, "%v", err).Then("its log above says why")
}

func (u *installation) welcome(url string) {
	fmt.Fprintf(u.env.Stdout, `Sallyport is up. Everything is in %s; Ctrl-C ends it.
  sign in          sallyport login %s
  say who may do what
                   sallyport policy apply -f FILE
  add a node       sallyport token create --part agent --name NODE
                   then on the node, as root: sallyport agent enroll --ca %s --token ...
`, u.Dir, url, url)
}

// child is a part that runs as a process of its own.
type child struct {
	cmd  *exec.Cmd
	done chan error // holds the result once it ended
}

func (u *installation) child(args ...string) *child {
	cmd := exec.Command(u.self, args...)
	cmd.Stdout, cmd.Stderr = u.env.Stderr, u.env.Stderr
	own(cmd)
	return &child{cmd: cmd, done: make(chan error, 1)}
}

func (c *child) start() error {
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.cmd.Args[1], err)
	}
	go func() { c.done <- c.cmd.Wait() }()
	return nil
}

// ready waits until the child answers at addr, or ended.
func (c *child) ready(ctx context.Context, addr string, answers func() bool) error {
	part := c.cmd.Args[1]
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if answers() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-c.done:
			c.done <- err
			return fault.New(fault.Internal, fault.InternalError, "the %s did not start", part).Then("its log above says why").Because(err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fault.New(fault.Unavailable, fault.CAAway, "the %s does not answer at %s", part, addr).Then("is its port taken by something else?")
}

// end asks the child to end and waits: a proxy drains, a CA finishes what it
// answers. A second interrupt of the person ends this process, and the kernel
// takes the children along.
func (c *child) end() {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.cmd.Process.Kill()
	}
	<-c.done
}

// call runs a command of this program to its end and gives what it printed.
func (u *installation) call(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, u.self, args...)
	cmd.Stderr = u.env.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("sallyport %s %s: %w", args[0], args[1], err)
	}
	return string(out), nil
}
