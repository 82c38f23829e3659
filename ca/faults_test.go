package ca

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/testissuer"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// unsignedFor is a token that claims to be of issuer, and proves nothing.
func unsignedFor(issuer string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(`{"alg":"ES256"}`)) + "." + e(fmt.Appendf(nil, `{"iss":%q}`, issuer)) + ".AAAA"
}

// harvest is every login certificate that the CA has handed out.
type harvest struct {
	mu           sync.Mutex
	certificates [][]byte
	refused      map[fault.Reason]int
}

// logIn logs in again and again, with a fresh key each time, until ctx ends.
func (h *harvest) logIn(ctx context.Context, t *testing.T, i *testissuer.Issuer, url string) {
	c, err := wire.NewClient(url)
	if err != nil {
		t.Error(err)
		return
	}
	for ctx.Err() == nil {
		p := newPerson(t)
		var out wire.LoginResponse
		err := c.Do(ctx, "POST", wire.PathLogin, p.request(t, i.Sign(i.Claims(p.nonce()))), &out)
		h.mu.Lock()
		if err == nil {
			h.certificates = append(h.certificates, out.Certificate)
		} else if ctx.Err() == nil {
			h.refused[fault.ReasonOf(err)]++
		}
		h.mu.Unlock()
	}
}

func (h *harvest) size() int { h.mu.Lock(); defer h.mu.Unlock(); return len(h.certificates) }

// check: each was recorded before it was handed out, and no serial is there twice.
func (h *harvest) check(t *testing.T, s *store.Store) {
	t.Helper()
	seen := map[uint64]bool{}
	for _, blob := range h.certificates {
		c, err := cert.Parse(blob)
		if err != nil {
			t.Fatal(err)
		}
		if seen[c.Serial] {
			t.Errorf("serial %d was handed out twice", c.Serial)
		}
		seen[c.Serial] = true
		record, err := s.Certificate(t.Context(), id.Serial(c.Serial))
		if err != nil || !bytes.Equal(record.Blob, blob) {
			t.Errorf("certificate %d was handed out and is not on record: %v", c.Serial, err)
		}
	}
}

func openStore(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (in *installation) sqlite() string {
	return "sqlite://" + filepath.Join(in.dir, "data", "ca.db")
}

func TestACAThatIsKilledDuringIssuanceHasARecordOfEverything(t *testing.T) {
	t.Parallel()
	i := testissuer.New(t)
	in := install(t, i.URL, "log: {level: warn}")
	h := &harvest{refused: map[fault.Reason]int{}}
	ctx, stop := context.WithCancel(t.Context())
	var people sync.WaitGroup
	for range 4 {
		people.Go(func() { h.logIn(ctx, t, i, in.url) })
	}
	for round := range 5 {
		before := h.size()
		run := in.spawn()
		// Somewhere in the middle of somebody's login.
		more := 5 + rand.IntN(40)
		rig.Eventually(t, 30*time.Second, fmt.Sprintf("logins in round %d", round), func() bool { return h.size() >= before+more })
		run.Kill()
	}
	stop()
	people.Wait()
	for reason := range h.refused {
		if reason != fault.CAAway {
			t.Errorf("somebody was refused: %s", reason)
		}
	}
	t.Logf("%d certificates over 5 lives", len(h.certificates))
	h.check(t, openStore(t, in.sqlite()))
}

func TestACAThatIsToldToStopFinishesWhatItBegan(t *testing.T) {
	t.Parallel()
	i := testissuer.New(t)
	in := install(t, i.URL, "log: {level: warn}")
	in.run = in.spawn()
	h := &harvest{refused: map[fault.Reason]int{}}
	ctx, stop := context.WithCancel(t.Context())
	var people sync.WaitGroup
	for range 4 {
		people.Go(func() { h.logIn(ctx, t, i, in.url) })
	}
	rig.Eventually(t, 30*time.Second, "logins", func() bool { return h.size() >= 50 })
	in.run.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-in.run.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("it does not stop")
	}
	if status := in.run.Cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("exit status %d:\n%s", status, in.run.Log)
	}
	stop()
	people.Wait()
	s := openStore(t, in.sqlite())
	h.check(t, s)
	// Nothing was broken off: what has a serial has its certificate.
	for serial := id.Serial(1); ; serial++ {
		record, err := s.Certificate(t.Context(), serial)
		if err != nil {
			break
		}
		if record.Blob == nil {
			t.Errorf("certificate %d was begun and not finished", serial)
		}
	}
}

