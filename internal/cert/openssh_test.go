package cert

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// ssh enters n with the real ssh under the name of host, trusting hostCA.
func (n node) ssh(t *testing.T, sessionCA ssh.Signer, hostCA ssh.PublicKey, host string) (string, error) {
	t.Helper()
	program := rig.Need(t, "ssh", "openssh-client")
	dir := t.TempDir()
	key := rig.NewKey(t, filepath.Join(dir, "id"))
	c := issue(t, n.session(t, key), sessionCA)
	known := CertAuthority([]string{"web-*", "[web-*]:*"}, "host-ca", hostCA)
	for name, data := range map[string][]byte{"id-cert.pub": ssh.MarshalAuthorizedKey(c), "known_hosts": known} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address, port, err := net.SplitHostPort(n.Addr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile="+filepath.Join(dir, "known_hosts"),
		"-o", "GlobalKnownHostsFile=none", "-o", "HostName="+address, "-o", "HostKeyAlias="+host,
		"-p", port, "-l", n.Login, "-i", filepath.Join(dir, "id"), host, "true").CombinedOutput()
	return string(out), err
}
