package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestWhatPeopleDoWithSSHWorksThroughEveryWay is the table of operations times
// the table of ways.
func TestWhatPeopleDoWithSSHWorksThroughEveryWay(t *testing.T) {
	operations := []struct {
		name string
		run  func(*testing.T, way)
	}{
		{"a command's output, error output and exit status arrive apart and exact", exact},
		{"a command that a signal ends is told as that", signalled},
		{"the end of input reaches the command while its output goes on", halfClose},
		{"a large binary stream arrives unchanged both ways", binary},
		{"a terminal has the size that it was given, and follows a resize", terminal},
		{"environment variables that the node accepts arrive", environment},
		{"scp copies by sftp", scp("-s")},
		{"scp copies by the old protocol", scp("-O")},
		{"sftp lists, gets and puts", sftp},
		{"rsync copies a tree", rsync},
		{"git clones and pushes", git},
		{"a local port leads to the node's side", localForward},
		{"a remote port leads back to the person's side", remoteForward},
		{"a dynamic port speaks SOCKS", dynamicForward},
		{"a unix socket leads to the node's side", unixForward},
		{"a forwarded agent signs on the node", agentForward},
		{"a hundred channels share one connection", hundredChannels},
		{"a transfer goes on while keys are exchanged anew", rekey},
		{"X11 is refused with a reason, and the command still runs", x11},
	}
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			for _, o := range operations {
				t.Run(o.name, func(t *testing.T) { o.run(t, w) })
			}
		})
	}
}

func run(t *testing.T, w way, options []string, command ...string) rig.Result {
	t.Helper()
	return ann.Run("ssh", w.args(options, command...)...)
}

func must(t *testing.T, w way, options []string, command ...string) string {
	t.Helper()
	r := run(t, w, options, command...)
	if r.Status != 0 {
		t.Fatalf("%s", r)
	}
	return r.Stdout
}

func exact(t *testing.T, w way) {
	r := run(t, w, nil, "printf 'out\\0\\377'; printf err >&2; exit 42")
	if r.Status != 42 || r.Stdout != "out\x00\xff" || r.Stderr != "err" {
		t.Fatalf("%q", r)
	}
}

func signalled(t *testing.T, w way) {
	if r := run(t, w, nil, "kill -TERM $$"); r.Status == 0 {
		t.Fatalf("%s", r)
	}
}

func halfClose(t *testing.T, w way) {
	cmd := ann.Command("ssh", w.args(nil, "cat >/dev/null; echo after the end")...)
	cmd.Stdin = strings.NewReader("input")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "after the end\n" {
		t.Fatalf("%v: %q", err, out)
	}
}

func binary(t *testing.T, w way) {
	data := make([]byte, 8<<20)
	rand.Read(data)
	cmd := ann.Command("ssh", w.args(nil, "cat")...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil || sha256.Sum256(out) != sha256.Sum256(data) {
		t.Fatalf("%v: %d of %d bytes came back, or others", err, len(out), len(data))
	}
}

func terminal(t *testing.T, w way) {
	cmd := ann.Command("ssh", w.args([]string{"-tt"}, "trap 'stty size; exit' WINCH; stty size; while :; do read -r x; done")...)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 31, Cols: 117})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait(); tty.Close() }()
	screen := &rig.Log{}
	go io.Copy(screen, tty)
	rig.Eventually(t, 15*time.Second, "the size is 31 117", func() bool { return strings.Contains(screen.String(), "31 117") })
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 50, Cols: 200}); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, 15*time.Second, "the size is 50 200", func() bool {
		tty.Write([]byte("\r")) // dash runs a trap between commands
		return strings.Contains(screen.String(), "50 200")
	})
}

func environment(t *testing.T, w way) {
	if out := must(t, w, []string{"-o", "SetEnv=LC_SALLYPORT=yes"}, "echo $LC_SALLYPORT"); out != "yes\n" {
		t.Fatalf("%q", out)
	}
}

