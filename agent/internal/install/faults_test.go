package install_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/agent/internal/install"
	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// fault is what happens at one step of the procedure.
type faultKind int

const (
	none     faultKind = iota
	fails              // the step is not done and returns an error
	persists           // it is done and returns an error
	kills              // the process is killed before it
)

var errFault = errors.New("injected fault")

// faulty stands before the real disk and the real sshd and counts their calls.
type faulty struct {
	disk install.Disk
	sshd install.Sshd
	at   int // the step, from 1; 0 for none
	kind faultKind

	steps []string
}

func (f *faulty) step(name string, do func() error) error {
	f.steps = append(f.steps, name)
	if len(f.steps) != f.at {
		return do()
	}
	switch f.kind {
	case fails:
		return errFault
	case persists:
		return errors.Join(do(), errFault)
	case kills:
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return do()
}

func (f *faulty) Mkdir(path string) error {
	return f.step("make directory "+filepath.Base(path), func() error { return f.disk.Mkdir(path) })
}
func (f *faulty) Write(path string, data []byte, mode fs.FileMode) error {
	return f.step("write "+filepath.Base(path), func() error { return f.disk.Write(path, data, mode) })
}
func (f *faulty) Link(target, path string) error {
	return f.step("link "+filepath.Base(path), func() error { return f.disk.Link(target, path) })
}
func (f *faulty) Remove(path string) error {
	return f.step("remove "+filepath.Base(path), func() error { return f.disk.Remove(path) })
}
func (f *faulty) Test(ctx context.Context, config string) error {
	return f.step("sshd -t", func() error { return f.sshd.Test(ctx, config) })
}
func (f *faulty) Effective(ctx context.Context, config, connection string) (e sshdconf.Effective, err error) {
	err = f.step("sshd -T", func() error { e, err = f.sshd.Effective(ctx, config, connection); return err })
	return e, err
}
func (f *faulty) Reload(ctx context.Context) error {
	return f.step("reload", func() error { return f.sshd.Reload(ctx) })
}
func (f *faulty) Probe(ctx context.Context, certificates []*ssh.Certificate) error {
	return f.step("probe", func() error { return f.sshd.Probe(ctx, certificates) })
}

func (b *bench) faulty(at int, kind faultKind) (*install.Installer, *faulty) {
	in := b.installer()
	f := &faulty{disk: in.Disk, sshd: in.Sshd, at: at, kind: kind}
	in.Disk, in.Sshd = f, f
	return in, f
}

// TestPromise6_TheAgentNeverLocksTheOperatorsOut is promise 6 of DESIGN, section 7. Each
// step of an installation fails, fails after it was done, and is where the
// process is killed. After each: the configuration is valid, sshd runs on it,
// and every login that worked works; and a run without faults then succeeds.
func TestPromise6_TheAgentNeverLocksTheOperatorsOut(t *testing.T) {
	for _, c := range []struct {
		name  string
		first bool // nothing of ours is installed before
		bare  bool // sshd_config has no Include
	}{
		{name: "the first installation", first: true},
		{name: "the first where an Include line is needed", first: true, bare: true},
		{name: "a later installation"},
	} {
		for _, kind := range []faultKind{fails, persists, kills} {
			t.Run(fmt.Sprintf("%s/%s", c.name, [...]string{fails: "a step fails", persists: "a step fails after it was done", kills: "killed before a step"}[kind]), func(t *testing.T) {
				t.Parallel()
				b := newBench(t, rig.SSHDConfig{})
				if c.bare {
					config, err := os.ReadFile(b.Config())
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(b.Config(), []byte(strings.Replace(string(config), "Include ", "# Include ", 1)), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				from := 1
				if c.bare { // up to there it is the first table again
					from = 1 + slices.Index(stepNames(t, b, true), "link current")
				}
				faultTable(t, b, c.first, kind, from)
			})
		}
	}
}

func faultTable(t *testing.T, b *bench, first bool, kind faultKind, from int) {
	before, after := b.set(1), b.set(2)
	names := stepNames(t, b, first)
	original, err := os.ReadFile(b.Config())
	if err != nil {
		t.Fatal(err)
	}
	for at := from; ; at++ {
		if !first {
			b.mustInstall(before)
		}
		var step string
		if kind == kills {
			if installInChild(t, b, after, at) {
				step = names[at-1]
			}
		} else {
			in, f := b.faulty(at, kind)
			err := in.Install(t.Context(), after)
			if len(f.steps) >= at {
				step = f.steps[at-1]
				if harmless := strings.HasPrefix(step, "remove "); err == nil && !harmless {
					t.Errorf("step %d, %s: its failure went unnoticed", at, step)
				}
			}
		}
		if step == "" {
			if at < 15 {
				t.Fatalf("only %d steps", at)
			}
			return
		}
		if !t.Run(fmt.Sprintf("step %d %s", at, step), func(t *testing.T) {
			b := *b
			b.t = t
			safe(&b, first)
			b.Reload() // as the operator, or the package manager, might at any time
			safe(&b, first)
			if err := b.installer().Recover(t.Context()); err != nil {
				t.Errorf("recover: %v", err)
			}
			b.valid()
			b.mustInstall(after)
			safe(&b, false)
			b.mustNotOpen("a certificate that is revoked now", b.session(b.Login, thisNode, 1002))
			if drift, err := b.installer().Drift(t.Context()); err != nil || len(drift) > 0 {
				t.Errorf("drift %q, %v", drift, err)
			}
		}) {
			t.Fatalf("stopped at the first step that did harm; sshd says:\n%s", b.Log())
		}
		if err := b.installer().Uninstall(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now, err := os.ReadFile(b.Config()); err != nil || string(now) != string(original) {
			t.Fatalf("sshd_config is not as it was: %v\n%s", err, now)
		}
	}
}

// stepNames are the steps of an installation without a fault.
func stepNames(t *testing.T, b *bench, first bool) []string {
	t.Helper()
	if !first {
		b.mustInstall(b.set(1))
	}
	in, f := b.faulty(0, none)
	if err := in.Install(t.Context(), b.set(2)); err != nil {
		t.Fatal(err)
	}
	if err := b.installer().Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f.steps
}

// safe is what must hold at every moment.
func safe(b *bench, first bool) {
	b.t.Helper()
	b.valid()
	b.mustOpen("the account's own key", b.own)
	if !first {
		b.mustOpen("a session certificate", b.session(b.Login, thisNode, 5))
	}
	b.mustNotOpen("a certificate for another node", b.session(b.Login, "n-ba9876543210", 5))
}

// parcel is what a child process needs to install the same set.
type parcel struct {
	Dir, Config, DropIn, Program string
	Trust, KRL, Source           []byte
	Certificates                 map[string][]byte
	SessionCA                    []byte
	Set                          sshdconf.DropIn
	At                           int
}

// installInChild runs the installation in another process, which is killed
// before step at; false when it came to its end.
func installInChild(t *testing.T, b *bench, s install.Set, at int) (killed bool) {
	t.Helper()
	p := parcel{
		Dir: b.dir, Config: b.Config(), DropIn: b.dropIn(), Program: b.program.Path, At: at,
		Trust: s.Trust, KRL: s.KRL, Source: s.Source, Certificates: map[string][]byte{},
		SessionCA: s.Sshd.SessionCA[0].Marshal(), Set: s.Sshd,
	}
	p.Set.SessionCA = nil // an interface, which JSON cannot bring back
	for name, c := range s.Certificates {
		p.Certificates[name] = c.Marshal()
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperInstallsAndIsKilled$", "-test.count=1")
	cmd.Env = append(os.Environ(), helperEnv+"="+string(data))
	out, _ := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return true
	}
	if !cmd.ProcessState.Success() {
		t.Fatalf("the child failed by itself: %s", out)
	}
	return false
}

const helperEnv = "SALLYPORT_TEST_INSTALL"

// TestHelperInstallsAndIsKilled is the child of installInChild.
func TestHelperInstallsAndIsKilled(t *testing.T) {
	data := os.Getenv(helperEnv)
	if data == "" {
		t.Skip("it is a child of another test")
	}
	var p parcel
	if err := json.Unmarshal([]byte(data), &p); err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.ParsePublicKey(p.SessionCA)
	if err != nil {
		t.Fatal(err)
	}
	p.Set.SessionCA = []ssh.PublicKey{ca}
	s := install.Set{Sshd: p.Set, Trust: p.Trust, KRL: p.KRL, Source: p.Source, Certificates: map[string]*ssh.Certificate{}}
	for name, blob := range p.Certificates {
		key, err := ssh.ParsePublicKey(blob)
		if err != nil {
			t.Fatal(err)
		}
		s.Certificates[name] = key.(*ssh.Certificate)
	}
	b := &bench{t: t}
	b.program.Path, b.program.Config = p.Program, p.Config
	in := &install.Installer{Dir: p.Dir, Config: p.Config, DropIn: p.DropIn, Log: discard}
	f := &faulty{disk: install.OS{}, sshd: b.program, at: p.At, kind: kills}
	in.Disk, in.Sshd = f, f
	if err := in.Install(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}
