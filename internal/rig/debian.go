package rig

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Releases of Debian that are tested as nodes, by the OpenSSH that they have.
const (
	Bullseye = "bullseye" // 8.4
	Bookworm = "bookworm" // 9.2
	Trixie   = "trixie"   // 10.0
)

// Machine is a whole Debian node: own file system, processes, host name and
// network, with the test's sallyport at /usr/local/bin/sallyport. It shares the
// kernel with the test and ends with it. systemd does not run in it.
type Machine struct {
	Release string
	IP      string // its address
	Host    string // this side's address as the machine sees it: bind servers here
	Addr    string // of its sshd
	Login   string // an account without a password

	t    T
	pid  int // of its init, as seen from here
	init *Process
}

// Debian boots a machine of release, with sshd running on Debian's own
// configuration and fresh host keys. The base system is made once by debootstrap
// from the mirror that this machine's apt uses, and kept in the user's cache
// folder; the machine writes to memory above it. It takes root.
func Debian(t T, release string) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatalf("a Debian machine takes root: namespaces, overlay, debootstrap")
	}
	base, binary, dir := debianBase(t, release), Binary(t), RootDir(t)
	m := &Machine{Release: release, Login: baseLogin, t: t}
	namespace := m.network(dir)

	script := fmt.Sprintf(bootScript, base, dir, binary, release)
	init := exec.Command(Need(t, "ip", "iproute2"), "netns", "exec", namespace,
		Need(t, "unshare", "util-linux"), "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
		"sh", "-c", script)
	m.init = Start(t, init)
	t.Cleanup(m.init.Kill) // unshare ignores SIGTERM; with it goes all that runs inside
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if m.pid = child(m.init.Cmd.Process.Pid); m.pid != 0 {
			if _, err := os.Stat(fmt.Sprintf("/proc/%d/root/run/booted", m.pid)); err == nil {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not boot: %s", release, m.init.Log)
		}
	}
	m.Run("ssh-keygen -A >/dev/null && mkdir -p /run/sshd && /usr/sbin/sshd -E /var/log/sshd.log")
	m.Addr = net.JoinHostPort(m.IP, "22")
	Eventually(t, 10*time.Second, "sshd of "+release+" listens", func() bool {
		conn, err := net.DialTimeout("tcp", m.Addr, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return m
}

// bootScript becomes the machine's init: it puts memory above the base system,
// mounts what programs expect, and then waits for ever, collecting the dead.
const bootScript = `set -e
base=%[1]s dir=%[2]s binary=%[3]s
mkdir $dir/memory $dir/root
mount -t tmpfs -o mode=0755 machine $dir/memory
mkdir $dir/memory/upper $dir/memory/scratch
mount -t overlay -o lowerdir=$base,upperdir=$dir/memory/upper,workdir=$dir/memory/scratch machine $dir/root
cd $dir/root
mount -t proc proc proc
mount -t tmpfs -o mode=0755 run run
mount -t tmpfs -o mode=0755 dev dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
touch usr/local/bin/sallyport
mount --bind $binary usr/local/bin/sallyport
hostname %[4]s
echo 127.0.0.1 localhost %[4]s > etc/hosts
touch run/booted
exec chroot . sh -c 'while :; do sleep 3600 & wait $!; done'
`

// Command is a program inside the machine, to be run or started by the caller.
func (m *Machine) Command(name string, args ...string) *exec.Cmd {
	args = append([]string{"--target", fmt.Sprint(m.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--", name}, args...)
	cmd := exec.Command(Need(m.t, "nsenter", "util-linux"), args...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	return cmd
}

// Exec runs a shell line inside and returns what it printed on both streams.
func (m *Machine) Exec(line string) (string, error) {
	out, err := m.Command("sh", "-c", line).CombinedOutput()
	return string(out), err
}

// Run is Exec for what has to work.
func (m *Machine) Run(line string) string {
	m.t.Helper()
	out, err := m.Exec(line)
	if err != nil {
		m.t.Fatalf("%s: %s: %v\n%s", m.Release, line, err, out)
	}
	return out
}

// Put writes a file inside, with its parents.
func (m *Machine) Put(path, content string, mode os.FileMode) {
	m.t.Helper()
	cmd := m.Command("install", "-D", "-m", fmt.Sprintf("%04o", mode), "/dev/stdin", path)
	cmd.Stdin = strings.NewReader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("%s: write %s: %v\n%s", m.Release, path, err, out)
	}
}

// Log returns what the machine's sshd has logged.
func (m *Machine) Log() string {
	out, _ := m.Exec("cat /var/log/sshd.log")
	return out
}

// network makes the machine's network namespace, wired to this side by a pair
// of addresses from the range for tests (RFC 2544: 198.18.0.0/15).
func (m *Machine) network(dir string) string {
	m.t.Helper()
	ip := func(args ...string) error {
		out, err := exec.Command(Need(m.t, "ip", "iproute2"), args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	tag := filepath.Base(dir)
	namespace, here, there := networkName(dir), "sp"+tag+"h", "sp"+tag+"n" // 15 bytes at most
	if err := ip("netns", "add", namespace); err != nil {
		m.t.Fatalf("%v", err)
	}
	m.t.Cleanup(func() {
		if err := ip("netns", "del", namespace); err != nil {
			m.t.Logf("%v", err)
		}
		ip("link", "del", here) // gone with the namespace, but that may take a moment
	})
	net := linkNumber(m.t)
	prefix := fmt.Sprintf("198.%d.%d", 18+net>>14, net>>6&0xff)
	m.Host, m.IP = fmt.Sprintf("%s.%d", prefix, net<<2&0xff+1), fmt.Sprintf("%s.%d", prefix, net<<2&0xff+2)
	for _, args := range [][]string{
		{"link", "add", here, "type", "veth", "peer", "name", there, "netns", namespace},
		{"addr", "add", m.Host + "/30", "dev", here},
		{"link", "set", here, "up"},
		{"-n", namespace, "addr", "add", m.IP + "/30", "dev", there},
		{"-n", namespace, "link", "set", there, "up"},
		{"-n", namespace, "link", "set", "lo", "up"},
		{"-n", namespace, "route", "add", "default", "via", m.Host},
	} {
		if err := ip(args...); err != nil {
			m.t.Fatalf("%v", err)
		}
	}
	return namespace
}

// child returns the first child of pid, 0 when there is none.
func child(pid int) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var first int
	fmt.Fscan(bytes.NewReader(data), &first)
	return first
}
