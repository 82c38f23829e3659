package rig

import (
	"os"
	"strings"
	"testing"
)

func TestDebianMachinesHaveTheOpenSSHThatTheirReleaseHas(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces take root")
	}
	for release, version := range map[string]string{Bullseye: "OpenSSH_8.4", Bookworm: "OpenSSH_9.2", Trixie: "OpenSSH_10.0"} {
		t.Run(release, func(t *testing.T) {
			m := Debian(t, release)
			if out := m.Run("ssh -V"); !strings.HasPrefix(out, version) {
				t.Errorf("ssh -V says %q, want %s", out, version)
			}
			m.Put("/srv/a/file", "content", 0o640)
			if out := m.Run("stat -c %a /srv/a/file; cat /srv/a/file; id -un " + m.Login); out != "640\ncontent"+m.Login+"\n" {
				t.Errorf("got %q", out)
			}
			m.Run("test -x /usr/local/bin/sallyport")
			if out := m.Run("cat /proc/1/comm"); out != "sh\n" {
				t.Errorf("process 1 is %q", out)
			}
		})
	}
}
