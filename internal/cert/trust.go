package cert

import (
	"bytes"
	"strings"

	"golang.org/x/crypto/ssh"
)

// AuthorizedKeys is one line per key, with comment, as sshd_config's
// TrustedUserCAKeys and ssh-keygen's -s want them.
func AuthorizedKeys(comment string, keys ...ssh.PublicKey) []byte {
	var b bytes.Buffer
	for _, key := range keys {
		b.Write(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))
		if comment != "" {
			b.WriteByte(' ')
			b.WriteString(comment)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// CertAuthority is one known_hosts line per host CA key, for hosts that match
// one of patterns (ssh_config(5), PATTERNS); no patterns are no lines, because
// an empty list would read as every host's.
func CertAuthority(patterns []string, comment string, keys ...ssh.PublicKey) []byte {
	if len(patterns) == 0 {
		return nil
	}
	var b bytes.Buffer
	for _, key := range keys {
		b.WriteString("@cert-authority ")
		b.WriteString(strings.Join(patterns, ","))
		b.WriteByte(' ')
		b.Write(AuthorizedKeys(comment, key))
	}
	return b.Bytes()
}
