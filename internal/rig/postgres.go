package rig

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Database is a PostgreSQL server of one test, reached by a unix socket alone.
type Database struct {
	// URL is of an empty database, owned by a role that is no superuser.
	URL string

	t       T
	bin     string // where the programs are
	dir     string // data and socket
	as      *syscall.SysProcAttr
	durable bool
	server  *Process
}

// Postgres starts PostgreSQL for this test. It does not sync to the disk: tests
// kill processes, not machines.
func Postgres(t T) *Database { return startPostgres(t, false) }

// DurablePostgres is Postgres with each commit on the disk, as a production
// server has it, for benchmarks.
func DurablePostgres(t T) *Database { return startPostgres(t, true) }

func startPostgres(t T, durable bool) *Database {
	t.Helper()
	d := &Database{t: t, bin: postgresPrograms(t), durable: durable}

	// t.TempDir has the test's name in it, and a socket's path has 107 bytes.
	dir, err := os.MkdirTemp("", "pg-")
	if err != nil {
		t.Fatalf("make a directory for PostgreSQL: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d.dir = dir
	if os.Geteuid() == 0 { // as whom the server refuses to run
		d.unprivileged()
	}

	d.run("initdb", "-D", d.data(), "-U", "postgres", "--auth=trust", "--no-sync",
		"--encoding=UTF8", "--locale=C")
	d.Start()
	d.run("createuser", "-h", d.dir, "-U", "postgres", "sallyport")
	d.run("createdb", "-h", d.dir, "-U", "postgres", "-O", "sallyport", "sallyport")
	d.URL = d.url("sallyport")
	return d
}

// Empty makes an empty schema in the same database, which takes a hundredth of
// the time of a database, and returns a URL whose connections live in it.
func (d *Database) Empty(name string) string {
	d.t.Helper()
	d.run("psql", "-q", "-h", d.dir, "-U", "sallyport", "-d", "sallyport", "-c", "CREATE SCHEMA "+name)
	return d.URL + "&search_path=" + name
}

// Start brings the server up, at first or after Kill, and waits until it answers.
func (d *Database) Start() {
	d.t.Helper()
	onOff := map[bool]string{false: "off", true: "on"}[d.durable]
	cmd := exec.Command(filepath.Join(d.bin, "postgres"), "-D", d.data(),
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+d.dir,
		"-c", "fsync="+onOff, "-c", "synchronous_commit=on", "-c", "full_page_writes="+onOff)
	cmd.SysProcAttr = d.as
	d.server = Start(d.t, cmd)
	d.t.Cleanup(d.stop) // before Start's own, which would wait for clients
	Eventually(d.t, 30*time.Second, "PostgreSQL answers", func() bool {
		select {
		case <-d.server.Done():
			d.t.Fatalf("PostgreSQL ended:\n%s", d.server.Log)
		default:
		}
		return d.command("pg_isready", "-q", "-h", d.dir, "-U", "postgres").Run() == nil
	})
}

// Kill ends the server as a crash does: no word to anybody, no last checkpoint.
// Its children would notice by and by; they are killed too, so that Start finds
// the field clear.
func (d *Database) Kill() {
	d.t.Helper()
	children := d.children()
	d.server.Kill()
	for _, pid := range children {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	Eventually(d.t, 10*time.Second, "PostgreSQL's children are gone", func() bool {
		return !slices.ContainsFunc(children, isRunning)
	})
}

// stop ends the server without waiting for its clients ("fast shutdown").
func (d *Database) stop() {
	d.server.Cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-d.server.Done():
	case <-time.After(5 * time.Second):
		d.Kill()
	}
}

// children are the server's processes, but for the first.
func (d *Database) children() []int {
	pid := d.server.Cmd.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		d.t.Fatalf("list PostgreSQL's children: %v", err)
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(field); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}

// isRunning is false for a zombie too: its command line is empty, and whoever
// adopted it may not be in a hurry.
func isRunning(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && len(text) > 0
}

func (d *Database) data() string { return filepath.Join(d.dir, "data") }

func (d *Database) url(name string) string {
	return "postgres:///" + name + "?user=sallyport&host=" + url.QueryEscape(d.dir)
}

// command is one of PostgreSQL's programs, under the server's user.
func (d *Database) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(d.bin, program), args...)
	cmd.Dir = d.dir
	cmd.SysProcAttr = d.as
	return cmd
}

func (d *Database) run(program string, args ...string) {
	d.t.Helper()
	if out, err := d.command(program, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// unprivileged gives d's directory to the user that Debian made for PostgreSQL,
// or to nobody, and runs the programs as that user.
func (d *Database) unprivileged() {
	d.t.Helper()
	who, err := user.Lookup("postgres")
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	if err != nil {
		d.t.Fatalf("find a user for PostgreSQL: %v", err)
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	if err := os.Chown(d.dir, uid, gid); err != nil {
		d.t.Fatalf("give PostgreSQL its directory: %v", err)
	}
	d.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// postgresPrograms is where Debian keeps the server's programs, which are not in
// PATH: the newest version's.
func postgresPrograms(t T) string {
	t.Helper()
	newest := func() string {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
		slices.SortFunc(found, func(a, b string) int {
			return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
		})
		if len(found) == 0 {
			return ""
		}
		return filepath.Dir(found[len(found)-1])
	}
	if newest() == "" {
		if os.Geteuid() != 0 {
			t.Fatalf("PostgreSQL is not installed: apt-get install postgresql")
		}
		Install(t, "postgresql")
	}
	bin := newest()
	if bin == "" {
		t.Fatalf("package postgresql did not bring a server")
	}
	return bin
}
