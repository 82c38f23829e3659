package ca

import (
	"net/url"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/auditlog"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Audit says how the audit log is shown to others. See AUDIT.md.
type Audit struct {
	// Origin is the log's name, the first line of every checkpoint. `sallyport ca
	// init` writes it into the log's key, and after that it stays. Default: URL's
	// host and "/log".
	Origin string `yaml:"origin"`
	// Entries is who may read the events below /log/tile/entries/: auditors, or
	// anyone. Hashes and checkpoints are for anyone in either case.
	Entries string `yaml:"entries"`
	// Witnesses cosign checkpoints (C2SP tlog-witness), if they know this log.
	Witnesses []Witness `yaml:"witnesses"`
	// Quorum is of how many witnesses a checkpoint must have cosignatures to
	// count for those who verify. 0 asks for none.
	Quorum int `yaml:"quorum"`
}

// Witness is somebody elsewhere who sees to it that there is one log.
type Witness struct {
	// URL is where it is asked; add-checkpoint is added.
	URL string `yaml:"url"`
	// Key is its verifier key, name+hash+key.
	Key string `yaml:"key"`
}

// Check says what is wrong that the types do not say.
func (a *Audit) Check() error {
	if a.Origin != "" {
		if err := audit.CheckOrigin(a.Origin); err != nil {
			return config.At("origin", "%v", err)
		}
	}
	if a.Entries != "auditors" && a.Entries != "anyone" {
		return config.At("entries", "%q is neither auditors nor anyone", a.Entries)
	}
	names := map[string]bool{}
	for _, w := range a.Witnesses {
		if names[w.Key] {
			return config.At("witnesses", "%s is listed twice", w.Key)
		}
		names[w.Key] = true
	}
	if a.Quorum < 0 || a.Quorum > len(a.Witnesses) {
		return config.At("quorum", "%d cosignatures cannot be had of %d witnesses", a.Quorum, len(a.Witnesses))
	}
	return nil
}

// Check says what is wrong that the types do not say.
func (w *Witness) Check() error {
	if u, err := url.Parse(w.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return config.At("url", "%q is no address of a witness; it looks like https://witness.example.org", w.URL)
	}
	if _, err := audit.ParseWitness(w.Key); err != nil {
		return config.At("key", "%v", err)
	}
	return nil
}

// origin is the log's name for a key that is made now.
func (c *Config) origin() string {
	if c.Audit.Origin != "" {
		return c.Audit.Origin
	}
	if u, err := url.Parse(c.URL); err == nil && u.Host != "" {
		return u.Host + "/log"
	}
	return ""
}

// logTrust is by what others know the log whose key this is.
func (a *Audit) logTrust(vkey string) (wire.LogTrust, *audit.Trust, error) {
	t := wire.LogTrust{Keys: []string{vkey}, Quorum: a.Quorum}
	for _, w := range a.Witnesses {
		t.Witnesses = append(t.Witnesses, w.Key)
	}
	trust, err := audit.NewTrust(t.Keys, t.Witnesses, t.Quorum)
	if err != nil {
		return t, nil, fault.New(fault.Invalid, fault.ConfigInvalid, "audit: %v", err)
	}
	if t.Origin = trust.Origin(); a.Origin != "" && a.Origin != t.Origin {
		return t, nil, fault.New(fault.Invalid, fault.ConfigInvalid, "audit: the log's key is that of %s, and origin says %s", t.Origin, a.Origin).
			Then("a log keeps its name: say origin: %s, or nothing", t.Origin)
	}
	return t, trust, nil
}

// openLog makes the log ready to be signed and shown.
func (ca *CA) openLog(vkey string) (wire.LogTrust, error) {
	known, trust, err := ca.config.Audit.logTrust(vkey)
	if err != nil {
		return known, err
	}
	c := auditlog.Config{Store: ca.store, Signer: ca.signer, Trust: trust, Now: time.Now, Log: ca.log.With("log", known.Origin)}
	for _, w := range ca.config.Audit.Witnesses {
		key, err := audit.ParseWitness(w.Key)
		if err != nil {
			return known, err // Check has seen it
		}
		c.Witnesses = append(c.Witnesses, auditlog.Witness{URL: w.URL, Key: key})
	}
	ca.audit = auditlog.New(c)
	return known, nil
}
