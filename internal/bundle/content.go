package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// render makes every member but the recording.
func (b *Bundle) render() (map[string][]byte, error) {
	if _, err := id.ParseSession(string(b.Session)); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	if b.Recording == nil {
		return nil, fmt.Errorf("write bundle of session %s: it has no recording", b.Session)
	}
	parts := map[string][]byte{memberReadme: readme(b.Session), memberCheckpoint: []byte(b.Checkpoint)}
	var err error
	for name, blob := range b.certificates() {
		if parts[name], err = certificateLine(*blob); err != nil {
			return nil, fmt.Errorf("write %s of the bundle: %w", name, err)
		}
	}
	if parts[memberLog], err = renderEntries(b.Entries); err != nil {
		return nil, err
	}
	if parts[memberTrust], err = b.Trust.render(warning); err != nil {
		return nil, err
	}
	sums, err := b.renderSums(parts)
	parts[memberSums] = sums
	return parts, err
}

// parse reads every member but the recording.
func (b *Bundle) parse(parts map[string][]byte) error {
	b.Checkpoint = string(parts[memberCheckpoint])
	var err error
	for name, blob := range b.certificates() {
		if *blob, err = parseCertificateLine(parts[name]); err != nil {
			return &DamageError{Member: name, What: "it is no certificate in OpenSSH's form", Err: err}
		}
	}
	if b.Entries, err = parseEntries(parts[memberLog]); err != nil {
		return &DamageError{Member: memberLog, What: "it is no list of log entries", Err: err}
	}
	if b.Trust, err = ParseTrust(parts[memberTrust]); err != nil {
		return &DamageError{Member: memberTrust, What: "it is no list of keys", Err: err}
	}
	if b.sums, err = parseSums(parts[memberSums]); err != nil {
		return &DamageError{Member: memberSums, What: "it is no list of sums", Err: err}
	}
	return nil
}

func (b *Bundle) certificates() map[string]*[]byte {
	return map[string]*[]byte{memberHost: &b.HostCertificate, memberLogin: &b.LoginCertificate, memberSession: &b.SessionCertificate}
}

// certificateLine is a certificate as ssh-keygen writes it, its KeyID as comment.
func certificateLine(blob []byte) ([]byte, error) {
	c, err := cert.Parse(blob)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s %s %s\n", c.Type(), base64.StdEncoding.EncodeToString(blob), c.KeyId), nil
}

// parseCertificateLine takes the line that certificateLine writes, and no other.
func parseCertificateLine(line []byte) ([]byte, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return nil, err
	}
	blob := key.Marshal()
	want, err := certificateLine(blob)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(line, want) {
		return nil, fmt.Errorf("its line is not as a bundle has it")
	}
	return blob, nil
}

// renderSums is what sha256sum prints of the other members, in their order.
func (b *Bundle) renderSums(parts map[string][]byte) ([]byte, error) {
	var out []byte
	for _, m := range members {
		content := b.Recording
		switch m.name {
		case memberSums:
			continue
		case memberRecording:
		default:
			content = bytes.NewReader(parts[m.name])
		}
		digest, err := sum(content)
		if err != nil {
			return nil, fmt.Errorf("sum up %s of the bundle: %w", m.name, err)
		}
		out = fmt.Appendf(out, "%x  %s\n", digest, m.name)
	}
	return out, nil
}

func parseSums(text []byte) (map[string][32]byte, error) {
	lines := strings.SplitAfter(string(text), "\n")
	sums := map[string][32]byte{}
	for _, m := range members {
		if m.name == memberSums {
			continue
		}
		line := lines[0]
		lines = lines[1:]
		digest, ok := strings.CutSuffix(line, "  "+m.name+"\n")
		raw, err := hex.DecodeString(digest)
		if !ok || err != nil || len(raw) != 32 || strings.ToLower(digest) != digest || len(lines) == 0 {
			return nil, fmt.Errorf("it has no line for %s in its place", m.name)
		}
		sums[m.name] = [32]byte(raw)
	}
	if len(lines) != 1 || lines[0] != "" {
		return nil, fmt.Errorf("something follows its last line")
	}
	return sums, nil
}
