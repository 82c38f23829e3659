package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// hostKeys returns the host keys of sshd that can be certified, one of each
// type, and a line for each that cannot.
func hostKeys(e sshdconf.Effective) (keys []ssh.PublicKey, notes []string, err error) {
	seen := map[string]bool{}
	for _, path := range e["hostkey"] {
		key, err := readHostKey(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // sshd lists its defaults, which need not exist, and goes without
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read host key: %w", err)
		}
		switch name := certificateAlgorithm(key); {
		case seen[key.Type()]: // sshd uses the first of a type
			continue
		case cert.CheckKey(cert.HostProfile, key) != nil:
			notes = append(notes, fmt.Sprintf("host key %s is not certified: %s", path, fault.Of(cert.CheckKey(cert.HostProfile, key)).Text))
		case !slices.Contains(e.List("hostkeyalgorithms"), name):
			notes = append(notes, fmt.Sprintf("host key %s is not certified: HostKeyAlgorithms lacks %s", path, name))
		default:
			keys = append(keys, key)
		}
		seen[key.Type()] = true
	}
	if len(keys) == 0 {
		return nil, notes, fault.New(fault.Invalid, fault.KeyRefused, "sshd has no host key that can be certified: %s", strings.Join(notes, "; ")).
			Then("make them with: ssh-keygen -A")
	}
	return keys, notes, nil
}

// readHostKey reads the public half beside the key, or else from it.
func readHostKey(path string) (ssh.PublicKey, error) {
	line, err := os.ReadFile(path + ".pub")
	if err == nil {
		key, _, _, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			return nil, fmt.Errorf("%s.pub: %w", path, err)
		}
		return key, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return signer.PublicKey(), nil
}

// certificateAlgorithm is what HostKeyAlgorithms has to have for key's
// certificate to be shown.
func certificateAlgorithm(key ssh.PublicKey) string {
	if key.Type() == ssh.KeyAlgoRSA {
		return ssh.CertAlgoRSASHA512v01
	}
	return key.Type() + "-cert-v01@openssh.com"
}

// obstacles are settings of the admin's that keep session certificates out.
func obstacles(e sshdconf.Effective) (lines []string) {
	if e.One("pubkeyauthentication") == "no" {
		lines = append(lines, "PubkeyAuthentication is off: nobody gets in through a proxy")
	}
	methods := strings.Fields(e.One("authenticationmethods"))
	if e.One("authenticationmethods") != "any" && len(methods) > 0 && !slices.Contains(methods, "publickey") {
		lines = append(lines, "AuthenticationMethods asks for more than a public key, which a proxy does not have")
	}
	accepted := append(e.List("pubkeyacceptedalgorithms"), e.List("pubkeyacceptedkeytypes")...) // the name before 8.5
	if name := ssh.CertAlgoED25519v01; len(accepted) > 0 && !slices.Contains(accepted, name) {
		lines = append(lines, "PubkeyAcceptedAlgorithms lacks "+name+": sshd refuses session certificates")
	}
	return lines
}

// isStrict says whether what is in effect, whoever wrote it, leaves certificates
// as the only way in.
func isStrict(e sshdconf.Effective) bool {
	for keyword, value := range map[string]string{"authorizedkeysfile": "none", "passwordauthentication": "no", "kbdinteractiveauthentication": "no"} {
		if e.One(keyword) != value {
			return false
		}
	}
	return e.Unset("authorizedkeyscommand")
}

// displaced are settings of the admin's that the drop-in would take the place
// of, and with them logins that work now, or revocations.
func displaced(e sshdconf.Effective) (lines []string) {
	for _, keyword := range []string{"trustedusercakeys", "revokedkeys", "authorizedprincipalscommand", "authorizedprincipalsfile"} {
		if !e.Unset(keyword) {
			lines = append(lines, keyword+" "+e.One(keyword))
		}
	}
	return lines
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
