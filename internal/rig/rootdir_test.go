package rig

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const killedEnv = "SALLYPORT_RIG_KILLED"

// TestWhatAKilledTestLeftGoesWithTheNext kills a child that
// is this very test.
func TestWhatAKilledTestLeftGoesWithTheNext(t *testing.T) {
	if os.Getenv(killedEnv) != "" {
		s := SSHD(t, SSHDConfig{})
		fmt.Printf("\nleft %d %s\n", s.Process.Cmd.Process.Pid, s.Dir)
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	if os.Geteuid() != 0 {
		t.Skip("without root it is the system that keeps temporary directories")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestWhatAKilledTestLeft", "-test.count=1")
	cmd.Env = append(os.Environ(), killedEnv+"=1")
	out, _ := cmd.CombinedOutput()
	var pid int
	var dir string
	_, left, ok := strings.Cut(string(out), "\nleft ")
	if _, err := fmt.Sscan(left, &pid, &dir); !ok || err != nil {
		t.Fatalf("the child says %q", out)
	}
	RootDir(t)
	Eventually(t, 5*time.Second, "its sshd ends", func() bool {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // empty for the dead
		return !strings.Contains(string(name), dir)
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there", dir)
	}
}
