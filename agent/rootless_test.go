package agent_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// TestANodeWithoutRootEnrolsAndFollows is the demo's case: an sshd and an agent
// of one unprivileged user. As root the test runs itself again as a user of
// Debian's base system.
func TestANodeWithoutRootEnrolsAndFollows(t *testing.T) {
	if os.Geteuid() == 0 {
		asGames(t)
		return
	}
	ca := newAuthority(t)
	h := &host{Sshd: rig.SSHD(t, rig.SSHDConfig{}), authority: ca, t: t, dir: rig.RootDir(t), log: &rig.Log{}}
	h.mustEnrol()
	h.mustOpen("a session certificate", h.session(nodeID, 5))
	h.mustNotOpen("a certificate for another node", h.session("n-ba9876543210", 5))
	h.run("")
	defer func() { h.stop() }()
	h.change(func(s *wire.AgentState) { s.Strict, s.Proven = true, true })
	h.eventually("strict mode", func(r wire.AgentReport) bool { return r.StrictOn && len(r.Problems)+len(r.Drift) == 0 })
	h.mustOpen("a session certificate", h.session(nodeID, 5))
}

func asGames(t *testing.T) {
	t.Helper()
	const games, gamesGroup = 5, 60 // fixed numbers, base-passwd
	dir := filepath.Join(rig.RootDir(t), "tmp")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, games, gamesGroup); err != nil {
		t.Fatal(err)
	}
	test, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(dir), "agent.test")
	if err := os.WriteFile(program, test, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestANodeWithoutRootEnrolsAndFollows$", "-test.count=1", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: games, Gid: gamesGroup}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
