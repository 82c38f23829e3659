package proxy

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func TestSSHAuditFindsNothingToFail(t *testing.T) {
	w := newWorld(t)
	out, _ := exec.Command(rig.Need(t, "ssh-audit", "ssh-audit"), "--no-colors", w.addr).CombinedOutput()
	if !strings.Contains(string(out), "(kex) mlkem768x25519-sha256") && !strings.Contains(string(out), "(kex) curve25519-sha256") {
		t.Fatalf("it saw no key exchange:\n%s", out)
	}
	if found := regexp.MustCompile(`(?m)^.*\[fail\].*$`).FindAllString(string(out), -1); len(found) > 0 {
		t.Errorf("%s", strings.Join(found, "\n"))
	}
	if strings.Contains(string(out), "chacha20") {
		t.Error("chacha20 is offered")
	}
	t.Logf("%s", out)
}

// The offer for clients without AES-GCM is another one, which ssh-audit, who
// says to be OpenSSH, does not see.
func TestWhatIsOffered(t *testing.T) {
	for who, want := range map[string]string{
		"SSH-2.0-OpenSSH_9.2p1":          "aes128-gcm@openssh.com,aes256-gcm@openssh.com",
		"SSH-2.0-OpenSSH_7.5":            "aes128-gcm@openssh.com,aes256-gcm@openssh.com",
		"SSH-2.0-PuTTY_Release_0.78":     "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes256-ctr,aes128-ctr",
		"SSH-2.0-paramiko_2.12.0":        "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes256-ctr,aes128-ctr",
		"SSH-2.0-libssh_0.10.5":          "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes256-ctr,aes128-ctr",
		"SSH-2.0-something nobody knows": "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes256-ctr,aes128-ctr",
	} {
		if got := strings.Join(downstream([]byte(who)).Ciphers, ","); got != want {
			t.Errorf("%s: %s", who, got)
		}
	}
}
