package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestFaults breaks one world, one thing after the other. What people get is one
// clear sentence and a non-zero exit; nothing opens wider, and each thing works
// again when its cause is gone.
func TestFaults(t *testing.T) {
	w := rig.NewWorld(t, "")
	node := w.Join("db-1", rig.SSHDConfig{}, "tier=web")
	w.Policy(strings.ReplaceAll(everything, "LOGIN", node.Login))
	someone := w.Login("ann")
	there := node.Login + "@db-1"
	works := func(t *testing.T) {
		t.Helper()
		if out := someone.Must("ssh", there, "echo works"); out != "works\n" {
			t.Fatalf("%q", out)
		}
	}
	refused := func(t *testing.T, want ...string) {
		t.Helper()
		r := someone.Run("ssh", "-o", "BatchMode=yes", there, "echo works")
		if r.Status == 0 || strings.Contains(r.Stdout, "works") {
			t.Fatalf("it is let through: %s", r)
		}
		for _, text := range want {
			if !strings.Contains(r.Stderr, text) {
				t.Errorf("it does not say %q: %s\n%s", text, r, w.Up.Log)
			}
		}
	}
	works(t)

	t.Run("a CA that hangs refuses new sessions and leaves live ones alone", func(t *testing.T) {
		live := rig.Start(t, someone.Command("ssh", "-tt", there, "echo begun; sleep 600"))
		rig.Eventually(t, 15*time.Second, "a live session has begun", func() bool { return strings.Contains(live.Log.String(), "begun") })
		ca := w.Child("ca")
		if err := syscall.Kill(ca, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer syscall.Kill(ca, syscall.SIGCONT)
		refused(t, "CA")
		select {
		case <-live.Done():
			t.Errorf("the live session ended: %s", live.Log)
		default:
		}
		if err := syscall.Kill(ca, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		rig.Eventually(t, 30*time.Second, "it works again", func() bool { return someone.Run("ssh", there, "true").Status == 0 })
	})

	t.Run("an issuer that is away is named at login and stops nobody who is in", func(t *testing.T) {
		w.IDP.Stop()
		works(t)
		w.Up.Stop(20 * time.Second)
		w.Start() // the CA starts without its issuer
		works(t)
		if r := w.Home("bob").Run("sallyport", "login", w.URL); r.Status == 0 || !strings.Contains(r.Stderr, w.IDP.Issuer[len("http://"):]) {
			t.Errorf("the issuer is not named: %s", r)
		}
		w.IDP.Start()
		rig.Eventually(t, 15*time.Second, "bob can sign in again", func() bool { return w.Home("bob").Run("sallyport", "login", w.URL).Status == 0 })
	})

	t.Run("a proxy that is told to end drains", func(t *testing.T) {
		live := rig.Start(t, someone.Command("ssh", there, "echo begun; sleep 3; echo finished"))
		rig.Eventually(t, 15*time.Second, "the command has begun", func() bool { return strings.Contains(live.Log.String(), "begun") })
		ended := make(chan struct{})
		go func() { w.Up.Stop(60 * time.Second); close(ended) }()
		<-live.Done()
		<-ended
		if !strings.Contains(live.Log.String(), "finished") {
			t.Errorf("a live command was cut off: %s", live.Log)
		}
		w.Start()
		works(t)
	})

	t.Run("a node that is away is named", func(t *testing.T) {
		node.Process.Stop(10 * time.Second)
		refused(t, "db-1")
	})

	t.Run("a node whose host key changed is not spoken to", func(t *testing.T) {
		other := rig.SSHD(t, rig.SSHDConfig{Addr: node.Addr})
		refused(t, "host key", "db-1")
		other.Process.Stop(10 * time.Second)
	})
}
