package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

const minimal = `url: http://127.0.0.1:8440
oidc:
  issuer: https://login.example.com
  client_id: sallyport
`

// load reads a configuration as every command does.
func load(t *testing.T, text string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return configFlag{path}.load(cli.Env{Getenv: func(string) string { return "" }})
}

func TestDefaultsAreCompleted(t *testing.T) {
	c, err := load(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	if c.Database != "sqlite:///var/lib/sallyport/ca/ca.db" || c.Keys.Dir != "/var/lib/sallyport/ca/keys" || c.Parts.URL != "https://127.0.0.1:8441" {
		t.Errorf("got %+v", c)
	}
}

func TestTheExampleIsRead(t *testing.T) {
	c := Defaults()
	if err := config.Decode("example.yaml", example, &c); err != nil {
		t.Fatal(err)
	}
	c.complete(func(string) string { return "" })
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if c.Parts.URL != "https://access.example.com:7443" || len(c.Workloads) != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestAConfigurationIsRefused(t *testing.T) {
	with := func(more string) string { return minimal + more }
	replaced := func(old, new string) string { return strings.Replace(minimal, old, new, 1) }
	for name, row := range map[string]struct{ text, says string }{
		"without an issuer":                        {"url: http://127.0.0.1:8440\n", "who signs people in"},
		"without a URL":                            {replaced("url: http://127.0.0.1:8440\n", ""), "no address"},
		"with a URL that has a path":               {replaced(":8440", ":8440/ca"), "more than scheme, host and port"},
		"with a URL that would be shell":           {replaced("http://127.0.0.1:8440", "\"https://x$(id).example.com\""), "node name"},
		"that listens without TLS":                 {with("listen: 0.0.0.0:443\n"), "without TLS"},
		"with http for others":                     {replaced("http://127.0.0.1:8440", "http://access.example.com"), "by https"},
		"with half a TLS certificate":              {with("tls: {certificate: /x}\n"), "go together"},
		"with a password in the database's URL":    {with("database: postgres://ca:hunter2@db/ca\n"), "passfile"},
		"with a password in its query":             {with("database: postgres://ca@db/ca?password=hunter2\n"), "passfile"},
		"with another database":                    {with("database: mysql://ca@db/ca\n"), "neither"},
		"with an issuer without TLS":               {replaced("https://login", "http://login"), "without TLS"},
		"without a client id":                      {replaced("  client_id: sallyport\n", ""), "client_id is missing"},
		"with an unknown key":                      {with("listn: 127.0.0.1:1\n"), "unknown key"},
		"with a login that lives for a week":       {with("certificates: {login: 7d}\n"), "not within"},
		"with a login that does not live":          {with("certificates: {login: 0s}\n"), "not within"},
		"with userinfo in a word that is none":     {strings.Replace(minimal, "client_id: sallyport", "client_id: sallyport\n  userinfo: sometimes", 1), "auto, always, never"},
		"with a relative directory":                {with("data: ca\n"), "no absolute path"},
		"with a header's address for a person's":   {strings.Replace(minimal, "http://127.0.0.1", "https://127.0.0.1", 1) + ("behind_proxy: true\ncertificates: {source_address: true}\n"), "behind_proxy"},
		"with a workload without rules":            {with("workloads: [{issuer: \"https://ci.example.com\", audience: a, name: \"ci:{{sub}}\"}]\n"), "rules are missing"},
		"with a workload for every audience":       {with("workloads: [{issuer: \"https://ci.example.com\", name: \"ci:{{sub}}\", rules: {a: b}}]\n"), "audience is missing"},
		"with a workload that has one name":        {with("workloads: [{issuer: \"https://ci.example.com\", audience: a, name: \"ci:all\", rules: {a: b}}]\n"), "alike"},
		"with two issuers that share a prefix":     {with("workloads: [{issuer: \"https://a.example.com\", audience: a, name: \"ci:{{sub}}\", rules: {a: b}}, {issuer: \"https://b.example.com\", audience: a, name: \"ci:{{sub}}\", rules: {a: b}}]\n"), "cannot be those of"},
		"with a workload that takes people's name": {with("workloads: [{issuer: \"https://login.example.com\", audience: sallyport, name: \"ci:{{sub}}\", rules: {a: b}}]\n"), "are people's"},
		"with two names in one":                    {with("names: [\"*.example.com *\"]\n"), "no host pattern"},
		"with a storage that is none":              {with("storage: {url: \"ftp://host/dir\"}\n"), "neither file:// nor s3://"},
		"with a storage without TLS":               {with("storage: {url: \"s3://b?endpoint=http://objects.example.com\"}\n"), "speaks no TLS"},
		"with a secret in the storage's URL":       {with("storage: {url: \"s3://key:hunter2@bucket\"}\n"), "name or secret"},
		"with a recipient that is none":            {with("recording: {recipients: [age1x]}\n"), "age1x"},
		"with a key file beside nothing":           {with("recording: {key_file: key}\n"), "no absolute path"},
		"with a retention that is none":            {with("recording: {retain: for ever}\n"), "no duration"},
		"with a log level that is none":            {with("log: {level: loud}\n"), "loud"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, row.text)
			if f := fault.Of(err); err == nil || f.Reason != fault.ConfigInvalid || !strings.Contains(f.Show(), row.says) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(fault.Of(err).Show(), "hunter2") {
				t.Error("the password is shown")
			}
		})
	}
}

