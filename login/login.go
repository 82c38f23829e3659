// Package login is the person's side: `sallyport login`, logout, status and ls, and
// the two commands that ssh itself runs, check before it connects and connect to
// reach a proxy.
//
// # Promises
//
//   - The ID token's nonce commits to the login key, and every later call to the
//     CA is signed by it: nothing is stored that outlives the certificate but the
//     refresh token, which goes back to the issuer that gave it and nowhere else.
//   - Plain ssh needs nothing running. check and connect start in milliseconds;
//     with a fresh certificate neither of them calls the CA.
//   - Many ssh at once renew once, and open one browser.
//   - What the person had in ~/.ssh stays byte for byte, and logout leaves nothing
//     of ours.
//
// # What a CA may do to a laptop
//
// Whoever types a URL into `sallyport login` trusts what answers there with the
// ssh to the hosts that it names, and with nothing else: sshconf checks every name
// that goes into ssh's files, and a sign-in is only ever started in a browser, at
// an issuer whose host is printed first.
package login

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
	"github.com/sallyport-ssh/sallyport/login/internal/loginkey"
)

// Commands returns the commands by their names, for main's table of parts.
func Commands() map[string]cli.Run {
	return map[string]cli.Run{
		"login": loginCommand, "logout": logoutCommand, "status": statusCommand, "ls": lsCommand,
		"check": checkCommand, "connect": connectCommand,
	}
}

// person is one call of one of the commands.
type person struct {
	env cli.Env
	out io.Writer // what is said to the person
	dir home.Dir
	now func() time.Time
}

func newPerson(env cli.Env) (*person, error) {
	dir, err := home.Find(env.Getenv)
	if err != nil {
		return nil, err
	}
	return &person{env: env, out: env.Stdout, dir: dir, now: time.Now}, nil
}

func loginCommand(ctx context.Context, env cli.Env, args []string) error {
	var g struct {
		URL         string `arg:"" optional:"" help:"The CA, for example https://access.example.com. Remembered after the first time."`
		Device      bool   `xor:"flow" help:"Sign in on another device, by a short code."`
		NoBrowser   bool   `xor:"flow" help:"Open no browser: print the address, to be opened in any browser on this machine."`
		IDTokenFile string `xor:"flow" placeholder:"PATH" help:"For workloads: take the ID token from a file. Renewals read it again."`
		IDTokenEnv  string `xor:"flow" placeholder:"NAME" help:"For workloads: take the ID token from the environment variable of this name."`
		Key         string `xor:"key" placeholder:"PATH" help:"Use this security key; PATH is the private file that ssh-keygen made."`
		SecurityKey bool   `xor:"key" help:"Use the security key that is plugged in."`
	}
	if _, err := cli.Parse(env, "sallyport login", "Sign in, and set up ssh. Every later ssh renews by itself while your SSO session lives.", &g, args); err != nil {
		return err
	}
	p, err := newPerson(env)
	if err != nil {
		return err
	}
	lock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	o := choices{url: g.URL, tokenEnv: g.IDTokenEnv, securityKey: g.SecurityKey}
	if g.IDTokenFile != "" {
		if o.tokenFile, err = filepath.Abs(g.IDTokenFile); err != nil {
			return fmt.Errorf("find ID token: %w", err)
		}
	}
	if g.Key != "" {
		if o.key, err = filepath.Abs(strings.TrimSuffix(g.Key, ".pub")); err != nil {
			return fmt.Errorf("find key: %w", err)
		}
	}
	switch {
	case g.Device:
		o.flow = flowDevice
	case g.NoBrowser:
		o.flow = flowAddress
	}
	if err := p.signIn(ctx, o); err != nil {
		return err
	}
	return p.include()
}

// lock waits for whoever else changes our files, and says so.
func (p *person) lock(ctx context.Context) (*home.Lock, error) {
	l, err := p.dir.Lock(ctx, func() {
		fmt.Fprintln(p.env.Stderr, "Waiting for another sallyport that is logging in or renewing ...")
	})
	if ctx.Err() != nil {
		return nil, fault.New(fault.Unavailable, fault.SignInEnded, "another sallyport is still logging in").Then("finish it, or end it with Ctrl-C")
	}
	return l, err
}

// agent is the person's ssh-agent; Close it. It may be nil.
func (p *person) agent() *loginkey.Agent { return loginkey.Dial(p.env.Getenv) }

// program is the path of this program as ssh should call it: the one in PATH if
// that is us, because a package manager's upgrade may remove the file behind it.
func program() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find our own path: %w", err)
	}
	found, err := exec.LookPath("sallyport")
	if err != nil {
		return self, nil
	}
	if found, err = filepath.Abs(found); err == nil && sameFile(found, self) {
		return found, nil
	}
	return self, nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
