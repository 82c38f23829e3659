package outlet

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// postLimit is how long a receiver may take for one message.
const postLimit = 30 * time.Second

// webhook posts lines, signed by the Standard Webhooks specification, version 1:
// an HMAC-SHA256 over id, time and body, so that a message cannot be made up,
// changed, or kept and sent again later.
type webhook struct {
	Webhook
	outlet string
	client *http.Client
	now    func() time.Time
}

func newWebhook(outlet string, c Webhook) (*webhook, error) {
	w := &webhook{Webhook: c, outlet: outlet, now: time.Now}
	if _, err := w.secret(); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.Authorities != "" {
		pem, err := os.ReadFile(c.Authorities)
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "%s has no certificates", c.Authorities).Because(err)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	w.client = &http.Client{
		Transport: transport,
		Timeout:   postLimit,
		// What is signed for one receiver is not for another to have.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

// secret reads the key of the signature.
func (w *webhook) secret() ([]byte, error) {
	key, err := config.ReadSecret(w.SecretFile)
	if err != nil {
		return nil, err
	}
	if encoded, is := strings.CutPrefix(string(key), "whsec_"); is {
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "what follows whsec_ in %s is no base64", w.SecretFile)
		}
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "the secret in %s has %d bytes, and not 24 to 64", w.SecretFile, len(key)).
			Then("make one: head -c 32 /dev/urandom | base64 | sed s/^/whsec_/")
	}
	return key, nil
}

// deliver posts b. Every answer but 2xx is a failure, a redirect too.
func (w *webhook) deliver(ctx context.Context, b batch) error {
	key, err := w.secret()
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(b.lines))
	if err != nil {
		return fmt.Errorf("address the receiver: %w", err)
	}
	id := fmt.Sprintf("%s_%d_%d", w.outlet, b.first, b.last)
	at := strconv.FormatInt(w.now().Unix(), 10)
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("User-Agent", "sallyport")
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", at)
	r.Header.Set("webhook-signature", "v1,"+sign(key, id, at, b.lines))
	answer, err := w.client.Do(r)
	if err != nil {
		return fmt.Errorf("post to the receiver: %w", err)
	}
	io.Copy(io.Discard, io.LimitReader(answer.Body, 4096)) // so that the connection can be used again
	answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("post to the receiver: it answers %s", answer.Status)
	}
	return nil
}

func sign(key []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, at)
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (w *webhook) close() { w.client.CloseIdleConnections() }
