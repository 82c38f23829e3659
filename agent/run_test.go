package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/krl"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

func TestANodeEnrolsAndSaysSo(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{RSA: true})
	out := h.mustEnrol()
	for _, want := range []string{
		"agent: enrolled as web-1 (env=prod tier=web). sshd ",
		": configuration tested, reloaded, checked by a connection.",
		"agent: strict mode is off; existing keys still work. Turn it on: sallyport node set web-1 --strict",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	asked := h.asked[0]
	if asked.Part != wire.PartAgent || len(asked.HostKeys) != 3 || asked.Addr != h.Addr || asked.Rejoin {
		t.Errorf("the CA was asked %+v", asked)
	}
	if shown, err := h.dial(h.session(nodeID, 5)); err != nil || shown == nil || !slices.Equal(shown.ValidPrincipals, []string{"web-1"}) {
		t.Errorf("a session certificate: host certificate %v, %v", shown, err)
	}
	h.mustOpen("the account's own key", h.own)
	if info, err := os.Stat(filepath.Join(h.dir, "identity.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("identity key: %v, %v", info, err)
	}
}

func TestEnrolRefusesBeforeItChangesAnything(t *testing.T) {
	ca := rig.NewKey(t, "")
	for name, c := range map[string]struct {
		config rig.SSHDConfig
		args   []string
		before func(*host)
		reason fault.Reason
		says   string
		asks   bool // the CA was asked, and said no
	}{
		"a token that the CA does not know": {args: []string{"enroll", "--token-file", "", "--token", "wrong", "--name", "web-1"}, reason: fault.JoinTokenUnknown, asks: true},
		"no token":                          {args: []string{"enroll", "--name", "web-1"}, reason: fault.BadRequest, says: "a join token"},
		"two tokens":                        {args: []string{"enroll", "--token", "x", "--token-file", "-"}, reason: fault.BadRequest, says: "exclude each other"},
		"a name that is none":               {args: []string{"enroll", "--token-file", "-", "--name", "Web 1"}, reason: fault.BadRequest, says: "--name"},
		"an sshd that trusts another CA": {
			config: rig.SSHDConfig{SessionCA: []ssh.PublicKey{ca.PublicKey()}},
			args:   []string{"enroll", "--token-file", "-", "--name", "web-1"}, reason: fault.ConfigInvalid, says: "trustedusercakeys",
		},
		"an sshd that revokes keys already": {
			config: rig.SSHDConfig{Lines: []string{"RevokedKeys /etc/hostname"}},
			args:   []string{"enroll", "--token-file", "-", "--name", "web-1"}, reason: fault.ConfigInvalid, says: "revokedkeys",
		},
		"an sshd whose configuration is broken": {
			args: []string{"enroll", "--token-file", "-", "--name", "web-1"}, reason: fault.ConfigInvalid, says: "Nonsense",
			before: func(h *host) {
				if err := os.WriteFile(filepath.Join(h.Dir, "sshd_config.d", "50-x.conf"), []byte("Nonsense yes\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			},
		},
		"an sshd that is not there": {
			args: []string{"enroll", "--token-file", "-", "--name", "web-1"}, reason: fault.NodeAway,
			before: func(h *host) { h.Process.Stop(5 * time.Second) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, newAuthority(t), c.config)
			if c.before != nil {
				c.before(h)
			}
			args := c.args
			if i := slices.Index(args, ""); i > 0 { // the flag before it, too
				args = slices.Delete(slices.Clone(args), i-1, i+1)
			}
			_, err := h.agent(append(args, "--ca", h.people.URL)...)
			f := fault.Of(err)
			if f.Reason != c.reason || !strings.Contains(f.Show(), c.says) {
				t.Errorf("got %v (%s)", err, f.Reason)
			}
			if got := len(h.asked) > 0; got != c.asks {
				t.Errorf("the CA was asked: %v", got)
			}
			if left, _ := os.ReadDir(filepath.Join(h.Dir, "sshd_config.d")); len(left) > 0 && c.before == nil {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestAnEnrolmentThatCouldNotInstallIsTakenUpWithoutAToken(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	good := h.state.KRL
	h.state.KRL = []byte("garbage")
	if _, err := h.enrol(); fault.ReasonOf(err) != fault.BadRequest {
		t.Fatalf("got %v", err)
	}
	h.mustNotOpen("a session certificate", h.session(nodeID, 5))
	h.change(func(s *wire.AgentState) { s.KRL = good })
	if out, err := h.agent("enroll", "--name", "web-1"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	h.mustOpen("a session certificate", h.session(nodeID, 5))
	if len(h.asked) != 1 {
		t.Errorf("the CA was asked to enrol %d times", len(h.asked))
	}
}

func TestTheAgentInstallsWhatTheCASaysAndKeepsTheLastGoodWord(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	h.mustEnrol()
	h.run("")
	revoke := func(serial uint64) []byte {
		list, err := krl.List{Version: 2, Revoked: []krl.Authority{{CA: h.sessionCA.PublicKey(), Serials: krl.Serials(serial)}}}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	h.change(func(s *wire.AgentState) { s.KRL = revoke(7) })
	h.eventually("version 2", func(r wire.AgentReport) bool { return r.Version == 2 && len(r.Problems)+len(r.Drift) == 0 })
	h.mustNotOpen("a revoked certificate", h.session(nodeID, 7))

	h.change(func(s *wire.AgentState) { s.KRL = nil })
	h.eventually("the refusal", func(r wire.AgentReport) bool {
		return r.Version == 2 && strings.Contains(strings.Join(r.Problems, "\n"), "the CA's word is refused: KRL")
	})
	h.mustNotOpen("a revoked certificate", h.session(nodeID, 7))
	h.mustOpen("a session certificate", h.session(nodeID, 8))

	h.change(func(s *wire.AgentState) { s.KRL = revoke(8) })
	h.eventually("version 4 and no problem", func(r wire.AgentReport) bool { return r.Version == 4 && len(r.Problems) == 0 })
	h.mustNotOpen("a certificate that is revoked now", h.session(nodeID, 8))
}

func TestStrictModeWaitsForALoginThroughTheProxy(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	h.mustEnrol()
	h.run("")
	h.change(func(s *wire.AgentState) { s.Strict = true })
	h.eventually("that it waits", func(r wire.AgentReport) bool {
		return r.Version == 2 && !r.StrictOn && slices.Contains(r.Problems, "strict mode waits for a login through a proxy to work")
	})
	h.mustOpen("the account's own key", h.own)
	h.change(func(s *wire.AgentState) { s.Proven = true })
	h.eventually("strict mode", func(r wire.AgentReport) bool { return r.StrictOn && len(r.Problems) == 0 })
	h.mustNotOpen("the account's own key", h.own)
	h.mustOpen("a session certificate", h.session(nodeID, 5))
	h.change(func(s *wire.AgentState) { s.Strict = false })
	h.eventually("that it is over", func(r wire.AgentReport) bool { return r.Version == 4 && !r.StrictOn })
	h.mustOpen("the account's own key", h.own)
}

func TestHostCertificatesAreRenewedWhenHalfOfTheirLifeIsOver(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	h.age = 15 * time.Hour // of 24: due, also with every jitter
	h.mustEnrol()
	first, err := h.dial(h.session(nodeID, 5))
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	h.age = 0
	h.mu.Unlock()
	h.run("")
	rig.Eventually(t, 20*time.Second, "sshd shows a new certificate", func() bool {
		now, err := h.dial(h.session(nodeID, 5))
		return err == nil && now != nil && now.Serial > first.Serial && now.ValidBefore > first.ValidBefore
	})
	h.eventually("nothing wrong", func(r wire.AgentReport) bool { return len(r.Problems)+len(r.Drift) == 0 })
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.issued != 4 {
		t.Errorf("%d certificates were issued for 2 keys", h.issued)
	}
}

func TestTheAgentKeepsEverythingWhileTheCAIsAway(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	h.mustEnrol()
	h.leave()
	h.run("") // from what is stored
	h.mustOpen("a session certificate", h.session(nodeID, 5))
	rig.Eventually(t, 10*time.Second, "the agent has noticed", func() bool {
		return strings.Contains(h.log.String(), "the CA does not answer; all stays as it is")
	})
	h.stop()
	h.run("")
	h.mustOpen("a session certificate", h.session(nodeID, 5))
	h.back()
	h.change(func(s *wire.AgentState) { s.Proven = true })
	h.eventually("version 2", func(r wire.AgentReport) bool { return r.Version == 2 })
}

func TestAServerWithAnotherKeyIsNotTheCA(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	h.mustEnrol()
	other, err := wire.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	h.identity = other
	h.mu.Unlock()
	h.change(func(s *wire.AgentState) { s.Strict, s.Proven = true, true })
	h.run("")
	rig.Eventually(t, 10*time.Second, "the agent has noticed", func() bool {
		return strings.Contains(h.log.String(), "is not the CA that this part was enrolled with")
	})
	h.mustOpen("the account's own key", h.own)
}

func TestANodeThatTheCARemovedKeepsWhatItHas(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	h.mustEnrol()
	h.refuse = fault.New(fault.Unauthentic, fault.NotEnrolled, "this key is not enrolled here")
	h.run("")
	rig.Eventually(t, 10*time.Second, "the agent has noticed", func() bool {
		return strings.Contains(h.log.String(), "not_enrolled")
	})
	h.mustOpen("a session certificate", h.session(nodeID, 5))
	h.mustOpen("the account's own key", h.own)
}

func TestNewHostKeysAreCertified(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	h.mustEnrol()
	h.run("")
	fresh := rig.NewKey(t, filepath.Join(h.Dir, "ssh_host_ed25519_key"))
	rig.Eventually(t, 30*time.Second, "sshd shows a certificate of its new key", func() bool {
		shown, err := h.dial(h.session(nodeID, 5))
		return err == nil && shown != nil && string(shown.Key.Marshal()) == string(fresh.PublicKey().Marshal())
	})
}

func TestOneAgentAtATimeChangesFiles(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	h.mustEnrol()
	h.run("")
	for _, command := range [][]string{{"run"}, {"enroll"}, {"uninstall"}} {
		if _, err := h.agent(command...); fault.Of(err).Kind != fault.Conflict {
			t.Errorf("%s beside a running agent: %v", command, err)
		}
	}
	if out, err := h.agent("status"); err != nil || !strings.Contains(out, "running") || strings.Contains(out, "problem") {
		t.Errorf("status: %v\n%s", err, out)
	}
}

func TestCommandsOfAMachineThatIsNoNode(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	for _, command := range []string{"run", "status", "check"} {
		if _, err := h.agent(command); fault.ReasonOf(err) != fault.NotEnrolled {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := h.agent("uninstall"); err != nil {
		t.Errorf("uninstall: %v", err)
	}
	h.mustOpen("the account's own key", h.own)
}

func TestUninstallLeavesTheNodeAsItWas(t *testing.T) {
	h := newHost(t, newAuthority(t), rig.SSHDConfig{})
	before, err := os.ReadFile(h.Sshd.Config())
	if err != nil {
		t.Fatal(err)
	}
	h.mustEnrol()
	if out, err := h.agent("check"); err == nil || !strings.Contains(out, "no agent runs") {
		t.Errorf("check: %v\n%s", err, out)
	}
	if out, err := h.agent("uninstall"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if after, err := os.ReadFile(h.Sshd.Config()); err != nil || string(after) != string(before) {
		t.Errorf("sshd_config changed: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(h.Dir, "sshd_config.d", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(h.dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there", h.dir)
	}
	h.mustOpen("the account's own key", h.own)
	h.mustNotOpen("a session certificate", h.session(nodeID, 5))
}
