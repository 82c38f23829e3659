package ca

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/idtoken"
	"github.com/sallyport-ssh/sallyport/ca/internal/keyfile"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/storage"
)

// complete fills what defaults to something else that was said.
func (c *Config) complete(getenv func(string) string) {
	def := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	def(&c.Database, "sqlite://"+filepath.Join(c.Data, "ca.db"))
	def(&c.Keys.Dir, filepath.Join(c.Data, "keys"))
	def(&c.Keys.PassphraseFile, keyfile.PassphraseFile("", getenv))
	def(&c.Keys.PassphraseFile, filepath.Join(c.Data, "passphrase"))
	def(&c.Recordings, filepath.Join(c.Data, "recordings"))
	if u, err := url.Parse(c.URL); err == nil && c.Parts.URL == "" {
		if _, port, err := net.SplitHostPort(c.Parts.Listen); err == nil {
			c.Parts.URL = "https://" + net.JoinHostPort(u.Hostname(), port)
		}
	}
}

// Check says what is wrong that the types do not say.
func (c *Config) Check() error {
	if err := c.checkDoors(); err != nil {
		return err
	}
	for _, dir := range []struct{ key, path string }{{"data", c.Data}, {"recordings", c.Recordings}, {"policy_dir", c.PolicyDir}} {
		if dir.path != "" && !filepath.IsAbs(dir.path) || dir.key == "data" && dir.path == "" {
			return config.At(dir.key, "%q is no absolute path", dir.path)
		}
	}
	if err := checkDatabase(c.Database); err != nil {
		return config.At("database", "%v", err)
	}
	if c.OIDC.Issuer == "" {
		return config.At("oidc", "oidc is missing: who signs people in?")
	}
	if c.Certificates.SourceAddress && c.BehindProxy {
		return config.At("certificates", "source_address needs the person's own address, which behind_proxy takes from a header that the proxy alone vouches for")
	}
	for _, name := range c.Names {
		if !isPattern(name) {
			return config.At("names", "%q is no host pattern of ssh_config(5), such as *.example.com", name)
		}
	}
	names := map[string]bool{}
	for _, o := range c.Outlets {
		if names[o.Name] {
			return config.At("outlets", "two outlets are called %s: each remembers by its name how far it has come", o.Name)
		}
		names[o.Name] = true
	}
	return c.checkWorkloads()
}

// Check opens nothing but the URL.
func (s *Storage) Check() error {
	if s.URL == "" || storage.HasSecret(s.URL) {
		return nil // checkSecrets refuses the latter
	}
	if _, err := storage.Open(s.URL, time.Now); err != nil {
		return config.At("url", "%v", fault.Of(err).Text)
	}
	return nil
}

func (r *Recording) Check() error {
	if _, err := recording.ParseRecipients(r.Recipients); err != nil {
		return config.At("recipients", "%v", err)
	}
	if r.KeyFile != "" && !filepath.IsAbs(r.KeyFile) {
		return config.At("key_file", "%q is no absolute path", r.KeyFile)
	}
	return nil
}

// storageURL is where recordings are kept.
func (c *Config) storageURL() string {
	if c.Storage.URL == "" {
		return (&url.URL{Scheme: "file", Path: c.Recordings}).String()
	}
	return c.Storage.URL
}

// isPattern: the names are written into people's ssh_config and known_hosts,
// where a space or a comma begins something else.
func isPattern(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789.-_*?!:") == ""
}

func (c *Config) checkDoors() error {
	u, err := checkURL(c.URL)
	if err != nil {
		return config.At("url", "%v", err)
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return config.At("listen", "%q is not host:port", c.Listen)
	}
	tls := c.TLS.Certificate != ""
	switch {
	case !tls && !c.BehindProxy && !isLoopback(host):
		return config.At("listen", "%s would be served without TLS: give tls, or say behind_proxy: true where a load balancer ends it", c.Listen)
	case (tls || c.BehindProxy || !isLoopback(u.Hostname())) && u.Scheme != "https":
		return config.At("url", "%s: people reach this door by https", c.URL)
	}
	if _, _, err := net.SplitHostPort(c.Parts.Listen); err != nil {
		return config.At("parts", "%q is not host:port", c.Parts.Listen)
	}
	if c.Parts.URL != "" {
		if u, err := checkURL(c.Parts.URL); err != nil || u.Scheme != "https" {
			return config.At("parts", "%q is not the address of the parts' door, https://host:port", c.Parts.URL)
		}
	}
	return nil
}

