package ca

import (
	"fmt"

	"github.com/sallyport-ssh/sallyport/ca/internal/keep"
	"github.com/sallyport-ssh/sallyport/ca/internal/keyfile"
	"github.com/sallyport-ssh/sallyport/ca/internal/signer"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/policydir"
)

type checkCommand struct{ configFlag }

// run prints the configuration as it counts, then everything that is wrong with
// what it names, so that one call is enough.
func (k checkCommand) run(env cli.Env) error {
	c, err := k.load(env)
	if err != nil {
		return err
	}
	if err := config.Print(env.Stdout, c); err != nil {
		return err
	}
	wrong := 0
	for _, err := range c.examine() {
		if err != nil {
			wrong++
			fmt.Fprintf(env.Stderr, "sallyport: %s\n", fault.Of(err).Show())
		}
	}
	if wrong > 0 {
		return &cli.Exit{Status: 1, Silent: true}
	}
	fmt.Fprintf(env.Stderr, "%s is good.\n", k.Config)
	return nil
}

// examine looks at the files that the configuration names, and tries a storage
// that is a service. It opens no CA key and asks no issuer.
func (c *Config) examine() []error {
	keys, errKeys := signer.ReadPublicKeys(c.Keys.Dir)
	var errAudit error
	if errKeys == nil {
		_, _, errAudit = c.Audit.logTrust(keys.Log)
	}
	_, errPass := keyfile.ReadPassphrase(c.Keys.PassphraseFile)
	_, errTLS := c.TLS.config()
	var errSecret, errPolicy error
	if f := c.OIDC.ClientSecretFile; f != "" {
		_, errSecret = config.ReadSecret(f)
	}
	if c.PolicyDir != "" {
		_, errPolicy = policydir.Read(c.PolicyDir)
	}
	var errRecording error
	if f := c.Recording.KeyFile; f != "" {
		errRecording = keep.CheckKey(f)
	}
	return []error{errKeys, errPass, errTLS, errSecret, errPolicy, errAudit, errRecording, c.tryStorage()}
}