// file makes a file of random bytes in ann's home.
func file(t *testing.T, size int) (path string, data []byte) {
	t.Helper()
	data = make([]byte, size)
	rand.Read(data)
	path = filepath.Join(ann.Dir, fmt.Sprintf("file-%x", data[:6]))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
	return path, data
}

func same(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s holds %d bytes, not the %d that were sent: %v", path, len(got), len(want), err)
	}
}

func scp(protocol string) func(*testing.T, way) {
	return func(t *testing.T, w way) {
		path, data := file(t, 300_000)
		remote := filepath.Base(path)
		ann.Must("scp", append(append([]string{"-q", protocol, "-o", "BatchMode=yes"}, w.options...), path, w.host+":"+remote)...)
		same(t, filepath.Join(web.Home(web.Login), remote), data)
		ann.Must("scp", append(append([]string{"-q", protocol, "-o", "BatchMode=yes"}, w.options...), w.host+":"+remote, path+".back")...)
		same(t, path+".back", data)
	}
}

func sftp(t *testing.T, w way) {
	path, data := file(t, 1_000_000)
	batch := filepath.Join(ann.Dir, "batch")
	name := filepath.Base(path)
	if err := os.WriteFile(batch, fmt.Appendf(nil, "put %s\nls -l %s\nget %s %s.sftp\n", path, name, name, path), 0o600); err != nil {
		t.Fatal(err)
	}
	out := ann.Must("sftp", append(append([]string{"-q", "-b", batch}, w.options...), w.host)...)
	if !strings.Contains(out, "1000000") {
		t.Fatalf("the listing does not have the size: %s", out)
	}
	same(t, path+".sftp", data)
}

// remoteShell is the way as one word, for programs that start ssh themselves.
func (w way) remoteShell() string {
	quoted := []string{filepath.Join(ann.Dir, "bin", "ssh"), "-o", "BatchMode=yes"}
	return strings.Join(append(quoted, w.options...), " ")
}

