package krl

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestAnSshdRefusesWhatIsRevokedAndNothingElse: RevokedKeys of a real sshd,
// which reads the file at every login.
func TestAnSshdRefusesWhatIsRevokedAndNothingElse(t *testing.T) {
	ca, key := newCA(t), newCA(t)
	path := filepath.Join(rig.RootDir(t), "revoked.krl")
	install := func(l List) {
		t.Helper()
		if err := os.WriteFile(path+".new", marshal(t, l), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	install(List{})
	node := rig.SSHD(t, rig.SSHDConfig{
		SessionCA: []ssh.PublicKey{ca.PublicKey()}, Node: "n-0123456789ab", Lines: []string{"RevokedKeys " + path},
	})
	enters := func(serial uint64) bool {
		t.Helper()
		c := certificate(t, ca, key.PublicKey(), serial)
		c.ValidPrincipals = []string{node.Login + "@n-0123456789ab"}
		signed := certificateFor(t, c, ca)
		signer, err := ssh.NewCertSigner(signed, key)
		if err != nil {
			t.Fatal(err)
		}
		client, err := ssh.Dial("tcp", node.Addr, &ssh.ClientConfig{
			User: node.Login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
			HostKeyCallback: ssh.FixedHostKey(node.HostKeys[0]), HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		})
		if err == nil {
			client.Close()
		}
		return err == nil
	}
	for _, test := range []struct {
		name string
		l    List
		want map[uint64]bool // serial: enters
	}{
		{"an empty list revokes nothing", List{Version: 1}, map[uint64]bool{1: true, 77: true}},
		{"one serial", List{Version: 2, Revoked: []Authority{{ca.PublicKey(), Serials(77)}}}, map[uint64]bool{76: true, 77: false, 78: true}},
		{"a range", List{Version: 3, Revoked: []Authority{{ca.PublicKey(), []Range{{70, 80}}}}}, map[uint64]bool{69: true, 70: false, 80: false, 81: true}},
		{"a bitmap of sshd's greatest length", List{Version: 4, Revoked: []Authority{{ca.PublicKey(), everyOther(1, 3*maxBitmap)}}},
			map[uint64]bool{1: false, 2: true, maxBitmap - 1: false, maxBitmap + 1: false, 3*maxBitmap - 1: false, 3*maxBitmap + 2: true}},
		{"another CA's serial", List{Version: 5, Revoked: []Authority{{newCA(t).PublicKey(), Serials(77)}}}, map[uint64]bool{77: true}},
	} {
		install(test.l)
		for serial, want := range test.want {
			if got := enters(serial); got != want {
				t.Errorf("%s: serial %d enters: %v\n%s", test.name, serial, got, lastLines(node.Log()))
			}
		}
	}
}

func everyOther(from, to uint64) (all []Range) {
	for n := from; n <= to; n += 2 {
		all = append(all, Range{n, n})
	}
	return all
}

func lastLines(log string) string { return fmt.Sprintf("%.2000s", log[max(0, len(log)-2000):]) }
