package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// credentials are ann's files, as clients other than OpenSSH are given them.
func credentials() (key, certificate string) {
	dir := filepath.Join(ann.Dir, ".ssh", "sallyport")
	return filepath.Join(dir, "id_ed25519"), filepath.Join(dir, "id_ed25519-cert.pub")
}

func proxyAddr() (host, port string) {
	host, port, _ = strings.Cut(world.Proxy, ":")
	return host, port
}

// output runs a command in ann's home and wants its output to have text.
func output(t *testing.T, text string, name string, args ...string) {
	t.Helper()
	r := ann.Run(name, args...)
	if r.Status != 0 || !strings.Contains(r.Stdout, text) {
		t.Fatalf("%s", r)
	}
}

func TestOpenSSH75Connects(t *testing.T) {
	ssh1 := rig.Need(t, "ssh1", "openssh-client-ssh1")
	key, certificate := credentials()
	host, port := proxyAddr()
	output(t, "works", ssh1, "-2", "-F", "/dev/null", "-i", key, "-o", "CertificateFile="+certificate, "-o", "IdentitiesOnly=yes",
		"-o", "UserKnownHostsFile="+filepath.Join(filepath.Dir(key), "known_hosts"), "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes",
		"-p", port, "-l", web.Login+"@web-1", host, "echo works")
}

func TestPuTTYConnects(t *testing.T) {
	plink, puttygen := rig.Need(t, "plink", "putty-tools"), rig.Need(t, "puttygen", "putty-tools")
	key, certificate := credentials()
	host, port := proxyAddr()
	ppk := filepath.Join(t.TempDir(), "key.ppk")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ann.Must(puttygen, key, "-O", "private", "-o", ppk, "--new-passphrase", empty)
	output(t, "works", plink, "-ssh", "-batch", "-i", ppk, "-cert", certificate, "-hostkey", hostKeyPrint(t), "-P", port, "-l", web.Login+"@web-1", host, "echo works")
}

// hostKeyPrint is the fingerprint of the proxy's plain host key, for clients
// that do not know host certificates.
func hostKeyPrint(t *testing.T) string {
	t.Helper()
	host, port := proxyAddr()
	lines, err := exec.Command(rig.Need(t, "ssh-keyscan", "openssh-client"), "-p", port, "-t", "ed25519", host).Output()
	if err != nil {
		t.Fatalf("scan the proxy's host key: %v", err)
	}
	scan := exec.Command("ssh-keygen", "-lf", "-")
	scan.Stdin = strings.NewReader(string(lines))
	out, err := scan.Output()
	if f := strings.Fields(string(out)); err == nil && len(f) > 1 {
		return f[1]
	}
	t.Fatalf("no fingerprint in %q: %v", out, err)
	return ""
}

func TestParamikoConnects(t *testing.T) {
	python(t, "python3-paramiko", `
import paramiko, sys
host, port, login, key, cert = sys.argv[1:]
k = paramiko.Ed25519Key.from_private_key_file(key); k.load_certificate(cert)
c = paramiko.SSHClient(); c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect(host, int(port), username=login, pkey=k, allow_agent=False, look_for_keys=False)
i, o, e = c.exec_command("echo works; exit 5"); out = o.read().decode()
assert o.channel.recv_exit_status() == 5
s = c.open_sftp(); f = s.open("paramiko.txt", "w"); f.write("by paramiko"); f.close()
assert s.open("paramiko.txt").read() == b"by paramiko"
print(out)
`)
}

func TestAsyncsshConnects(t *testing.T) {
	python(t, "python3-asyncssh", `
import asyncio, asyncssh, sys
host, port, login, key, cert = sys.argv[1:]
async def main():
    async with asyncssh.connect(host, int(port), username=login, client_keys=[(key, cert)], known_hosts=None, agent_path=None, config=None) as c:
        r = await c.run("echo works; exit 5")
        assert r.exit_status == 5, r
        async with c.start_sftp_client() as s:
            async with s.open("asyncssh.txt", "w") as f: await f.write("by asyncssh")
            async with s.open("asyncssh.txt") as f: assert await f.read() == "by asyncssh"
        print(r.stdout)
asyncio.run(main())
`)
}

// python runs a script with Debian's python, whose modules are Debian's.
func python(t *testing.T, pkg, script string) {
	t.Helper()
	const interpreter = "/usr/bin/python3"
	if exec.Command(interpreter, "-c", "import "+strings.TrimPrefix(pkg, "python3-")).Run() != nil {
		rig.Install(t, pkg)
	}
	key, certificate := credentials()
	host, port := proxyAddr()
	output(t, "works", interpreter, "-W", "ignore", "-c", script, host, port, web.Login+"@web-1", key, certificate)
}

func TestLftpListsAndGets(t *testing.T) {
	lftp := rig.Need(t, "lftp", "lftp")
	path, data := file(t, 100_000)
	w := ways()[0]
	script := fmt.Sprintf(`set sftp:connect-program "%s -a -x"; open sftp://%s; put %s; get %s -o %s.lftp`,
		w.remoteShell(), w.host, path, filepath.Base(path), path)
	if r := ann.Run(lftp, "-c", script); r.Status != 0 {
		t.Fatalf("%s", r)
	}
	same(t, path+".lftp", data)
}

func TestSshfsMounts(t *testing.T) {
	sshfs := rig.Need(t, "sshfs", "sshfs")
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("this kernel has no FUSE, which no package brings")
	}
	dir := t.TempDir()
	p := rig.Start(t, ann.Command(sshfs, "-f", "-o", "ssh_command="+strings.ReplaceAll(ways()[0].remoteShell(), ",", `\,`), "web-1:", dir))
	rig.Eventually(t, 15e9, "the mount is there", func() bool {
		return exec.Command("mountpoint", "-q", dir).Run() == nil // before it, a file would be this machine's
	})
	if err := os.WriteFile(filepath.Join(dir, "by-sshfs"), []byte("works"), 0o600); err != nil {
		t.Error(err)
	}
	exec.Command("fusermount3", "-u", dir).Run()
	p.Stop(5e9)
	same(t, filepath.Join(web.Home(web.Login), "by-sshfs"), []byte("works"))
}

// TestAnsibleRunsWithItsDefaults: ControlPersist, sftp, pipelining off, and its
// temporary files.
func TestAnsibleRunsWithItsDefaults(t *testing.T) {
	ansible := rig.Need(t, "ansible", "ansible-core")
	inventory := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(inventory, fmt.Appendf(nil, "web-1 ansible_user=%s ansible_python_interpreter=/usr/bin/python3\n", web.Login), 0o600); err != nil {
		t.Fatal(err)
	}
	rig.Need(t, "python3", "python3")
	output(t, `"ping": "pong"`, ansible, "-i", inventory, "web-1", "-m", "ping")
	output(t, "works", ansible, "-i", inventory, "web-1", "-m", "shell", "-a", "echo works")
	ann.Run("ssh", "-O", "exit", "web-1")
}

// TestSshAuditFindsNothingToFail runs the auditor of configurations that the
// field uses.
func TestSshAuditFindsNothingToFail(t *testing.T) {
	audit := rig.Need(t, "ssh-audit", "ssh-audit")
	host, port := proxyAddr()
	out, _ := exec.Command(audit, "--no-colors", "-p", port, host).CombinedOutput()
	if strings.Contains(string(out), "[fail]") || !strings.Contains(string(out), "(kex)") {
		t.Fatalf("%s", out)
	}
}
