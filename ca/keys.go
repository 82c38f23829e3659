package ca

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/signer"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

type keysCommand struct {
	configFlag
	Keys       string   `help:"Folder with the keys, in place of the configuration's." placeholder:"DIR"`
	Name       []string `help:"Host pattern for --known-hosts, in place of the configuration's names." placeholder:"PATTERN"`
	Sshd       bool     `help:"The file for sshd_config's TrustedUserCAKeys." xor:"form"`
	KnownHosts bool     `help:"The @cert-authority lines for known_hosts." xor:"form"`
	JSON       bool     `help:"All of them, for scripts." name:"json" xor:"form"`
}

func (k keysCommand) run(env cli.Env) error {
	dir, names := k.Keys, k.Name
	if dir == "" {
		c, err := k.load(env)
		if err != nil {
			return err
		}
		dir = c.Keys.Dir
		if len(names) == 0 {
			names = c.Names
		}
	}
	if k.KnownHosts && len(names) == 0 {
		return fault.New(fault.Invalid, fault.BadRequest, "for which hosts is the host CA to be trusted?").
			Then("say --name '*.example.com', or names in the configuration")
	}
	keys, err := signer.ReadPublicKeys(dir)
	if err != nil {
		return err
	}
	switch {
	case k.Sshd:
		_, err = env.Stdout.Write(keys.TrustedUserCAKeys())
	case k.KnownHosts:
		_, err = env.Stdout.Write(keys.KnownHosts(names...))
	case k.JSON:
		e := json.NewEncoder(env.Stdout)
		e.SetIndent("", "  ")
		err = e.Encode(trust(keys))
	default:
		printKeys(env.Stdout, keys)
	}
	return err
}

func printKeys(w io.Writer, keys signer.PublicKeys) {
	for _, p := range []struct {
		name, about string
		profile     cert.Profile
	}{
		{"user CA", "signs login certificates; proxies trust it, no sshd ever does", cert.LoginProfile},
		{"session CA", "signs session certificates; nodes trust it (--sshd)", cert.SessionProfile},
		{"host CA", "signs host certificates; people trust it (--known-hosts)", cert.HostProfile},
	} {
		fmt.Fprintf(w, "%-10s  %s\n", p.name, p.about)
		for _, line := range lines(keys.Of(p.profile)) {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
	fmt.Fprintf(w, "%-10s  %s\n  %s\n", "audit log", "signs checkpoints; auditors trust it (audit verify --key)", keys.Log)
}

// trust is what everybody else needs of the CA keys. Version is 1 as long as a CA
// reads its keys once, when it starts.
func trust(keys signer.PublicKeys) wire.Trust {
	return wire.Trust{Version: 1, UserCA: lines(keys.UserCA), SessionCA: lines(keys.SessionCA), HostCA: lines(keys.HostCA)}
}

// lines are keys in authorized_keys form.
func lines(keys []ssh.PublicKey) []string {
	list := make([]string, len(keys))
	for i, key := range keys {
		list[i] = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	}
	return list
}
