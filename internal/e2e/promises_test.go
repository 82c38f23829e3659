package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestPromise2_NobodyReachesANodePastTheProxy is what an attacker with a login
// certificate tries from outside. What a session certificate opens is tested in
// proxy and internal/cert, where one can be held.
func TestPromise2_NobodyReachesANodePastTheProxy(t *testing.T) {
	key, certificate := credentials()
	host, port, _ := strings.Cut(web.Addr, ":")
	r := ann.Run("ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-i", key, "-o", "CertificateFile="+certificate, "-o", "IdentitiesOnly=yes", "-p", port, web.Login+"@"+host, "true")
	if r.Status != 255 || !strings.Contains(r.Stderr, "Permission denied") {
		t.Fatalf("the node trusts a login certificate: %s", r)
	}
}

// TestPromise7_NoSecretStandsWhereOthersRead looks through argv, environment and
// logs of every process of the world for what must be in none of them.
func TestPromise7_NoSecretStandsWhereOthersRead(t *testing.T) {
	ann.Must("ssh", web.Login+"@web-1", "true")
	passphrase, err := os.ReadFile(filepath.Join(world.Dir, "data", "ca", "passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	token := world.Token("never-used")
	secrets := map[string]string{"the passphrase": strings.TrimSpace(string(passphrase)), "a join token": token}
	for _, home := range []*rig.Home{ann, world.Home("ada")} {
		key, err := os.ReadFile(filepath.Join(home.Dir, ".ssh", "sallyport", "id_ed25519"))
		if err != nil {
			t.Fatal(err)
		}
		secrets["a login key"] = strings.Split(string(key), "\n")[2]
	}
	places := map[string]string{"the log of up, ca, signer and proxy": world.Up.Log.String(), "the agent's log": web.Agent.Log.String()}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, p := range processes {
		exe, err := os.Readlink(p + "/exe")
		if err != nil || exe != mustAbs(t, rig.Binary(t)) {
			continue
		}
		seen++
		for _, f := range []string{"cmdline", "environ"} {
			if data, err := os.ReadFile(p + "/" + f); err == nil {
				places[p+" "+f] = string(data)
			}
		}
	}
	if seen < 4 {
		t.Fatalf("only %d processes of sallyport were found", seen)
	}
	for what, secret := range secrets {
		if len(secret) < 16 {
			t.Fatalf("%s is %q: nothing to look for", what, secret)
		}
		for where, text := range places {
			if strings.Contains(text, secret) {
				t.Errorf("%s stands in %s", what, where)
			}
		}
	}
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPromise3_AKilledProxyLeavesEverythingThatWasDelivered kills the proxy with
// -9 in the middle of an output, and compares the recording with what the client
// got.
func TestPromise3_AKilledProxyLeavesEverythingThatWasDelivered(t *testing.T) {
	w := rig.NewWorld(t, "")
	node := w.Join("db-1", rig.SSHDConfig{}, "tier=web")
	w.Policy(strings.ReplaceAll(everything, "LOGIN", node.Login))
	someone := w.Login("ann")
	cmd := someone.Command("ssh", "-tt", node.Login+"@db-1", "i=0; while :; do i=$((i+1)); echo line-$i; done")
	client := rig.Start(t, cmd)
	rig.Eventually(t, 20*time.Second, "output flows", func() bool { return strings.Contains(client.Log.String(), "line-2000") })
	if err := syscall.Kill(w.Child("proxy"), syscall.SIGKILL); err != nil {
		t.Fatalf("kill the proxy: %v", err)
	}
	<-client.Done()
	delivered := client.Log.String()
	if i := strings.LastIndex(delivered, "line-"); i > 0 {
		delivered = delivered[:i] // what follows is ssh's own word on the broken connection
	}
	<-w.Up.Done() // up ends with its proxy
	w.Start()
	ada := w.Home("ada")
	list := ada.Must("sallyport", "sessions", "ls")
	session := strings.Fields(strings.Split(list, "\n")[1])[0]
	recorded := ada.Must("sallyport", "sessions", "export", "--text", "-o", "-", session)
	flat := func(s string) string { return strings.ReplaceAll(s, "\r", "") }
	first := strings.Index(flat(delivered), "line-1\n")
	if first < 0 || !strings.Contains(flat(recorded), flat(delivered)[first:]) {
		t.Fatalf("%d bytes were delivered, and the recording's %d do not hold them", len(delivered), len(recorded))
	}
}
