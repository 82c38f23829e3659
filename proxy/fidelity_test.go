package proxy

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// random returns n bytes that do not compress.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func TestACommandIsTheSameAsDirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	for _, test := range []struct {
		name, command, stdin string
		want                 result
	}{
		{"nothing", "true", "", result{"", "", 0}},
		{"an exit status", "exit 113", "", result{"", "", 113}},
		{"a signal", "kill -TERM $$", "", result{"", "", -1}}, // ssh exits with 255
		{"stderr apart", "echo a; echo b >&2; echo c", "", result{"a\nc\n", "b\n", 0}},
		{"input to its end", "cat; echo end", "typed", result{"typedend\n", "", 0}},
		{"output after the end of input", "cat >/dev/null; echo after", strings.Repeat("x", 1<<20), result{"after\n", "", 0}},
		{"bytes that are no text", `printf '\000\377\200\r\n'`, "", result{"\x00\xff\x80\r\n", "", 0}},
		{"an environment that sshd accepts", `echo "$LC_TEST"`, "", result{"of-test\n", "", 0}},
		{"output without end of line", "printf x", "", result{"x", "", 0}},
		{"input that nobody reads", "echo done", strings.Repeat("y", 4<<20), result{"done\n", "", 0}},
		{"output closed before the end", "exec >&- 2>&-; sleep 0.1; exit 4", "", result{"", "", 4}},
		{"something in the background that keeps the output", "(sleep 2; echo late) & echo early", "", result{"early\nlate\n", "", 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := w.you.command(where, test.command)
			cmd.Args = append(cmd.Args[:1], append([]string{"-o", "SendEnv=LC_TEST"}, cmd.Args[1:]...)...)
			cmd.Env = append(os.Environ(), "LC_TEST=of-test")
			got := execute(t, cmd, test.stdin)
			if test.want.status == -1 {
				test.want.status = 255
			}
			if got != test.want {
				t.Errorf("got %.200q, want %.200q", fmt.Sprint(got), fmt.Sprint(test.want))
			}
		})
	}
}

