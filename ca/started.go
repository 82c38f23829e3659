package ca

import (
	"context"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

// logStart tells the audit log by which keys and settings this CA decides from
// now on. A CA that cannot write its log does not start.
func (ca *CA) logStart(ctx context.Context) error {
	return ca.store.Append(ctx, audit.Event{
		Kind: audit.CAStarted, Outcome: audit.Success, Actor: audit.CA, Settings: ca.settings(),
	})
}

// settings are those that decide who gets what, each picked by hand: a secret, or
// a path to one, is not among them. What is not set is left out.
func (ca *CA) settings() map[string]string {
	c, keys := ca.config, ca.signer.Keys()
	host, _ := os.Hostname()
	all := map[string]string{
		"host": host, "url": c.URL, "listen": c.Listen, "parts": c.Parts.URL, "database": databaseName(c.Database),
		"user_ca": prints(keys.UserCA), "session_ca": prints(keys.SessionCA), "host_ca": prints(keys.HostCA),
		"log_key": keys.Log, "policy_dir": c.PolicyDir, "storage": withoutQuery(c.storageURL()),
		"oidc.issuer": c.OIDC.Issuer, "oidc.client_id": c.OIDC.ClientID,
		"oidc.claims.name": c.OIDC.Claims.Name, "oidc.claims.groups": c.OIDC.Claims.Groups,
		"oidc.unverified_email": set(c.OIDC.UnverifiedEmail), "oidc.device": set(c.OIDC.Device),
		"admins.groups": strings.Join(c.Admins.Groups, " "), "admins.identities": strings.Join(c.Admins.Identities, " "),
		"auditors.groups": strings.Join(c.Auditors.Groups, " "), "auditors.identities": strings.Join(c.Auditors.Identities, " "),
		"certificates.login": length(c.Certificates.Login.Std()), "certificates.renew": length(c.Certificates.Renew.Std()),
		"certificates.host":                  length(c.Certificates.Host.Std()),
		"certificates.source_address":        set(c.Certificates.SourceAddress),
		"certificates.security_key_required": set(c.Certificates.SecurityKeyRequired),
		"behind_proxy":                       set(c.BehindProxy),
		"recording.recipients":               strings.Join(c.Recording.Recipients, " "),
		"recording.retain":                   length(c.Recording.Retain.Std()),
		"recording.opened_here_by":           strings.Join(ca.recordings.Own(), " "),
		"audit.entries":                      c.Audit.Entries,
	}
	for _, w := range c.Workloads {
		all["workloads "+w.Name] = w.Issuer
	}
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}

func prints(keys []ssh.PublicKey) string {
	list := make([]string, len(keys))
	for i, key := range keys {
		list[i] = ssh.FingerprintSHA256(key)
	}
	return strings.Join(list, " ")
}

func set(yes bool) string {
	if yes {
		return "yes"
	}
	return ""
}

func length(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// withoutQuery leaves out what can name a file of credentials.
func withoutQuery(url string) string {
	url, _, _ = strings.Cut(url, "?")
	return url
}
