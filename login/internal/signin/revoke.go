package signin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Revoke ends a refresh token at the issuer (RFC 7009). Where the issuer has no
// place for that, it ends by itself.
func (i *Issuer) Revoke(ctx context.Context, token string) error {
	if i.revocation == "" {
		return nil
	}
	form := url.Values{"token": {token}, "token_type_hint": {"refresh_token"}, "client_id": {i.config.ClientID}}
	if i.config.ClientSecret != "" {
		form.Set("client_secret", i.config.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("revoke refresh token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := i.http.Do(req)
	if err != nil {
		return i.away(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fault.New(fault.Unavailable, fault.IssuerRefused, "%s did not revoke the refresh token", i.host).
			Because(fmt.Errorf("it answered %s", resp.Status))
	}
	return nil
}