func TestALargeOutputArrivesWhole(t *testing.T) {
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	file := filepath.Join(w.web.Home(w.web.Login), "large")
	data := random(64 << 20)
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Run("down", func(t *testing.T) {
		out, err := w.you.command(where, "cat large").Output()
		if err != nil || !bytes.Equal(out, data) {
			t.Errorf("%d bytes of %d, %v", len(out), len(data), err)
		}
	})
	t.Run("up", func(t *testing.T) {
		cmd := w.you.command(where, "cmp - large && echo same")
		cmd.Stdin = bytes.NewReader(data)
		if out, err := cmd.CombinedOutput(); string(out) != "same\n" {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("with a new key every megabyte", func(t *testing.T) {
		cmd := w.you.command(where, "cat large")
		cmd.Args = append(cmd.Args[:1], append([]string{"-o", "RekeyLimit=1M"}, cmd.Args[1:]...)...)
		out, err := cmd.Output()
		if err != nil || !bytes.Equal(out, data) {
			t.Errorf("%d bytes of %d, %v", len(out), len(data), err)
		}
	})
	t.Run("at a terminal, to its last line", func(t *testing.T) {
		for range 12 {
			cmd := w.you.command(where, "seq 1 100000")
			cmd.Args = append(cmd.Args[:1], append([]string{"-tt"}, cmd.Args[1:]...)...)
			out, err := cmd.Output()
			if err != nil || !bytes.HasSuffix(out, []byte("\n100000\r\n")) || bytes.Count(out, []byte("\n")) != 100000 {
				t.Fatalf("%d lines, %v", bytes.Count(out, []byte("\n")), err)
			}
		}
	})
}

func TestFilesAreCopied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.web.Home(w.web.Login)
	data := random(3 << 20)
	local := w.you.path("local")
	if err := os.WriteFile(local, data, 0o600); err != nil {
		t.Fatal(err)
	}
	same := func(t *testing.T, path string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}
	options := w.you.to(w.web.Login + "@web-1")
	shell := rig.Need(t, "ssh", "openssh-client") + " " + strings.Join(options, " ")
	with := func(args ...string) []string { return append(append([]string{"-q"}, options...), args...) }
	for _, test := range []struct {
		name, program, pkg string
		args               []string
	}{
		{"scp, which is SFTP", "scp", "openssh-client", with(local, "127.0.0.1:scp")},
		{"scp's old protocol", "scp", "openssh-client", with("-O", local, "127.0.0.1:scp-old")},
		{"rsync", "rsync", "rsync", []string{"-z", "-e", shell, local, "127.0.0.1:rsync"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if r := execute(t, exec.Command(rig.Need(t, test.program, test.pkg), test.args...), ""); r.status != 0 {
				t.Fatalf("%+v", r)
			}
			same(t, filepath.Join(home, test.args[len(test.args)-1][len("127.0.0.1:"):]))
		})
	}
	t.Run("scp back", func(t *testing.T) {
		for _, old := range []bool{false, true} {
			back := w.you.path("back")
			args := with("127.0.0.1:scp", back)
			if old {
				args = with("-O", "127.0.0.1:scp", back)
			}
			if r := execute(t, command(t, "scp", args...), ""); r.status != 0 {
				t.Fatalf("%+v", r)
			}
			same(t, back)
			os.Remove(back)
		}
	})
	t.Run("sftp", func(t *testing.T) {
		cmd := command(t, "sftp", append(append([]string{"-q", "-b", "-"}, options...), "127.0.0.1")...)
		r := execute(t, cmd, fmt.Sprintf("put %s sftp\nget sftp %s\nls -l sftp\nrm sftp\n", local, w.you.path("fetched")))
		if r.status != 0 {
			t.Fatalf("%+v", r)
		}
		same(t, w.you.path("fetched"))
	})
	t.Run("git", func(t *testing.T) {
		git := rig.Need(t, "git", "git")
		repo := w.you.path("repo")
		script := fmt.Sprintf(`set -e
export HOME=%[1]s GIT_SSH_COMMAND=%[3]q GIT_CONFIG_NOSYSTEM=1
%[2]s init -q -b main repo && cd repo
cp ../local file && %[2]s add file
%[2]s -c user.name=you -c user.email=you@example.com commit -q -m one
%[4]s 'git init -q --bare repo.git'
%[2]s push -q 127.0.0.1:repo.git main
cd .. && %[2]s clone -q -b main 127.0.0.1:repo.git clone`, w.you.dir, git, shell, shell+" 127.0.0.1")
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Dir = w.you.dir
		if r := execute(t, cmd, ""); r.status != 0 {
			t.Fatalf("%+v", r)
		}
		same(t, filepath.Join(w.you.dir, "clone", "file"))
		_ = repo
	})
}

func TestATerminal(t *testing.T) {
	w := newWorld(t)
	c, err := w.you.dial(w.web.Login + "@web-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	term := newTerminal(t, c, 80, 24)
	term.expect("This session is recorded (web-deploy). Session ")
	term.typed("stty size\n")
	term.expect("24 80")
	term.resize(132, 43)
	term.typed("stty size\n")
	term.expect("43 132")
	term.typed("sleep 100\n")
	term.expect("sleep 100\r\n")
	term.typed("\x03") // ends the sleep
	term.expect("^C")
	term.typed("\necho back-$((40+2))\n")
	term.expect("back-42")
	term.typed("exit 9\n")
	if status := term.wait(); status != 9 {
		t.Errorf("exit status %d", status)
	}
	c.Close()
	frames := w.recorded(w.last())
	if out := content(frames, recording.KindOutput); !strings.Contains(term.screen.String(), out) {
		t.Error("what was seen is not what was recorded")
	}
	var resized bool
	for _, f := range frames {
		resized = resized || f.Kind == recording.KindRequest && bytes.Contains(f.Payload, []byte("window-change"))
	}
	if !resized {
		t.Error("the resize was not recorded")
	}
}

// sshd tells the end of a program's output only when the program has ended, so
// the far side is a server behind a forward.
func TestAHalfClosedChannelStaysOpen(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "all that I say\n")
		conn.(*net.TCPConn).CloseWrite()
		rest, _ := io.ReadAll(conn)
		heard <- string(rest)
	}()
	c, err := w.you.dial(w.web.Login + "@web-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn, err := c.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "all that I say\n" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	io.WriteString(conn, "and what you say after it")
	conn.(interface{ CloseWrite() error }).CloseWrite()
	if got := <-heard; got != "and what you say after it" {
		t.Errorf("the other half carried %q", got)
	}
}

func TestAHundredChannelsAtOnce(t *testing.T) {
	w := newWorld(t)
	c, err := w.you.dial(w.web.Login + "@web-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			s, err := c.NewSession()
			if err != nil {
				t.Errorf("channel %d: %v", i, err)
				return
			}
			out, err := s.Output(fmt.Sprintf("read line; echo %d", i))
			if exit, ok := err.(*ssh.ExitError); string(out) != fmt.Sprintln(i) || err != nil && !ok && exit == nil {
				t.Errorf("channel %d: %q, %v", i, out, err)
			}
		})
	}
	all.Wait()
}

