package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// maxAnswer bounds a JSON answer of the CA, in bytes.
const maxAnswer = 64 << 20

// Limits of time at the people's door. A stream's body is bounded by its
// context alone: a recording of eight hours is no fault.
const (
	callLimit   = 60 * time.Second // of a whole call with its answer
	headerLimit = 30 * time.Second // until a stream begins
)

// Client speaks to one door of the CA. It is safe for concurrent use. Make it
// with NewClient or NewPartsClient; the zero Client refuses every call.
type Client struct {
	base  *url.URL
	http  *http.Client
	limit time.Duration // of one Do; 0 leaves it to the caller's context, as long polls do

	// A person's proof; nil key for anonymous calls and for parts.
	key         ssh.Signer
	certificate []byte
}

// NewClient speaks to the people's door at rawURL without a proof. Plain HTTP is
// taken on loopback alone: anywhere else whoever stands between could hand out
// CA keys of their own.
func NewClient(rawURL string) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(rawURL, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fault.New(fault.Invalid, fault.BadRequest, "%q is not the URL of a CA", rawURL).Then("it looks like https://access.example.com")
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fault.New(fault.Invalid, fault.BadRequest, "the URL of a CA has no user, query or fragment").Then("use %s://%s", base.Scheme, base.Host)
	}
	if base.Scheme == "http" && !isLoopback(base.Hostname()) {
		return nil, fault.New(fault.Invalid, fault.BadRequest, "%s would be spoken to without TLS", base.Host).Then("use https://%s", base.Host)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = headerLimit
	return &Client{base: base, http: &http.Client{Transport: transport, CheckRedirect: noRedirect}, limit: callLimit}, nil
}

// errSlow tells a call's own limit from a caller who gave up.
var errSlow = errors.New("no whole answer within the limit")

// noRedirect: a proven request is signed for one host and path, and discovery
// must come from the host that the person typed.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// WithProof returns a client whose requests are signed by the login key.
func (c *Client) WithProof(key ssh.Signer, certificate []byte) *Client {
	return &Client{base: c.base, http: c.http, limit: c.limit, key: key, certificate: certificate}
}

// URL is the door's address without a trailing slash.
func (c *Client) URL() string { return c.base.String() }

// Do calls path (with its query) and decodes the answer into out, unless out is
// nil. in is the JSON body, nil for none. Errors are *fault.Error: the CA's own,
// or ca_away.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	if c != nil && c.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.limit, errSlow)
		defer cancel()
	}
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	} else {
		// Not strict: an older client may read a newer CA.
		err = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out)
	}
	if err != nil {
		return c.away(fmt.Errorf("read answer of %s %s: %w", method, path, err))
	}
	return nil
}

// Stream calls path with GET and returns the body as it comes; close it.
func (c *Client) Stream(ctx context.Context, path string) (io.ReadCloser, error) {
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	if c == nil || c.base == nil {
		return nil, fault.New(fault.Unavailable, fault.CAAway, "no CA is configured")
	}
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, fmt.Errorf("encode body of %s %s: %w", method, path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request %s %s: %w", method, path, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != nil {
		if err := Prove(req, body, c.key, c.certificate, time.Now()); err != nil {
			return nil, err
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil && context.Cause(ctx) != errSlow {
			return nil, ctx.Err()
		}
		return nil, c.away(err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, readProblem(resp)
	}
	return resp, nil
}

func (c *Client) away(err error) error {
	var pin *pinError
	if errors.As(err, &pin) {
		return fault.New(fault.Unavailable, fault.CAAway, "the server at %s is not the CA that this part was enrolled with", c.base.Host).Because(err)
	}
	return fault.New(fault.Unavailable, fault.CAAway, "the CA at %s does not answer", c.base.Host).Because(err)
}

// isLoopback does not resolve: a name that begins like a loopback address is
// somebody's name.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || host == "localhost"
}
