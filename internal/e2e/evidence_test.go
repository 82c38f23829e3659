package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// outside is somebody else's machine: a folder with the bundle and the public
// keys, and nothing of ours but the binary. No environment, no network.
type outside struct {
	t               *testing.T
	dir             string
	binary, unshare string
}

// verify runs `sallyport recording verify` in a network namespace without
// interfaces.
func (o outside) verify(args ...string) (status int, said string) {
	o.t.Helper()
	cmd := exec.Command(o.unshare, append([]string{"--net", "--", o.binary, "recording", "verify"}, args...)...)
	cmd.Dir, cmd.Env = o.dir, []string{}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		o.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// sealedSession runs a command through the proxy, and waits until its recording
// is sealed and told to the log.
func sealedSession(t *testing.T, command string) string {
	t.Helper()
	ann.Must("ssh", "-tt", web.Login+"@web-1", command)
	var list []struct {
		ID        string
		Recording struct{ State string }
	}
	rig.Eventually(t, 20*time.Second, "the recording is sealed", func() bool {
		if err := json.Unmarshal([]byte(world.Home("ada").Must("sallyport", "sessions", "ls", "-n", "1", "--json")), &list); err != nil {
			t.Fatal(err)
		}
		return len(list) == 1 && list[0].Recording.State == "sealed"
	})
	return list[0].ID
}

// handOver exports a session's bundle, and gives it with the keys to somebody
// outside.
func handOver(t *testing.T, w *rig.World, session string) outside {
	t.Helper()
	o := outside{t: t, dir: t.TempDir(), binary: mustAbs(t, rig.Binary(t)), unshare: rig.Need(t, "unshare", "util-linux")}
	ada := w.Home("ada")
	ada.Must("sallyport", "recording", "export", session, "--as", "bundle", "-o", filepath.Join(o.dir, "session.bundle"))
	keys := ada.Must("sallyport", "recording", "trust")
	if err := os.WriteFile(filepath.Join(o.dir, "trust.json"), []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestAnOutsiderVerifiesASession: what an auditor does who trusts neither the
// operators nor their database.
func TestAnOutsiderVerifiesASession(t *testing.T) {
	const mark = "a mark for the outsider"
	session := sealedSession(t, "echo "+mark)
	o := handOver(t, world, session)

	status, said := o.verify("--trust", "trust.json", "session.bundle")
	for _, want := range []string{
		"recording  " + session, "for ann@example.com, login " + web.Login + ", node web-1, from 127.0.0.1",
		"allowed by role eng-everything", "unbroken; sealed by proxy local; in the log at ", "verified.\n",
	} {
		if status != 0 || !strings.Contains(said, want) {
			t.Fatalf("exit status %d, and it should say %q:\n%s", status, want, said)
		}
	}
	if status, said := o.verify("session.bundle"); status != 1 || !strings.Contains(said, "NOT verified: everything fits together") || !strings.Contains(said, "user CA     SHA256:") {
		t.Errorf("without keys of its own, exit status %d:\n%s", status, said)
	}
	if status, said := o.verify("--trust-bundle", "session.bundle"); status != 0 || !strings.HasSuffix(said, "verified.\n") {
		t.Errorf("with keys that were compared, exit status %d:\n%s", status, said)
	}

	text := exec.Command(o.binary, "recording", "export", "session.bundle", "--as", "text", "-o", "-")
	text.Dir, text.Env = o.dir, []string{}
	if out, err := text.CombinedOutput(); err != nil || !strings.Contains(string(out), mark) {
		t.Errorf("what was shown cannot be read: %v\n%s", err, out)
	}

	// The same by session, as somebody who is logged in.
	if out := world.Home("ada").Must("sallyport", "recording", "verify", session); !strings.Contains(out, "by the keys that this login knows\nverified.\n") {
		t.Errorf("verify of the session says\n%s", out)
	}
	if r := ann.Run("sallyport", "recording", "export", "8ab3-k2m4n", "--as", "bundle"); r.Status == 0 {
		t.Errorf("a session that is not there was exported: %s", r)
	}
}

// TestPromise5_AFlippedByteOfABundleIsNamed flips bytes all over a real bundle: the
// structure of the archive, certificates, log, and the recording's header, blocks
// and seal. internal/bundle and internal/recording flip every byte of small ones.
func TestPromise5_AFlippedByteOfABundleIsNamed(t *testing.T) {
	o := handOver(t, world, sealedSession(t, "ls -l /etc"))
	whole, err := os.ReadFile(filepath.Join(o.dir, "session.bundle"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.dir, "flipped.bundle")
	const places = 60
	for i := range places {
		at := i * (len(whole) - 1) / (places - 1)
		whole[at] ^= 0x10
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		whole[at] ^= 0x10
		status, said := o.verify("--trust", "trust.json", "flipped.bundle")
		if _, findings, ok := strings.Cut(said, "NOT verified:\n"); status != 1 || !ok || strings.Count(findings, "\n") < 2 {
			t.Errorf("byte %d of %d, exit status %d:\n%s", at, len(whole), status, said)
		}
	}
}

// TestEvidenceOfTwoSessionsIsNotMixed: pieces of two sessions of one house, each
// genuine, are told apart.
func TestEvidenceOfTwoSessionsIsNotMixed(t *testing.T) {
	first, second := handOver(t, world, sealedSession(t, "echo first")), handOver(t, world, sealedSession(t, "echo second"))
	// The archive is opened and packed again by Go's own tar, as anybody can.
	a, b := members(t, first), members(t, second)
	a["recording.rec"] = b["recording.rec"]
	pack(t, filepath.Join(first.dir, "mixed.bundle"), a)
	status, said := first.verify("--trust", "trust.json", "mixed.bundle")
	if status != 1 || !strings.Contains(said, "recording: it is of session ") || !strings.Contains(said, "somebody put them together") {
		t.Errorf("exit status %d:\n%s", status, said)
	}
}

// TestARecordingThatACrashCutIsEvidence kills the proxy in the middle of a session:
// what it finishes at its next start is sealed, logged, and says that it was cut.
func TestARecordingThatACrashCutIsEvidence(t *testing.T) {
	w := rig.NewWorld(t, "")
	node := w.Join("db-1", rig.SSHDConfig{}, "tier=web")
	w.Policy(strings.ReplaceAll(everything, "LOGIN", node.Login))
	client := rig.Start(t, w.Login("ann").Command("ssh", "-tt", node.Login+"@db-1", "echo delivered; sleep 60"))
	rig.Eventually(t, 20*time.Second, "output flows", func() bool { return strings.Contains(client.Log.String(), "delivered") })
	if err := syscall.Kill(w.Child("proxy"), syscall.SIGKILL); err != nil {
		t.Fatalf("kill the proxy: %v", err)
	}
	<-client.Done()
	<-w.Up.Done() // up ends with its proxy
	w.Start()
	var list []struct {
		ID        string
		Recording struct{ State string }
	}
	rig.Eventually(t, 30*time.Second, "the recording is sealed as cut", func() bool {
		if err := json.Unmarshal([]byte(w.Home("ada").Must("sallyport", "sessions", "ls", "--json")), &list); err != nil {
			t.Fatal(err)
		}
		return len(list) == 1 && list[0].Recording.State == "cut"
	})
	status, said := handOver(t, w, list[0].ID).verify("--trust", "trust.json", "session.bundle")
	if status != 0 || !strings.Contains(said, "cut: the proxy died") || !strings.HasSuffix(said, "verified.\n") {
		t.Errorf("exit status %d:\n%s", status, said)
	}
}

// members are the files of a bundle, by their names without the folder; "" is the
// folder.
func members(t *testing.T, o outside) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(o.dir, "session.bundle"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string]string{}
	in := tar.NewReader(f)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		folder, name, _ := strings.Cut(h.Name, "/")
		all[""], all[name] = folder, string(content)
	}
}

func pack(t *testing.T, path string, all map[string]string) {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name == "" {
			continue
		}
		h := tar.Header{Typeflag: tar.TypeReg, Name: all[""] + "/" + name, Size: int64(len(all[name])), Mode: 0o600, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, all[name])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
