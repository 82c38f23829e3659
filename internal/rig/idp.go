package rig

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Person is somebody at the test's OIDC provider. Name is the subject; the
// password is the name, too.
type Person struct {
	Name       string         `json:"name"`
	Email      string         `json:"email"`
	Unverified bool           `json:"unverified,omitempty"`
	Password   string         `json:"password"`
	Groups     []string       `json:"groups"`
	Claims     map[string]any `json:"claims,omitempty"`
	GroupsAt   string         `json:"groups_at,omitempty"` // "" both, "userinfo", "id_token"
}

// Someone is a person of example.com in groups.
func Someone(name string, groups ...string) Person {
	return Person{Name: name, Email: name + "@example.com", Password: name, Groups: groups}
}

// Provider is a running OIDC provider (internal/rig/idp: zitadel's library). Its
// client id is "sallyport", a public client with PKCE, refresh and device flow.
type Provider struct {
	Issuer string

	t      T
	binary string
	people string
	listen string
	run    *Process
}

var idpBinary struct {
	sync.Once
	path string
	err  error
}

// IDP starts an OIDC provider on loopback.
func IDP(t T, people ...Person) *Provider {
	t.Helper()
	idpBinary.Do(func() {
		if idpBinary.path = os.Getenv("SALLYPORT_RIG_IDP"); idpBinary.path != "" {
			return
		}
		dir, err := os.MkdirTemp("", "sallyport-idp-")
		if err != nil {
			idpBinary.err = err
			return
		}
		idpBinary.path = filepath.Join(dir, "idp")
		idpBinary.err = GoBuild(filepath.Join(Root(), "internal/rig/idp"), ".", idpBinary.path)
	})
	if idpBinary.err != nil {
		t.Fatalf("build the OIDC provider: %v", idpBinary.err)
	}
	p := &Provider{t: t, binary: idpBinary.path, people: filepath.Join(t.TempDir(), "people.json"), listen: FreeAddr(t)}
	p.SetPeople(people...)
	p.Start()
	return p
}

// SetPeople replaces everybody; it counts from the next token on.
func (p *Provider) SetPeople(people ...Person) {
	p.t.Helper()
	data, err := json.Marshal(people)
	if err == nil {
		err = os.WriteFile(p.people, data, 0o600)
	}
	if err != nil {
		p.t.Fatalf("write people: %v", err)
	}
}

// Start brings the provider up again after Stop, at the same address. Whatever
// it had issued is forgotten, as its keys are.
func (p *Provider) Start() {
	p.t.Helper()
	p.run = Start(p.t, exec.Command(p.binary, "-listen", p.listen, "-people", p.people))
	Eventually(p.t, 20*time.Second, "the OIDC provider is ready", func() bool {
		out := p.run.Log.String()
		if _, issuer, ok := strings.Cut(out, "ready "); ok {
			p.Issuer = strings.TrimSpace(strings.SplitN(issuer, "\n", 2)[0])
		}
		return p.Issuer != ""
	})
}

// Stop takes the provider away.
func (p *Provider) Stop() { p.run.Stop(5 * time.Second) }

// SignIn is name's browser at an authorization URL: it fills in the form and
// follows the provider back to the loopback page.
func (p *Provider) SignIn(name, url string) error {
	return p.browse("-as", name, "-password", name, url)
}

// Allow is name's browser at a device flow's verification URL.
func (p *Provider) Allow(name, url, code string) error {
	return p.browse("-as", name, "-password", name, "-code", code, url)
}

// Deny refuses a device.
func (p *Provider) Deny(name, url, code string) error {
	return p.browse("-as", name, "-password", name, "-code", code, "-answer", "denied", url)
}

func (p *Provider) browse(args ...string) error {
	out, err := exec.Command(p.binary, args...).CombinedOutput()
	if err != nil {
		return &browseError{string(out), err}
	}
	return nil
}

type browseError struct {
	page string
	err  error
}

func (e *browseError) Error() string { return e.err.Error() + ": " + e.page }

// Browser returns the path of a program that is name's browser: for $BROWSER.
func (p *Provider) Browser(name string) string {
	p.t.Helper()
	path := filepath.Join(p.t.TempDir(), "browser-"+name)
	script := "#!/bin/sh\nexec '" + p.binary + "' -as '" + name + "' -password '" + name + "' \"$1\"\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		p.t.Fatalf("write browser: %v", err)
	}
	return path
}
