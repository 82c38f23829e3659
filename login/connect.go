package login

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/preamble"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// dialLimit is how long one proxy has to accept, before the next is tried.
const dialLimit = 3 * time.Second

// connectCommand is ssh's ProxyCommand: `sallyport connect %h %p %r`. It reaches
// the first proxy that answers, tells it in one line what is wanted, and hands
// the connection to ssh. It calls neither the CA nor the issuer, and starts as
// fast as a process does: Ansible runs many at once.
func connectCommand(ctx context.Context, env cli.Env, args []string) error {
	// 1. What is wanted. A node has one sshd, whatever port was typed.
	if len(args) != 3 {
		return fault.New(fault.Invalid, fault.BadRequest, "connect takes HOST PORT LOGIN: ssh runs it, as its ProxyCommand").
			Then("ProxyCommand sallyport connect %%h %%p %%r")
	}
	node, err := id.ParseNodeName(strings.ToLower(args[0]))
	if err != nil {
		return fault.New(fault.Invalid, fault.BadRequest, "%v", err)
	}
	login, err := id.ParseLogin(args[2])
	if err != nil {
		return fault.New(fault.Invalid, fault.BadRequest, "%v", err)
	}

	// 2. By what right.
	p, err := newPerson(env)
	if err != nil {
		return err
	}
	c, err := p.certificate()
	if err != nil {
		return err
	}
	if c.at(p.now()) == over {
		return fault.New(fault.Unauthentic, fault.CertificateExpired, "your certificate ended at %s", until(c.to, p.now())).Then("run: sallyport login")
	}
	s, err := p.dir.LoadState()
	if err != nil {
		return err
	}

	// 3. The connection.
	conn, err := dialProxy(ctx, s.Discovery.Proxies)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := preamble.Write(conn, preamble.Preamble{Node: node, Login: login, Certificate: c.Marshal()}); err != nil {
		return fault.New(fault.Unavailable, fault.ProxyAway, "the proxy hung up").Because(err)
	}
	if passed, err := passConn(env.Stdin, env.Stdout, conn); passed || err != nil {
		return err
	}
	return relay(ctx, conn, env.Stdin, env.Stdout)
}

// dialProxy tries the proxies in the CA's order of preference.
func dialProxy(ctx context.Context, proxies []wire.ProxyAddr) (*net.TCPConn, error) {
	var tried []string
	var last error
	for _, proxy := range proxies {
		dialer := net.Dialer{Timeout: dialLimit} // tries IPv6 and IPv4 side by side
		conn, err := dialer.DialContext(ctx, "tcp", proxy.Addr)
		if err == nil {
			return conn.(*net.TCPConn), nil
		}
		if ctx.Err() != nil {
			return nil, &cli.Exit{Status: 130, Silent: true}
		}
		tried, last = append(tried, proxy.Addr), err
	}
	if len(tried) == 0 {
		return nil, fault.New(fault.Unavailable, fault.ProxyAway, "the CA knew of no proxy at your last login").Then("run: sallyport login")
	}
	return nil, fault.New(fault.Unavailable, fault.ProxyAway, "no proxy answers (tried %s)", strings.Join(tried, ", ")).
		Then("is the network up? A new login learns of new proxies: sallyport login").Because(last)
}

// relay copies both ways until the proxy has sent everything. The end of in is
// passed on as a half-close, because the other side may still have much to say.
//
// A read of in cannot be interrupted; it ends with the process.
func relay(ctx context.Context, conn *net.TCPConn, in io.Reader, out io.Writer) error {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	go func() {
		if _, err := io.Copy(conn, in); err == nil {
			conn.CloseWrite()
		}
	}()
	if _, err := io.Copy(out, conn); err != nil && ctx.Err() == nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}
