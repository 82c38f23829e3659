package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// bench is what the groups share: one world, made at the first
// need.
type bench struct {
	*rig.Suite
	report report

	world *rig.World
	ann   *rig.Home
	node  *rig.Member
	cmp   []target // direct, relay, sallyport
}

// policy has every session encrypted to an auditor whose key nobody keeps.
func policy() (string, error) {
	auditor, err := age.GenerateX25519Identity()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`role: bench
who:   { groups: [eng] }
where: { nodes: ["*"] }
as:    { logins: ["*"] }
what:  { channels: [shell, exec, sftp, forward-local] }
recording: { recipients: [%s] }
`, auditor.Recipient()), nil
}

// up brings the world with one node up, and ann into it.
func (b *bench) up() {
	if b.world != nil {
		return
	}
	b.world = rig.NewWorld(b, "")
	roles, err := policy()
	if err != nil {
		b.Fatalf("%v", err)
	}
	b.world.Policy(roles)
	b.node = b.world.Join("bench-node", rig.SSHDConfig{}, "env=bench")
	b.ann = b.world.Login("ann")
}

// targets are the same node three times: direct, through the bare relay, and
// through Sallyport as `ssh login@node` goes there.
func (b *bench) targets() []target {
	b.up()
	if b.cmp != nil {
		return b.cmp
	}
	dir := b.TempDir()
	key := filepath.Join(dir, "key")
	signer := rig.NewKey(b, key)
	home := filepath.Join(b.node.Home(b.node.Login), ".ssh")
	if err := os.MkdirAll(home, 0o755); err != nil {
		b.Fatalf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(home, "authorized_keys"), ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o644); err != nil {
		b.Fatalf("%v", err)
	}
	relay := filepath.Join(dir, "relay")
	if err := rig.GoBuild(rig.Root(), "./internal/rig/relay", relay); err != nil {
		b.Fatalf("%v", err)
	}
	addr := rig.FreeAddr(b)
	run := rig.Start(b, exec.Command(relay, "-listen", addr, "-node", b.node.Addr, "-login", b.node.Login, "-key", key))
	rig.Eventually(b, 10*time.Second, "the relay listens", func() bool { return strings.Contains(run.Log.String(), "listening") })
	plain := func(name, addr string) target {
		host, port, _ := strings.Cut(addr, ":")
		return target{name, []string{rig.Need(b, "ssh", "openssh-client"), "-F", "none", "-i", key, "-p", port,
			"-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", b.node.Login + "@" + host}, nil}
	}
	b.cmp = []target{plain("direct", b.node.Addr), plain("relay", addr),
		{"sallyport", []string{filepath.Join(b.ann.Dir, "bin", "ssh"), "-o", "LogLevel=ERROR", b.node.Login + "@bench-node"}, b.ann.Env()}}
	return b.cmp
}

// resident is a process' resident memory in bytes, VmRSS of proc(5).
func (b *bench) resident(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatalf("%v", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscanf(rest, "%d", &kib); err != nil {
		b.Fatalf("read VmRSS of %d: %v", pid, err)
	}
	return kib << 10
}

// cpu is the processor time that a process has used, from proc(5), stat.
func (b *bench) cpu(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatalf("%v", err)
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	var user, system int64
	fmt.Sscan(f[11], &user)
	fmt.Sscan(f[12], &system)
	return time.Duration(user+system) * time.Second / 100 // USER_HZ is 100 on Linux
}
