package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

func (h *host) dropIn() string { return filepath.Join(h.Dir, "sshd_config.d", "00-sallyport.conf") }

// edit is what an admin, or a program of theirs, does with the drop-in: write a
// new file, rename.
func (h *host) edit(text string) {
	h.t.Helper()
	tmp := h.dropIn() + "~"
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(tmp, h.dropIn()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) isOurs() bool {
	link, err := os.Readlink(h.dropIn())
	return err == nil && strings.HasPrefix(link, h.dir)
}

func TestAnEditIsReportedAndStays(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	h.mustEnrol()
	h.run("")
	h.edit("# mine now\n")
	h.eventually("the edit", func(r wire.AgentReport) bool {
		return slices.Contains(r.Drift, h.dropIn()+" was replaced")
	})
	if h.isOurs() {
		t.Error("the edit did not stay")
	}
	out, err := h.agent("status")
	if err != nil || !strings.Contains(out, "drift        "+h.dropIn()+" was replaced") {
		t.Errorf("status: %v\n%s", err, out)
	}
}

func TestALineOfSshdConfigThatWinsIsReportedWithItsPlace(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	h.mustEnrol()
	h.run("")
	config, err := os.ReadFile(h.Sshd.Config())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.Sshd.Config(), append([]byte("TrustedUserCAKeys none\n"), config...), 0o644); err != nil {
		t.Fatal(err)
	}
	h.eventually("the line", func(r wire.AgentReport) bool {
		return slices.Contains(r.Drift, "trustedusercakeys is set elsewhere: "+h.Sshd.Config()+" line 1")
	})
}

func TestAnEditIsPutRightWhereConfiguredAndNotForEver(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	h.mustEnrol()
	h.run("repair: true\n")
	for n := range 3 {
		h.edit("PermitRootLogin yes\n")
		rig.Eventually(t, 20*time.Second, "it is put right", func() bool {
			return strings.Count(h.log.String(), "msg=installed") == n+1 && h.isOurs()
		})
	}
	h.eventually("no drift", func(r wire.AgentReport) bool { return len(r.Drift) == 0 })
	h.edit("PermitRootLogin yes\n")
	h.eventually("that it gives up", func(r wire.AgentReport) bool {
		return len(r.Drift) == 1 && strings.Contains(strings.Join(r.Problems, "\n"), "does something else manage these files?")
	})
	if h.isOurs() {
		t.Error("it was put right a fourth time")
	}
}

func TestWhatMakesSshdRefuseEverybodyIsPutRightInAnyCase(t *testing.T) {
	for name, harm := range map[string]func(h *host) error{
		"the KRL removed":            func(h *host) error { return os.Remove(filepath.Join(h.dir, "current", "revoked.krl")) },
		"the KRL emptied":            func(h *host) error { return os.Truncate(filepath.Join(h.dir, "current", "revoked.krl"), 0) },
		"the drop-in left to dangle": func(h *host) error { return os.Remove(filepath.Join(h.dir, "current")) },
		"everything of ours removed": func(h *host) error { return os.RemoveAll(h.dir) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, newAuthority(t), rig.SSHDConfig{})
			h.mustEnrol()
			h.run("")
			if err := harm(h); err != nil {
				t.Fatal(err)
			}
			rig.Eventually(t, 20*time.Second, "logins work again", func() bool {
				_, err := h.dial(h.own)
				if err != nil {
					return false
				}
				_, err = h.dial(h.session(nodeID, 5))
				return err == nil
			})
		})
	}
}

func TestExceptionsAndObstaclesAreReported(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{Lines: []string{"AuthenticationMethods publickey,password publickey,publickey"}})
	out := h.mustEnrol()
	if !strings.Contains(out, "AuthenticationMethods asks for more than a public key") {
		t.Errorf("enrolment says\n%s", out)
	}
	h.run("")
	config, err := os.ReadFile(h.Sshd.Config())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.Sshd.Config(), append(config, "Match Group admins\n  RevokedKeys none\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	h.eventually("the exception", func(r wire.AgentReport) bool {
		return strings.Contains(strings.Join(r.Problems, "\n"), "makes an exception for Match Group admins: revokedkeys none")
	})
}