func TestControlMaster(t *testing.T) {
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	socket := w.you.path("master")
	master := w.you.command(where)
	master.Args = append(append(master.Args[:1:1], "-M", "-N", "-S", socket), master.Args[1:]...)
	m := rig.Start(t, master)
	rig.Eventually(t, 10*time.Second, "the master is up", func() bool { _, err := os.Stat(socket); return err == nil })
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			cmd := w.you.command(where, fmt.Sprintf("echo %d; exit %d", i, i))
			cmd.Args = append(append(cmd.Args[:1:1], "-S", socket, "-o", "ControlPath="+socket), cmd.Args[1:]...)
			if r := execute(t, cmd, ""); r.stdout != fmt.Sprintln(i) || r.status != i {
				t.Errorf("%d: %+v", i, r)
			}
		})
	}
	all.Wait()
	m.Stop(5 * time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked) != 1 {
		t.Errorf("the CA was asked %d times for one connection", len(w.asked))
	}
}

func TestForwards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	echo := echoServer(t)
	c, err := w.you.dial(where)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	speak := func(t *testing.T, conn net.Conn, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		want := random(3 << 20)
		go func() {
			conn.Write(want)
			conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		if got, err := io.ReadAll(conn); !bytes.Equal(got, want) {
			t.Errorf("%d bytes came back, %v", len(got), err)
		}
	}
	t.Run("local", func(t *testing.T) {
		conn, err := c.Dial("tcp", echo)
		speak(t, conn, err)
	})
	t.Run("local to nobody", func(t *testing.T) {
		_, err := c.Dial("tcp", "127.0.0.1:1")
		var refused *ssh.OpenChannelError
		if !asErr(err, &refused) || refused.Reason != ssh.ConnectionFailed {
			t.Errorf("%v", err)
		}
	})
	t.Run("remote, with a port that the node chooses", func(t *testing.T) {
		l, err := c.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					io.Copy(conn, conn)
					conn.(interface{ CloseWrite() error }).CloseWrite()
				}()
			}
		}()
		conn, err := net.Dial("tcp", l.Addr().String())
		speak(t, conn, err)
	})
	t.Run("unix sockets", func(t *testing.T) {
		socket := filepath.Join(w.web.Home(w.web.Login), "sock")
		l, err := c.ListenUnix(socket)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			conn, err := l.Accept()
			if err == nil {
				io.Copy(conn, conn)
				conn.(interface{ CloseWrite() error }).CloseWrite()
			}
		}()
		conn, err := c.Dial("unix", socket)
		speak(t, conn, err)
	})
	t.Run("dynamic, as curl through ssh -D", func(t *testing.T) {
		listen := rig.FreeAddr(t)
		cmd := w.you.command(where)
		cmd.Args = append(append(cmd.Args[:1:1], "-N", "-D", listen), cmd.Args[1:]...)
		p := rig.Start(t, cmd)
		defer p.Stop(5 * time.Second)
		rig.Eventually(t, 10*time.Second, "ssh listens", func() bool {
			conn, err := net.Dial("tcp", listen)
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
		conn, err := net.Dial("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		socks5(t, conn, echo)
		speak(t, conn, nil)
	})
	t.Run("the agent", func(t *testing.T) {
		agent := rig.Start(t, exec.Command(rig.Need(t, "ssh-agent", "openssh-client"), "-D", "-a", w.you.path("agent")))
		defer agent.Stop(5 * time.Second)
		rig.Eventually(t, 5*time.Second, "the agent is up", func() bool { _, err := os.Stat(w.you.path("agent")); return err == nil })
		add := exec.Command(rig.Need(t, "ssh-add", "openssh-client"), "-q", w.you.path("id"))
		add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+w.you.path("agent"))
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		cmd := w.you.command(where, "ssh-add -l")
		cmd.Args = append(append(cmd.Args[:1:1], "-A"), cmd.Args[1:]...)
		cmd.Env = add.Env
		if r := execute(t, cmd, ""); !strings.Contains(r.stdout, "ED25519") {
			t.Errorf("%+v", r)
		}
	})
}

func echoServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(conn, conn)
				conn.(*net.TCPConn).CloseWrite()
			}()
		}
	}()
	return l.Addr().String()
}

// socks5 asks for a connection to an IPv4 address (RFC 1928).
func socks5(t *testing.T, conn net.Conn, addr string) {
	t.Helper()
	to := must(net.ResolveTCPAddr("tcp", addr))
	conn.Write([]byte{5, 1, 0})
	var hello [2]byte
	io.ReadFull(conn, hello[:])
	conn.Write(append(append([]byte{5, 1, 0, 1}, to.IP.To4()...), byte(to.Port>>8), byte(to.Port)))
	var reply [10]byte
	if _, err := io.ReadFull(conn, reply[:]); err != nil || reply[1] != 0 {
		t.Fatalf("SOCKS: %v, %v", reply, err)
	}
}
