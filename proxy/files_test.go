package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// carried are the operations on files and the transfers of a recording.
func carried(t *testing.T, frames []recording.Frame) (ops []recording.FileOp, transfers []recording.Transfer) {
	t.Helper()
	for _, f := range frames {
		var err error
		switch f.Kind {
		case recording.KindFile:
			var op recording.FileOp
			err = f.Decode(&op)
			ops = append(ops, op)
		case recording.KindTransfer:
			var one recording.Transfer
			err = f.Decode(&one)
			transfers = append(transfers, one)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return ops, transfers
}

// find returns the one operation op on a path that ends in name.
func find(t *testing.T, ops []recording.FileOp, op, name string) recording.FileOp {
	t.Helper()
	var found []recording.FileOp
	for _, o := range ops {
		if o.Op == op && strings.HasSuffix(string(o.Path), name) {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d operations %s on %s, among %d: %+v", len(found), op, name, len(ops), ops)
	}
	return found[0]
}

// summary is a transfer in a line, without its counts.
func summary(t recording.Transfer) string {
	exit := "none"
	if t.Exit != nil {
		exit = fmt.Sprint(*t.Exit)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s exit %s files %d", t.Tool, t.Direction, bytes.Join(t.Paths, []byte("|")), t.To, exit, t.Files))
}

func TestWhatClientsCarryIsTold(t *testing.T) {
	w := newWorld(t)
	data := random(3 << 20)
	sum := sha256.Sum256(data)
	local := w.you.path("local")
	if err := os.WriteFile(local, data, 0o600); err != nil {
		t.Fatal(err)
	}
	options := w.you.to(w.web.Login + "@web-1")
	shell := rig.Need(t, "ssh", "openssh-client") + " " + strings.Join(options, " ")
	with := func(args ...string) []string { return append(append([]string{"-q"}, options...), args...) }
	// ran runs a program and returns what its session carried.
	ran := func(t *testing.T, stdin, program, pkg string, args ...string) ([]recording.FileOp, []recording.Transfer) {
		t.Helper()
		before := w.endedSessions()
		if r := execute(t, exec.Command(rig.Need(t, program, pkg), args...), stdin); r.status != 0 {
			t.Fatalf("%+v", r)
		}
		ops, transfers := carried(t, w.recorded(w.endedSince(before)))
		if len(transfers) != 1 || transfers[0].Unfollowed != "" || transfers[0].Reason != "" {
			t.Fatalf("transfers: %+v", transfers)
		}
		return ops, transfers
	}
	whole := func(t *testing.T, op recording.FileOp) {
		t.Helper()
		if !bytes.Equal(op.SHA256, sum[:]) || op.Read+op.Write != int64(len(data)) || op.Size != int64(len(data)) || op.Code != 0 || op.Open {
			t.Errorf("%+v", op)
		}
	}
	told := func(t *testing.T, transfers []recording.Transfer, want string, input, output int) {
		t.Helper()
		if got := summary(transfers[0]); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if transfers[0].Input < int64(input) || transfers[0].Output < int64(output) {
			t.Errorf("%d bytes in, %d out", transfers[0].Input, transfers[0].Output)
		}
	}
	t.Run("scp, which is SFTP", func(t *testing.T) {
		ops, transfers := ran(t, "", "scp", "openssh-client", with(local, "127.0.0.1:by-scp")...)
		whole(t, find(t, ops, "write", "by-scp"))
		told(t, transfers, "sftp    exit 0 files 1", len(data), 0)
		ops, transfers = ran(t, "", "scp", "openssh-client", with("127.0.0.1:by-scp", local+".back")...)
		whole(t, find(t, ops, "read", "by-scp"))
		told(t, transfers, "sftp    exit 0 files 1", 0, len(data))
	})
	t.Run("scp's old protocol", func(t *testing.T) {
		ops, transfers := ran(t, "", "scp", "openssh-client", with("-O", "-p", local, "127.0.0.1:by-old-scp")...)
		whole(t, find(t, ops, "write", "local"))
		told(t, transfers, "scp up by-old-scp  exit 0 files 1", len(data), 0)
		ops, transfers = ran(t, "", "scp", "openssh-client", with("-O", "127.0.0.1:by-old-scp", local+".back")...)
		whole(t, find(t, ops, "read", "by-old-scp"))
		told(t, transfers, "scp down by-old-scp  exit 0 files 1", 0, len(data))
	})
	t.Run("scp's old protocol with folders", func(t *testing.T) {
		tree := filepath.Join(t.TempDir(), "tree")
		if err := os.MkdirAll(filepath.Join(tree, "in"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"empty": "", "in/a b": "spaces"} {
			if err := os.WriteFile(filepath.Join(tree, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		ops, transfers := ran(t, "", "scp", "openssh-client", with("-O", "-r", tree, "127.0.0.1:.")...)
		told(t, transfers, "scp up .  exit 0 files 2", 0, 0)
		spaces := sha256.Sum256([]byte("spaces"))
		if op := find(t, ops, "write", "tree/in/a b"); !bytes.Equal(op.SHA256, spaces[:]) {
			t.Errorf("%+v", op)
		}
		find(t, ops, "write", "tree/empty")
	})
	t.Run("sftp", func(t *testing.T) {
		script := fmt.Sprintf("put %s by-sftp\nget by-sftp %s.back\nrename by-sftp moved\nln -s moved link\nchmod 600 moved\nmkdir d\nls d\nrmdir d\nrm link\n-rm nothing\n", local, local)
		ops, transfers := ran(t, script, "sftp", "openssh-client", append(with("-b", "-"), "127.0.0.1")...)
		whole(t, find(t, ops, "write", "by-sftp"))
		whole(t, find(t, ops, "read", "by-sftp"))
		told(t, transfers, "sftp    exit 0 files 2", len(data), len(data))
		if op := find(t, ops, "rename", "by-sftp"); !strings.HasSuffix(string(op.Target), "moved") {
			t.Errorf("%+v", op)
		}
		if op := find(t, ops, "symlink", "link"); string(op.Target) != "moved" {
			t.Errorf("%+v", op)
		}
		if op := find(t, ops, "setstat", "moved"); op.Mode&0o777 != 0o600 {
			t.Errorf("%+v", op)
		}
		if op := find(t, ops, "remove", "nothing"); op.Code != 2 {
			t.Errorf("%+v", op)
		}
		find(t, ops, "mkdir", "/d")
		find(t, ops, "list", "/d/")
		find(t, ops, "rmdir", "/d")
		find(t, ops, "remove", "/link")
	})
	t.Run("the server of SFTP by its path", func(t *testing.T) {
		ops, transfers := ran(t, "put "+local+" by-path\n", "sftp", "openssh-client", append(with("-b", "-", "-s", "/usr/lib/openssh/sftp-server"), "127.0.0.1")...)
		whole(t, find(t, ops, "write", "by-path"))
		told(t, transfers, "sftp    exit 0 files 1", len(data), 0)
	})
	t.Run("rsync", func(t *testing.T) {
		_, transfers := ran(t, "", "rsync", "rsync", "-e", shell, local, "127.0.0.1:by-rsync")
		told(t, transfers, "rsync up by-rsync  exit 0 files 0", len(data), 0)
		_, transfers = ran(t, "", "rsync", "rsync", "-e", shell, "127.0.0.1:by-rsync", local+".rsync")
		told(t, transfers, "rsync down by-rsync  exit 0 files 0", 0, len(data))
	})
	t.Run("git", func(t *testing.T) {
		repo, git := w.you.path("repo"), rig.Need(t, "git", "git")
		if r := w.you.ssh(w.web.Login+"@web-1", "git init -q --bare repo.git"); r.status != 0 {
			t.Fatalf("%+v", r)
		}
		commit := fmt.Sprintf(`%[1]s init -q -b main %[2]s; cd %[2]s; echo x >f; %[1]s add f
%[1]s -c user.name=you -c user.email=you@example.com commit -q -m one`, git, repo)
		if out, err := exec.Command("/bin/sh", "-ec", commit).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		_, transfers := ran(t, "", "git", "git", "-C", repo, "-c", "core.sshCommand="+shell, "push", "-q", "127.0.0.1:repo.git", "main")
		told(t, transfers, "git up repo.git  exit 0 files 0", 1, 1)
		_, transfers = ran(t, "", "git", "git", "-c", "core.sshCommand="+shell, "clone", "-q", "-b", "main", "127.0.0.1:repo.git", w.you.path("clone"))
		told(t, transfers, "git down repo.git  exit 0 files 0", 1, 1)
	})
	t.Run("lftp", func(t *testing.T) {
		script := fmt.Sprintf(`set sftp:connect-program "%s -a -x"; open sftp://127.0.0.1; put %s -o by-lftp; get by-lftp -o %s.lftp`, shell, local, local)
		ops, _ := ran(t, "", "lftp", "lftp", "-c", script)
		whole(t, find(t, ops, "write", "by-lftp"))
		op := find(t, ops, "read", "by-lftp")
		op.Open = false // it hangs up without closing
		whole(t, op)
	})
	t.Run("a command", func(t *testing.T) {
		before := w.endedSessions()
		execute(t, w.you.command(w.web.Login+"@web-1", "cat; echo wrong >&2; exit 3"), "typed")
		_, transfers := carried(t, w.recorded(w.endedSince(before)))
		if x := transfers[0]; summary(x) != "exec    exit 3 files 0" || x.Input != 5 || x.Output != 5 || x.Stderr != 6 {
			t.Errorf("%+v", x)
		}
	})
}

// endedSessions are those that have ended.
func (w *world) endedSessions() map[id.Session]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[id.Session]bool{}
	for s := range w.ended {
		all[s] = true
	}
	return all
}

// endedSince waits for a session that ended and was not among before.
func (w *world) endedSince(before map[id.Session]bool) (session id.Session) {
	w.t.Helper()
	rig.Eventually(w.t, 10*time.Second, "a session has ended", func() bool {
		for s := range w.endedSessions() {
			if !before[s] {
				session = s
				return true
			}
		}
		return false
	})
	return session
}

func TestContentIsKeptWhereARoleAsksForIt(t *testing.T) {
	w := newWorld(t)
	w.order.Files, w.order.Forwards = 1000, 10
	data := random(300_000)
	local := w.you.path("local")
	if err := os.WriteFile(local, data, 0o600); err != nil {
		t.Fatal(err)
	}
	before := w.endedSessions()
	r := execute(t, command(t, "scp", append(append([]string{"-q"}, w.you.to(w.web.Login+"@web-1")...), local, "127.0.0.1:kept")...), "")
	if r.status != 0 {
		t.Fatalf("%+v", r)
	}
	frames := w.recorded(w.endedSince(before))
	ops, _ := carried(t, frames)
	op := find(t, ops, "write", "kept")
	var kept []byte
	for _, f := range frames {
		if f.Kind != recording.KindContent {
			continue
		}
		c, err := recording.ParseContent(f.Payload)
		if err != nil || c.File != op.File || c.From != recording.Client || c.Offset != uint64(len(kept)) {
			t.Fatalf("%+v, %v", c, err)
		}
		kept = append(kept, c.Bytes...)
	}
	if op.Kept != 1000 || !bytes.Equal(kept, data[:1000]) {
		t.Errorf("%d bytes are kept, %d told", len(kept), op.Kept)
	}
}

func TestForwardedConnectionsAreTold(t *testing.T) {
	for _, keep := range []int64{0, 10} {
		t.Run(fmt.Sprintf("with %d bytes kept", keep), func(t *testing.T) {
			w := newWorld(t)
			w.order.Forwards = keep
			echo := echoServer(t)
			c, err := w.you.dial(w.web.Login + "@web-1")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			l := must(c.Listen("tcp", "127.0.0.1:0"))
			go func() {
				conn, err := l.Accept()
				if err == nil {
					io.Copy(conn, conn)
					conn.(interface{ CloseWrite() error }).CloseWrite()
				}
			}()
			for _, conn := range []net.Conn{must(c.Dial("tcp", echo)), must(net.Dial("tcp", l.Addr().String()))} {
				io.WriteString(conn, "a hundred bytes "+strings.Repeat("x", 84))
				conn.(interface{ CloseWrite() error }).CloseWrite()
				if b, err := io.ReadAll(conn); len(b) != 100 || err != nil {
					t.Fatalf("%d bytes, %v", len(b), err)
				}
				conn.Close()
			}
			c.Close()
			frames := w.recorded(w.last())
			_, transfers := carried(t, frames)
			if len(transfers) != 2 {
				t.Fatalf("%+v", transfers)
			}
			for i, to := range []string{echo, l.Addr().String()} {
				if x := transfers[i]; x.Tool != "forward" || x.To != to || x.Input != 100 || x.Output != 100 {
					t.Errorf("%+v", x)
				}
			}
			if in, out := content(frames, recording.KindInput), content(frames, recording.KindOutput); int64(len(in)) != 2*keep || int64(len(out)) != 2*keep {
				t.Errorf("kept %q and %q", in, out)
			}
			for _, f := range frames {
				var b recording.Bulk
				if f.Kind == recording.KindBulk && (f.Decode(&b) != nil || b.Final && (b.Bytes != 100 || len(b.SHA256) != 32)) {
					t.Errorf("%+v", b)
				}
			}
		})
	}
}