// run is a command in this process with what it prints.
func run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
	err = Main(t.Context(), env, args)
	return out.String(), errs.String(), err
}

func TestTheCommands(t *testing.T) {
	in := install(t, "https://login.example.com")

	t.Run("init writes over no keys", func(t *testing.T) {
		if _, _, err := run(t, "init", "--config", in.config); fault.Of(err).Kind != fault.Conflict {
			t.Errorf("got %v", err)
		}
	})
	t.Run("check shows the effective configuration", func(t *testing.T) {
		out, errs, err := run(t, "check", "--config", in.config)
		if err != nil || !strings.Contains(out, "login: 8h") || !strings.Contains(out, "issuer: https://login.example.com") || !strings.Contains(errs, "is good") {
			t.Errorf("%v\n%s%s", err, out, errs)
		}
	})
	t.Run("check says everything that is wrong", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ca.yaml")
		os.WriteFile(path, []byte(minimal+"data: "+t.TempDir()+"\npolicy_dir: "+t.TempDir()+"\n"), 0o600)
		_, errs, err := run(t, "check", "--config", path)
		if err == nil || !strings.Contains(errs, "-ca.pub is not there") || !strings.Contains(errs, "passphrase") || strings.Count(errs, "sallyport: ") < 3 {
			t.Errorf("%v\n%s", err, errs)
		}
	})
	t.Run("keys in the forms of sshd and of known_hosts", func(t *testing.T) {
		sshd, _, err := run(t, "keys", "--sshd", "--config", in.config)
		if err != nil || !strings.HasPrefix(sshd, "ssh-ed25519 ") || strings.Contains(sshd, strings.Fields(lines(in.trust.UserCA)[0])[1]) {
			t.Errorf("for sshd: %v\n%s", err, sshd)
		}
		hosts, _, err := run(t, "keys", "--known-hosts", "--name", "*.example.com", "--keys", filepath.Join(in.dir, "data", "keys"))
		if err != nil || !strings.HasPrefix(hosts, "@cert-authority *.example.com ssh-ed25519 ") {
			t.Errorf("for known_hosts: %v\n%s", err, hosts)
		}
		if _, _, err := run(t, "keys", "--known-hosts", "--config", in.config); fault.Of(err).Kind != fault.Invalid {
			t.Errorf("for every host there is: %v", err)
		}
		all, _, err := run(t, "keys", "--json", "--config", in.config)
		var trust wire.Trust
		if err != nil || wire.Decode(strings.NewReader(all), 1<<16, &trust) != nil || len(trust.HostCA) != 1 {
			t.Errorf("for scripts: %v\n%s", err, all)
		}
	})
	t.Run("an example to start from", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ca.yaml")
		if out, _, err := run(t, "init", "--example", path); err != nil || !strings.Contains(out, "ca run --config "+path) {
			t.Errorf("%v\n%s", err, out)
		}
		if _, _, err := run(t, "init", "--example", path); fault.Of(err).Kind != fault.Conflict {
			t.Errorf("over an old one: %v", err)
		}
	})
	t.Run("a token needs a part and a name", func(t *testing.T) {
		if _, _, err := run(t, "token", "--config", in.config, "--part", "ca", "--name", "x"); err == nil {
			t.Error("for a CA")
		}
	})
}

func TestTLSFilesAreTakenUpWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	files := TLS{Certificate: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem")}
	write := func() {
		identity, err := wire.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		key, err := x509.MarshalPKCS8PrivateKey(identity.TLS.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(files.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: identity.TLS.Certificate[0]}), 0o600)
		os.WriteFile(files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600)
	}
	write()
	f := &tlsFiles{TLS: files}
	first, err := f.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(files.Certificate, []byte("half"), 0o600)
	f.looked = f.looked.Add(-lookAgain)
	if again, err := f.get(nil); err != nil || again != first {
		t.Errorf("in the middle of a renewal: %v", err)
	}
	write()
	f.looked = f.looked.Add(-lookAgain)
	if again, err := f.get(nil); err != nil || again == first {
		t.Errorf("after it: %v", err)
	}
	if _, err := (TLS{Certificate: "/nowhere", Key: "/nowhere"}).config(); fault.ReasonOf(err) != fault.ConfigInvalid {
		t.Errorf("without files: %v", err)
	}
}