// checkWorkloads: a name's prefix belongs to one issuer, or one issuer could
// speak of another's workloads.
func (c *Config) checkWorkloads() error {
	owner := map[string]string{}
	for _, w := range c.Workloads {
		prefix, _, _ := strings.Cut(w.Name, ":")
		if w.Issuer == c.OIDC.Issuer && w.Audience == c.OIDC.ClientID {
			return config.At("workloads", "tokens of %s for %s are people's", w.Issuer, w.Audience)
		}
		if have, taken := owner[prefix]; taken && have != w.Issuer {
			return config.At("workloads", "names that begin with %q are those of %s and cannot be those of %s, too", prefix+":", have, w.Issuer)
		}
		owner[prefix] = w.Issuer
	}
	return nil
}

// Check: both files or none.
func (t *TLS) Check() error {
	if (t.Certificate == "") != (t.Key == "") {
		return errors.New("certificate and key go together")
	}
	return nil
}

func (o *OIDC) Check() error {
	if err := checkIssuer(o.Issuer); err != nil {
		return config.At("issuer", "%v", err)
	}
	if o.ClientID == "" {
		return config.At("client_id", "client_id is missing: register sallyport there as a native (public) client with redirect http://127.0.0.1/callback")
	}
	if o.Claims.Name == "" {
		return config.At("claims", "name is missing: by which claim are people known?")
	}
	switch o.Userinfo {
	case "auto", "always", "never":
		return nil
	}
	return config.At("userinfo", "%q is none of auto, always, never", o.Userinfo)
}

func (w *Workload) Check() error {
	if err := checkIssuer(w.Issuer); err != nil {
		return config.At("issuer", "%v", err)
	}
	if w.Audience == "" {
		return config.At("audience", "audience is missing: a token that is for everybody says nothing")
	}
	if _, err := idtoken.ParseTemplate(w.Name); err != nil {
		return config.At("name", "%v", err)
	}
	if len(w.Rules) == 0 {
		return config.At("rules", "rules are missing: without any, every workload of %s gets in", w.Issuer)
	}
	for claim, patterns := range w.Rules {
		if err := checkPatterns(patterns); err != nil {
			return config.At("rules", "%s: %v", claim, err)
		}
	}
	return nil
}

// checkPatterns refuses a rule that cannot hold, and one that always does.
func checkPatterns(patterns []string) error {
	if len(patterns) == 0 {
		return errors.New("no value is allowed")
	}
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return fmt.Errorf("%q is no pattern", p)
		}
	}
	return nil
}

func (c *Certificates) Check() error {
	for _, l := range []struct {
		key      string
		value    config.Duration
		min, max time.Duration
	}{
		{"login", c.Login, time.Minute, cert.MaxLogin},
		{"renew", c.Renew, 0, 90 * 24 * time.Hour},
		{"host", c.Host, time.Hour, cert.MaxHost},
	} {
		if l.value.Std() < l.min || l.value.Std() > l.max {
			return config.At(l.key, "%v is not within %v to %v", l.value, config.Duration(l.min), config.Duration(l.max))
		}
	}
	return nil
}

func checkDatabase(s string) error {
	u, err := url.Parse(s)
	if err != nil || s != "" && u.Scheme != "sqlite" && u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return errors.New("this is neither sqlite:///path nor postgres://user@host/name")
	}
	return nil
}

// checkSecrets keeps passwords out of the file, and so out of what `check`
// prints. It stands apart from Check because an error there shows the line.
func (c *Config) checkSecrets() error {
	if storage.HasSecret(c.Storage.URL) {
		return fault.New(fault.Invalid, fault.ConfigInvalid, "storage: a name or secret stands in the URL").
			Then("put it into an AWS credentials file and add ?credentials=/path")
	}
	u, err := url.Parse(c.Database)
	if err != nil {
		return nil // Check has said so
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return fault.New(fault.Invalid, fault.ConfigInvalid, "database: a password stands in the URL").
			Then("put it into a passfile (PostgreSQL manual, \"The Password File\") and add ?passfile=/path")
	}
	return nil
}

func checkURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is no address; it looks like https://access.example.com", s)
	}
	if u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("%q is more than scheme, host and port", s)
	}
	// The address is printed into a shell script (/install).
	if _, err := netip.ParseAddr(u.Hostname()); err != nil {
		if _, err := id.ParseNodeName(u.Hostname()); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// checkIssuer: over plain HTTP whoever stands between could publish keys of
// their own, and be anybody.
func checkIssuer(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is no issuer; it looks like https://login.example.com", s)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return fmt.Errorf("%s would be asked for its keys without TLS", s)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
