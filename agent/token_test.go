package agent_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestATokenOnTheCommandLineIsWipedBeforeTheCAIsAsked looks at the real process
// while it waits for a CA that does not answer.
func TestATokenOnTheCommandLineIsWipedBeforeTheCAIsAsked(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("as another user, an account's authorized_keys would be the tester's own")
	}
	const secret = "k3v9-a-token-that-nobody-should-see"
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	asked := make(chan net.Conn, 1)
	go func() {
		if conn, err := silent.Accept(); err == nil {
			asked <- conn
		}
	}()
	s := rig.SSHD(t, rig.SSHDConfig{})
	for _, args := range [][]string{{"--token", secret}, {"--token=" + secret}} {
		all := append([]string{"agent", "enroll", "--ca", "http://" + silent.Addr().String(), "--name", "web-1", "--dir", rig.RootDir(t), "--sshd-config", s.Config()}, args...)
		p := rig.Start(t, exec.Command(rig.Binary(t), all...))
		select {
		case conn := <-asked:
			defer conn.Close()
		case <-p.Done():
			t.Fatalf("it ended: %s", p.Log)
		case <-time.After(20 * time.Second):
			t.Fatalf("it did not ask the CA: %s", p.Log)
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(line); strings.Contains(got, secret) || !strings.Contains(got, strings.Repeat("x", len(secret))) || !strings.Contains(got, "web-1") {
			t.Errorf("the process shows %q", got)
		}
		p.Kill()
		go func() {
			if conn, err := silent.Accept(); err == nil {
				asked <- conn
			}
		}()
	}
}
