package signin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"rsc.io/qr"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/login/internal/plain"
)

// deviceLimit is how long a person has to find their telephone; most issuers give
// less.
const deviceLimit = 15 * time.Minute

// Device is the device authorization flow (RFC 8628): the person signs in on
// another device by a short code. Its tokens carry no nonce.
type Device struct {
	Out      io.Writer
	Terminal bool // Out is one, and shows a QR code
}

// Device signs the person in.
func (i *Issuer) Device(ctx context.Context, d Device) (Tokens, error) {
	if !i.HasDevice() {
		return Tokens{}, fault.New(fault.Invalid, fault.IssuerRefused, "%s has no device flow", i.host).
			Then("run: sallyport login --no-browser, and open the address in a browser on this machine")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, deviceLimit, errLimit)
	defer cancel()
	grant, err := i.config.DeviceAuth(i.context(ctx))
	if err != nil {
		return Tokens{}, i.refusal(ctx, err)
	}
	if _, err := checkURL(grant.VerificationURI); err != nil {
		return Tokens{}, err
	}
	if err := d.show(grant); err != nil {
		return Tokens{}, fmt.Errorf("show the code: %w", err)
	}
	t, err := i.poll(ctx, grant)
	if err != nil {
		return Tokens{}, err
	}
	return i.tokens(t, nil)
}

// poll asks until the person has answered. The library keeps the interval and
// slow_down; a request that the network lost is asked again (RFC 8628, section
// 3.5), because the person may be typing their password this very moment.
func (i *Issuer) poll(ctx context.Context, grant *oauth2.DeviceAuthResponse) (*oauth2.Token, error) {
	for {
		t, err := i.config.DeviceAccessToken(i.context(ctx), grant)
		if err == nil {
			return t, nil
		}
		if ctx.Err() != nil {
			return nil, i.stopped(ctx)
		}
		if !grant.Expiry.IsZero() && time.Now().After(grant.Expiry) {
			return nil, i.refusalCode("expired_token")
		}
		var answer *oauth2.RetrieveError
		if errors.As(err, &answer) && answer.Response.StatusCode < 500 {
			return nil, i.refusal(ctx, err)
		}
	}
}

// show prints the code, the address and, at a terminal, the QR code of both.
func (d Device) show(grant *oauth2.DeviceAuthResponse) error {
	var b strings.Builder
	fmt.Fprintf(&b, "To sign in, open this address on any device:\n  %s\nand enter the code:\n  %s\n", plain.Text(grant.VerificationURI), plain.Text(grant.UserCode))
	whole := grant.VerificationURIComplete
	if whole == "" {
		whole = grant.VerificationURI
	}
	if d.Terminal {
		if code, err := qr.Encode(whole, qr.L); err == nil {
			b.WriteString("\n" + drawQR(code) + "\n")
		}
	}
	left := deviceLimit
	if !grant.Expiry.IsZero() {
		left = min(left, time.Until(grant.Expiry))
	}
	fmt.Fprintf(&b, "Waiting up to %d minutes. Ctrl-C gives up.\n", max(1, int(left.Round(time.Minute).Minutes())))
	_, err := io.WriteString(d.Out, b.String())
	return err
}

// drawQR draws two rows of modules in each line of text, dark on light whatever
// the terminal's colours are, with the quiet zone that cameras want.
func drawQR(code *qr.Code) string {
	const quiet = 2
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		b.WriteString("  \x1b[30;107m")
		for x := -quiet; x < code.Size+quiet; x++ {
			switch top, low := code.Black(x, y), code.Black(x, y+1); {
			case top && low:
				b.WriteString("█")
			case top:
				b.WriteString("▀")
			case low:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String()
}
