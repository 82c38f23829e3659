package rig

import (
	"io"
	"net"
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
			if out := m.Run("cat /etc/debian_version"); out == "" {
				t.Error("no Debian")
			}
			near, err := net.Dial("tcp", m.Publish("127.0.0.1:22"))
			if err != nil {
				t.Fatal(err)
			}
			defer near.Close()
			hello := make([]byte, len(version)+8)
			if _, err := io.ReadFull(near, hello); err != nil || !strings.Contains(string(hello), version) {
				t.Errorf("its sshd, from its own loopback, says %q, %v", hello, err)
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				if c, err := l.Accept(); err == nil {
					io.WriteString(c, "from this side")
					c.Close()
				}
			}()
			m.Bring(l.Addr().String())
			_, port, _ := net.SplitHostPort(l.Addr().String())
			if out := m.Run("bash -c 'cat < /dev/tcp/127.0.0.1/" + port + "'"); out != "from this side" {
				t.Errorf("a server of this side says %q inside", out)
			}
			if out := m.Run("cat /proc/1/comm"); out != "sh\n" {
				t.Errorf("process 1 is %q", out)
			}
		})
	}
}
