package signin

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// stillWaiting is after how long a browser that nobody saw open is helped with
// the address.
const stillWaiting = 15 * time.Second

// Browser is the authorization code flow with PKCE (RFC 7636) on a loopback port
// (RFC 8252, section 7.3).
type Browser struct {
	PublicKey []byte    // the login key, to which the nonce commits
	Open      Opener    // nil prints the address only, for a browser on this machine
	Out       io.Writer // the person's terminal
}

// Browser signs the person in, and calls finish with the tokens while the browser
// still waits for its page: the page says what became of the whole login.
func (i *Issuer) Browser(ctx context.Context, b Browser, finish func(context.Context, Tokens) error) error {
	if i.config.Endpoint.AuthURL == "" || i.config.Endpoint.TokenURL == "" {
		return i.refusalCode("unauthorized_client")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, Limit, errLimit)
	defer cancel()

	// 1. The port. The number is the kernel's choice and stands in no
	// configuration; the issuer takes any on loopback.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fault.New(fault.Internal, fault.InternalError, "no port on 127.0.0.1 can be had for the browser's answer").
			Then("run: sallyport login --device").Because(err)
	}
	secret := random()
	back := newLoopback(l.Addr().String(), secret, i)
	server := &http.Server{Handler: back, ReadHeaderTimeout: callLimit}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		// The browser gets its page, if it still wants it.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(end) != nil {
			server.Close()
		}
		<-served
	}()

	// 2. The browser.
	config := i.config
	config.RedirectURL = "http://" + l.Addr().String() + callbackPath
	salt := make([]byte, wire.NonceSaltSize)
	rand.Read(salt) // never fails since Go 1.24
	verifier := oauth2.GenerateVerifier()
	address := config.AuthCodeURL(secret, oidc.Nonce(wire.Nonce(b.PublicKey, salt)), oauth2.S256ChallengeOption(verifier))
	opened := b.open(i.host, address)

	// 3. Its answer.
	code, err := b.wait(ctx, back, opened, address)
	if err != nil {
		back.answer(err)
		return err
	}
	t, err := config.Exchange(i.context(ctx), code, oauth2.VerifierOption(verifier))
	if err != nil {
		err = i.refusal(ctx, err)
		if fault.ReasonOf(err) == fault.SSOEnded { // invalid_grant here is about the code
			err = i.refusalCode("")
		}
	}
	var tokens Tokens
	if err == nil {
		tokens, err = i.tokens(t, salt)
	}
	if err == nil {
		err = finish(ctx, tokens)
	}
	back.answer(err)
	return err
}

// open starts the browser and does not wait for it: some come back only when
// their window is closed, and the channel has the error of one that did not start.
func (b Browser) open(host, address string) <-chan error {
	opened := make(chan error, 1)
	if b.Open == nil {
		fmt.Fprintf(b.Out, "To sign in at %s, open this address in a browser on this machine:\n  %s\n", host, address)
		return opened
	}
	fmt.Fprintf(b.Out, "Opening your browser to sign in at %s ...\n", host)
	go func() { opened <- b.Open(address) }()
	return opened
}

// wait returns the code that arrives at back. A browser that cannot be started,
// or that nobody sees, is helped with the address.
func (b Browser) wait(ctx context.Context, back *loopback, opened <-chan error, address string) (string, error) {
	timer := time.NewTimer(stillWaiting)
	defer timer.Stop()
	for {
		why := ""
		select {
		case r := <-back.result:
			return r.code, r.err
		case <-ctx.Done():
			return "", back.issuer.stopped(ctx)
		case err := <-opened:
			if err != nil {
				why = "The browser could not be opened"
			}
		case <-timer.C:
			if b.Open != nil {
				why = "Still waiting. If no browser opened"
			}
		}
		if why != "" {
			fmt.Fprintf(b.Out, "%s: open this address on this machine:\n  %s\n", why, address)
		}
	}
}

// random is 256 bits that nobody can guess, for a URL.
func random() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