func TestSeveralCAsOnOneDatabaseAreOneCA(t *testing.T) {
	t.Parallel()
	i := testissuer.New(t)
	database := "database: " + rig.Postgres(t).URL
	one := install(t, i.URL, database)
	keys := filepath.Join(one.dir, "data", "keys")
	two := configure(t, i.URL, database, "keys: {dir: "+keys+", passphrase_file: "+filepath.Join(one.dir, "data", "passphrase")+"}")
	one.start()
	two.start()

	h := &harvest{refused: map[fault.Reason]int{}}
	ctx, stop := context.WithCancel(t.Context())
	var people sync.WaitGroup
	for _, in := range []*installation{one, two, one, two} {
		people.Go(func() { h.logIn(ctx, t, i, in.url) })
	}
	rig.Eventually(t, 30*time.Second, "logins at both", func() bool { return h.size() >= 100 })
	stop()
	people.Wait()
	if len(h.refused) > 0 {
		t.Errorf("refused: %v", h.refused)
	}
	h.check(t, openStore(t, strings.TrimPrefix(database, "database: ")))

	// Who logs in here is known there; what is applied here counts there.
	one.enroll(wire.PartAgent, "web-1", "--label", "tier=web")
	ann := one.login(i, nil)
	one.policy(i, webRole)
	rig.Eventually(t, 5*time.Second, "the other CA has the policy", func() bool {
		var nodes []wire.ReachableNode
		err := two.as(&person{key: ann.key, cert: ann.cert}).Do(t.Context(), "GET", wire.PathNodes, nil, &nodes)
		return err == nil && len(nodes) == 1
	})
	if one.door().Pin != two.door().Pin {
		t.Error("parts would not know the one by the other's key")
	}
	if err := one.as(ann).Do(t.Context(), "POST", wire.PathLogout, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := two.as(ann).Do(t.Context(), "GET", wire.PathNodes, nil, nil); fault.ReasonOf(err) != fault.CertificateRevoked {
		t.Errorf("after a logout at the other: %v", err)
	}
}

func TestADatabaseThatDiesIsNamedAndComesBack(t *testing.T) {
	t.Parallel()
	i := testissuer.New(t)
	db := rig.Postgres(t)
	in := install(t, i.URL, "database: "+db.URL).start()
	ann := in.login(i, nil)
	db.Kill()
	p := newPerson(t)
	_, err := in.send(wire.PathLogin, p.request(t, i.Sign(i.Claims(p.nonce()))))
	if f := fault.Of(err); f.Kind != fault.Unavailable || f.Reason != fault.StoreAway {
		t.Errorf("a login: %v", err)
	}
	if err := in.as(ann).Do(t.Context(), "GET", wire.PathNodes, nil, nil); fault.ReasonOf(err) != fault.StoreAway {
		t.Errorf("a proven request: %v", err)
	}
	if err := in.client().Do(t.Context(), "GET", wire.PathHealth, nil, nil); fault.ReasonOf(err) != fault.StoreAway {
		t.Errorf("health: %v", err)
	}
	db.Start()
	rig.Eventually(t, 30*time.Second, "logins work again", func() bool {
		p := newPerson(t)
		_, err := in.send(wire.PathLogin, p.request(t, i.Sign(i.Claims(p.nonce()))))
		return err == nil
	})
	if err := in.as(ann).Do(t.Context(), "GET", wire.PathNodes, nil, nil); err != nil {
		t.Errorf("ann's certificate: %v", err)
	}
}

func TestACAThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		more  string
		wreck func(*testing.T, *installation)
		says  string
	}{
		"without its database": {"database: postgres://sallyport@127.0.0.1:1/ca?connect_timeout=2", nil, "database"},
		"without its keys": {"", func(t *testing.T, in *installation) {
			os.RemoveAll(filepath.Join(in.dir, "data", "keys"))
		}, "ca init"},
		"with another passphrase": {"", func(t *testing.T, in *installation) {
			os.WriteFile(filepath.Join(in.dir, "data", "passphrase"), []byte("not the passphrase\n"), 0o600)
		}, "passphrase does not open"},
		"on an address that is taken": {"", func(t *testing.T, in *installation) { in.start() }, "does another program listen there"},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t, "https://login.example.com", row.more)
			if row.wreck != nil {
				row.wreck(t, in)
			}
			cmd := exec.Command(os.Args[0], "ca", "run", "--config", in.config)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("it ends well")
			}
			if !strings.Contains(string(out), row.says) {
				t.Errorf("it says:\n%s", out)
			}
		})
	}
}

func TestASignerThatDiesIsStartedAgain(t *testing.T) {
	t.Parallel()
	i := testissuer.New(t)
	in := install(t, i.URL).start()
	in.login(i, nil)
	for _, pid := range children(t, in.run.Cmd.Process.Pid) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	rig.Eventually(t, 20*time.Second, "logins work again", func() bool {
		p := newPerson(t)
		_, err := in.send(wire.PathLogin, p.request(t, i.Sign(i.Claims(p.nonce()))))
		if r := fault.ReasonOf(err); err != nil && r != fault.SignerAway {
			t.Fatalf("meanwhile: %v", err)
		}
		return err == nil
	})
}

// children are the processes that pid has started.
func children(t testing.TB, pid int) (pids []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(text)) {
			var child int
			fmt.Sscan(field, &child)
			pids = append(pids, child)
		}
	}
	if len(pids) == 0 {
		t.Fatal("the CA has no signer")
	}
	return pids
}

func TestAPolicyDirectoryIsWatched(t *testing.T) {
	t.Parallel()
	i := testissuer.New(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "web.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(webRole)
	in := install(t, i.URL, "policy_dir: "+dir).start()
	in.enroll(wire.PartAgent, "web-1", "--label", "tier=web")
	ann := in.login(i, nil)
	logins := func() (names []string) {
		var nodes []wire.ReachableNode
		if err := in.as(ann).Do(t.Context(), "GET", wire.PathNodes, nil, &nodes); err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			for _, l := range n.Logins {
				names = append(names, string(l.Login))
			}
		}
		return names
	}
	rig.Eventually(t, 10*time.Second, "the directory counts", func() bool { return strings.Join(logins(), " ") == "deploy" })
	write(strings.Replace(webRole, "deploy]", "deploy, app]", 1))
	rig.Eventually(t, 10*time.Second, "a change counts", func() bool { return strings.Join(logins(), " ") == "app deploy" })
	write("role: broken\nwho: everybody\n")
	rig.Eventually(t, 10*time.Second, "a broken file is named", func() bool { return strings.Contains(in.run.Log.String(), "the policy folder is broken") })
	if got := strings.Join(logins(), " "); got != "app deploy" {
		t.Errorf("the last good policy does not stay in force: %q", got)
	}
}
