package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Trust is the public keys by which evidence is checked. The zero Trust trusts
// nothing. In a file it is JSON; a bundle has one, and an auditor has one that
// came by another way.
type Trust struct {
	// About says in words what the file is.
	About string `json:"about,omitempty"`
	// Public keys of the CAs, authorized_keys form. After a rotation, those that
	// signed what is to be checked stand here as well.
	UserCA    []string      `json:"user_ca"`
	SessionCA []string      `json:"session_ca"`
	HostCA    []string      `json:"host_ca"`
	Log       wire.LogTrust `json:"log"`
}

// warning is what trust.json of a bundle says of itself.
const warning = "NOT TO BE TRUSTED for being here: whoever made up a bundle made up this, too. " +
	"Compare the fingerprints (ssh-keygen -lf, sallyport recording verify) with what the house told you by another way, " +
	"or use a file of your own: sallyport recording verify --trust FILE"

// NewTrust is the trust of a house as its CA tells it.
func NewTrust(t wire.Trust, log wire.LogTrust) Trust {
	return Trust{UserCA: t.UserCA, SessionCA: t.SessionCA, HostCA: t.HostCA, Log: log}
}

// ParseTrust reads a file of keys. Unknown fields, and keys that can be no CA's,
// are errors.
func ParseTrust(text []byte) (Trust, error) {
	var t Trust
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Trust{}, fmt.Errorf("read keys: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Trust{}, fmt.Errorf("read keys: something follows their end")
	}
	for _, list := range [][]string{t.UserCA, t.SessionCA, t.HostCA} {
		if _, err := parseKeys(list); err != nil {
			return Trust{}, err
		}
	}
	return t, nil
}

// Render is t as a file; about says what it is.
func (t Trust) Render(about string) ([]byte, error) { return t.render(about) }

func (t Trust) render(about string) ([]byte, error) {
	t.About = about
	for _, list := range []*[]string{&t.UserCA, &t.SessionCA, &t.HostCA, &t.Log.Keys} {
		if *list == nil {
			*list = []string{} // for who reads the file: none, and not unknown
		}
	}
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write keys: %w", err)
	}
	return append(text, '\n'), nil
}

// parseKeys reads lines in authorized_keys form, which must be CA keys.
func parseKeys(lines []string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for _, line := range lines {
		key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 || len(rest) > 0 {
			return nil, fmt.Errorf("read keys: %q is no public key in authorized_keys form", line)
		}
		if err := cert.CheckAuthority(key); err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Fingerprint is a key of a Trust as people compare it.
type Fingerprint struct {
	Use string // "user CA", "session CA", "host CA", "log", "witness"
	Key string // SHA256:... of CAs; the verifier key of log and witnesses
}

// Fingerprints are those of all keys of t.
func (t Trust) Fingerprints() []Fingerprint {
	var all []Fingerprint
	for _, group := range []struct {
		use   string
		lines []string
	}{{"user CA", t.UserCA}, {"session CA", t.SessionCA}, {"host CA", t.HostCA}} {
		for _, line := range group.lines {
			if keys, err := parseKeys([]string{line}); err == nil && len(keys) == 1 {
				all = append(all, Fingerprint{group.use, ssh.FingerprintSHA256(keys[0])})
			}
		}
	}
	for _, key := range t.Log.Keys {
		all = append(all, Fingerprint{"log", key})
	}
	for _, key := range t.Log.Witnesses {
		all = append(all, Fingerprint{"witness", key})
	}
	return all
}

// caKeys are the CAs' public keys, parsed.
type caKeys struct{ user, session, host []ssh.PublicKey }

func (t Trust) caKeys() (k caKeys, err error) {
	for _, l := range []struct {
		lines []string
		keys  *[]ssh.PublicKey
	}{{t.UserCA, &k.user}, {t.SessionCA, &k.session}, {t.HostCA, &k.host}} {
		if *l.keys, err = parseKeys(l.lines); err != nil {
			return caKeys{}, err
		}
	}
	return k, nil
}