func rsync(t *testing.T, w way) {
	rig.Need(t, "rsync", "rsync")
	src := filepath.Join(t.TempDir(), "tree")
	for i := range 20 {
		dir := filepath.Join(src, fmt.Sprint(i%4))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), bytes.Repeat([]byte{byte(i)}, 10_000*i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	name := "tree-" + rig.FreeAddr(t)[len("127.0.0.1:"):]
	ann.Must("rsync", "-a", "-e", w.remoteShell(), src+"/", w.host+":"+name+"/")
	ann.Must("rsync", "-a", "-e", w.remoteShell(), w.host+":"+name+"/", src+"-back/")
	if out, err := exec.Command("diff", "-r", src, src+"-back").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func git(t *testing.T, w way) {
	rig.Need(t, "git", "git")
	repo := "repo-" + rig.FreeAddr(t)[len("127.0.0.1:"):]
	must(t, w, nil, "git init -q --bare "+repo)
	dir := t.TempDir()
	script := fmt.Sprintf(`set -e; cd %s; export GIT_SSH_COMMAND='%s' GIT_CONFIG_GLOBAL=/dev/null
git clone -q %s:%s one 2>/dev/null; cd one; git config user.name n; git config user.email e@example.com
echo hello > f; git add f; git commit -qm first; git push -q origin HEAD:main
cd ..; git clone -q -b main %s:%s two; cat two/f`, dir, w.remoteShell(), w.host, repo, w.host, repo)
	if out := ann.Must("sh", "-c", script); out != "hello\n" {
		t.Fatalf("%q", out)
	}
}

// site is a web server on this machine that says hello.
func site(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// hold keeps an ssh open until the test ends.
func hold(t *testing.T, w way, options ...string) *rig.Process {
	t.Helper()
	return rig.Start(t, ann.Command("ssh", w.args(append([]string{"-o", "ExitOnForwardFailure=yes"}, options...), "sleep 600")...))
}

func says(t *testing.T, p *rig.Process, client *http.Client, url string) {
	t.Helper()
	last := ""
	rig.Eventually(t, 15*time.Second, "hello comes through", func() bool {
		resp, err := client.Get(url)
		if err != nil {
			last = err.Error() + p.Log.String()
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		last = string(body)
		return last == "hello"
	})
}

func localForward(t *testing.T, w way) {
	local := rig.FreeAddr(t)
	p := hold(t, w, "-L", local+":"+site(t))
	says(t, p, http.DefaultClient, "http://"+local)
}

func remoteForward(t *testing.T, w way) {
	remote := rig.FreeAddr(t)
	p := hold(t, w, "-R", remote+":"+site(t))
	says(t, p, http.DefaultClient, "http://"+remote)
}

func dynamicForward(t *testing.T, w way) {
	rig.Need(t, "curl", "curl")
	local := rig.FreeAddr(t)
	hold(t, w, "-D", local)
	rig.Eventually(t, 15*time.Second, "hello comes through SOCKS", func() bool {
		out, _ := exec.Command("curl", "-s", "--socks5-hostname", local, "http://"+site(t)).Output()
		return string(out) == "hello"
	})
}

func unixForward(t *testing.T, w way) {
	path := filepath.Join(web.Home(web.Login), "s-"+rig.FreeAddr(t)[len("127.0.0.1:"):])
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	local := rig.FreeAddr(t)
	p := hold(t, w, "-L", local+":"+path)
	says(t, p, http.DefaultClient, "http://"+local)
}

func agentForward(t *testing.T, w way) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "agent")
	rig.Start(t, exec.Command(rig.Need(t, "ssh-agent", "openssh-client"), "-D", "-a", socket))
	rig.Eventually(t, 5*time.Second, "ssh-agent listens", func() bool { _, err := os.Stat(socket); return err == nil })
	rig.NewKey(t, filepath.Join(dir, "key"))
	add := exec.Command("ssh-add", "-q", filepath.Join(dir, "key"))
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := ann.Command("ssh", w.args([]string{"-A"}, "ssh-add -l")...)
	cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ED25519") {
		t.Fatalf("%v: %s", err, out)
	}
}

// master opens a ControlMaster and returns the options that use it.
func master(t *testing.T, w way) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cm") // short: a unix socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	rig.Start(t, ann.Command("ssh", w.args([]string{"-M", "-N", "-S", path})...))
	rig.Eventually(t, 15*time.Second, "the master is open", func() bool { _, err := os.Stat(path); return err == nil })
	return []string{"-S", path}
}

func hundredChannels(t *testing.T, w way) {
	through := master(t, w)
	var wg sync.WaitGroup
	results := make([]rig.Result, 100)
	for i := range results {
		wg.Go(func() { results[i] = run(t, w, through, fmt.Sprintf("sleep 1; echo %d; exit %d", i, i%7)) })
	}
	wg.Wait()
	for i, r := range results {
		if r.Stdout != fmt.Sprintln(i) || r.Status != i%7 {
			t.Errorf("%d: %s", i, r)
		}
	}
}

func rekey(t *testing.T, w way) {
	const size = 24 << 20
	r := run(t, w, []string{"-o", "RekeyLimit=1M"}, fmt.Sprintf("head -c %d /dev/zero", size))
	if r.Status != 0 || len(r.Stdout) != size {
		t.Fatalf("%d bytes, %d: %s", len(r.Stdout), r.Status, r.Stderr)
	}
	cmd := ann.Command("ssh", w.args([]string{"-o", "RekeyLimit=1M"}, "wc -c")...)
	cmd.Stdin = io.LimitReader(zeros{}, size)
	out, err := cmd.Output()
	if err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(size) {
		t.Fatalf("%v: %s", err, out)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func x11(t *testing.T, w way) {
	cmd := ann.Command("ssh", w.args([]string{"-X"}, "echo runs")...)
	cmd.Env = append(cmd.Env, "DISPLAY=127.0.0.1:99")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "runs") || !strings.Contains(string(out), "X11") {
		t.Fatalf("%v: %s", err, out)
	}
}
