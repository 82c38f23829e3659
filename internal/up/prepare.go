package up

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/template"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// memory is up.yaml, what up itself has to know at later starts.
type memory struct {
	URL string `yaml:"url"` // of the CA
	SSH string `yaml:"ssh"` // where the proxy listens
}

func (u *installation) remember() (m memory, err error) {
	return m, config.Load(u.path("up.yaml"), &m)
}

// prepare writes the directory, unless it stands. up.yaml is written last: a
// directory without it was left half-way and is not taken for an installation.
func (u *installation) prepare(ctx context.Context) error {
	if _, err := os.Stat(u.path("up.yaml")); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", u.Dir, err)
	}
	if entries, err := os.ReadDir(u.Dir); err == nil && len(entries) > 0 {
		return fault.New(fault.Conflict, fault.ConfigInvalid, "%s is not empty and holds no finished installation", u.Dir).
			Then("remove it, or name another: sallyport up --dir DIR")
	}
	if u.Issuer == "" {
		return fault.New(fault.Invalid, fault.ConfigInvalid, "who signs people in? Sallyport needs an OIDC issuer").
			Then("register a native (public) client there with redirect http://127.0.0.1/callback, then run:\n  sallyport up --issuer https://login.example.com --client-id sallyport --admin platform-team")
	}
	for _, dir := range []string{"", "ca", "proxy", "recordings"} {
		if err := os.MkdirAll(u.path(dir), 0o700); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	files := []struct{ name, content string }{
		{"ca/passphrase", rand.Text() + "\n"},
		{"ca.yaml", u.render(caYAML)},
		{"proxy.yaml", u.render(proxyYAML)},
	}
	for _, f := range files {
		if err := os.WriteFile(u.path(f.name), []byte(f.content), 0o600); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	if _, err := u.call(ctx, "ca", "init", "--config", u.path("ca.yaml")); err != nil {
		return err
	}
	return os.WriteFile(u.path("up.yaml"), fmt.Appendf(nil, "url: %s\nssh: %s\n", u.URL, u.SSH), 0o600)
}

// proxyToken makes a one-time join token for the proxy of this machine, as long
// as it has not enrolled, and stores it where proxy.yaml says.
func (u *installation) proxyToken(ctx context.Context) (string, error) {
	if _, err := os.Stat(u.path("proxy", "enrolled")); err == nil {
		return "", nil
	}
	secret, err := u.call(ctx, "ca", "token", "--config", u.path("ca.yaml"), "--part", "proxy", "--name", "local")
	if err != nil {
		return "", err
	}
	path := u.path("proxy", "token")
	return path, os.WriteFile(path, []byte(strings.TrimSpace(secret)+"\n"), 0o600)
}

func (u *installation) render(t *template.Template) string {
	var b strings.Builder
	admins := struct{ Groups, Identities []string }{}
	for _, a := range u.Admin {
		if strings.Contains(a, "@") {
			admins.Identities = append(admins.Identities, a)
		} else {
			admins.Groups = append(admins.Groups, a)
		}
	}
	if err := t.Execute(&b, map[string]any{"F": u.flags, "Admins": admins}); err != nil {
		panic(err) // a template of ours over a struct of ours
	}
	return b.String()
}

var quoting = template.FuncMap{
	"q": func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" },
	"list": func(v []string) string {
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = "'" + strings.ReplaceAll(s, "'", "''") + "'"
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	},
}

var caYAML = template.Must(template.New("ca.yaml").Funcs(quoting).Parse(`# The control plane. What each key means: sallyport ca check --config ca.yaml
url: {{q .F.URL}}
listen: {{q .F.Listen}}
parts:
  listen: {{q .F.Parts}}
data: {{q (print .F.Dir "/ca")}}
recordings: {{q (print .F.Dir "/recordings")}}
# Who can read recordings (age-keygen prints it), and how long they are kept:
# recording: {recipients: [age1...], retain: 400d}
oidc:
  issuer: {{q .F.Issuer}}
  client_id: {{q .F.ClientID}}
  device: true
admins:
  groups: {{list .Admins.Groups}}
  identities: {{list .Admins.Identities}}
`))

var proxyYAML = template.Must(template.New("proxy.yaml").Funcs(quoting).Parse(`# The data plane. What each key means: sallyport proxy check --config proxy.yaml
name: local
listen: {{q .F.SSH}}
ca: {{q .F.URL}}
token_file: {{q (print .F.Dir "/proxy/token")}}
data: {{q (print .F.Dir "/proxy")}}
recordings: {{q (print .F.Dir "/recordings")}}
drain: 10s
`))
