package outlet

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/siem"
)

// Config is one outlet of the audit log. Exactly one of file, stdout and webhook
// says where it leads.
type Config struct {
	// Name is by what the CA remembers how far this outlet has come. Under a new
	// name the whole log is delivered, from its beginning.
	Name string `yaml:"name"`
	// Format is json (the log's own form), ocsf, ecs or cef. Default: json.
	Format string `yaml:"format"`
	// File is a path to append to. It may be renamed away at any time: the next
	// batch begins another one.
	File string `yaml:"file"`
	// Stdout writes to the CA's standard output.
	Stdout bool `yaml:"stdout"`
	// Webhook is where lines are posted.
	Webhook *Webhook `yaml:"webhook"`
}

// Webhook is an HTTPS receiver. Messages are signed as the Standard Webhooks
// specification has it: webhook-id, webhook-timestamp, webhook-signature.
type Webhook struct {
	// URL takes POST requests; http is for loopback alone.
	URL string `yaml:"url"`
	// SecretFile holds the key of the signature (HMAC-SHA256), of 24 to 64 bytes:
	// as they are, or as whsec_ and base64. It is read again for every message.
	SecretFile string `yaml:"secret_file"`
	// Authorities is a PEM file of certificates that the receiver's is checked
	// against, instead of the system's.
	Authorities string `yaml:"authorities"`
}

// Check refuses an outlet that leads nowhere, or to two places.
func (c *Config) Check() error {
	if c.Name == "" || len(c.Name) > 64 || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return config.At("name", "%q is no name of an outlet: small letters, digits, - and _", c.Name)
	}
	if !slices.Contains(siem.Formats(), c.format()) {
		return config.At("format", "no format is called %q; legal: json, ocsf, ecs, cef", c.Format)
	}
	ways := 0
	for _, is := range []bool{c.File != "", c.Stdout, c.Webhook != nil} {
		if is {
			ways++
		}
	}
	if ways != 1 {
		return config.At("name", "outlet %s leads to %d places; say one of file, stdout and webhook", c.Name, ways)
	}
	if c.File != "" && !filepath.IsAbs(c.File) {
		return config.At("file", "%q is no absolute path", c.File)
	}
	return nil
}

func (c *Config) format() siem.Format {
	if c.Format == "" {
		return siem.JSON
	}
	return siem.Format(c.Format)
}

// Check refuses a receiver to which secrets would travel in clear.
func (w *Webhook) Check() error {
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return config.At("url", "this is no URL of a receiver; a password does not belong into it")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Host)) {
		return config.At("url", "a receiver is addressed by https, or by http on loopback")
	}
	if w.SecretFile == "" {
		return config.At("secret_file", "secret_file is missing: how does the receiver know that it is us?")
	}
	return nil
}

func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (c *Config) sink() (sink, error) {
	switch {
	case c.File != "":
		return &file{path: c.File}, nil
	case c.Stdout:
		return &stream{to: os.Stdout}, nil
	}
	return newWebhook(c.Name, *c.Webhook)
}
