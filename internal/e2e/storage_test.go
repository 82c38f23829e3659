package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/storage"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// stored is an installation of two proxies whose recordings go to an object store.
type stored struct {
	*rig.World
	t       *testing.T
	web     *rig.Member
	ann     *rig.Home
	ada     *rig.Home
	objects *rig.Objects
	line    *rig.Line // on which proxies reach them
	p2      proxyDir
}

// proxyDir is a proxy beside that of `sallyport up`.
type proxyDir struct {
	dir, addr string
	run       *rig.Process
}

func (p *proxyDir) start(t *testing.T) {
	t.Helper()
	p.run = rig.Start(t, exec.Command(rig.Binary(t), "proxy", "run", "--config", filepath.Join(p.dir, "proxy.yaml")))
	rig.Eventually(t, 30*time.Second, "the second proxy listens", func() bool {
		select {
		case <-p.run.Done():
			t.Fatalf("the second proxy ended:\n%s", p.run.Log)
		default:
		}
		c, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func newStored(t *testing.T) *stored {
	t.Helper()
	s := &stored{t: t, World: rig.NewWorld(t, ""), objects: rig.ObjectStore(t)}
	s.objects.Bucket("recordings", true)
	s.line = rig.NewLine(t, s.objects.Addr)
	proxies := fmt.Sprintf("storage: {url: '%s', flush: 1s, backlog: 1MiB}\n", s.objects.URLAt(s.line.Addr, "recordings"))
	s.Up.Stop(10 * time.Second)
	add := func(name, text string) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(s.Dir, "data", name), os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(text)
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("ca.yaml", fmt.Sprintf("storage: {url: '%s'}\nrecording: {retain: 400d}\n", s.objects.URL("recordings")))
	add("proxy.yaml", proxies)
	s.Start()
	s.web = s.Join("web-1", rig.SSHDConfig{}, "tier=web")
	s.Policy(strings.ReplaceAll(everything, "LOGIN", s.web.Login))
	s.ada = s.Home("ada")

	s.p2 = proxyDir{dir: t.TempDir(), addr: rig.FreeAddr(t)}
	var token struct{ Secret string }
	out := s.ada.Must("sallyport", "token", "create", "--json", "--part", "proxy", "--name", "p2")
	if err := json.Unmarshal([]byte(out), &token); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("name: p2\nlisten: %s\nca: %s\ntoken_file: %s\ndata: %s\nrecordings: %s\ndrain: 1s\n", s.p2.addr, s.URL,
		filepath.Join(s.p2.dir, "token"), filepath.Join(s.p2.dir, "data"), filepath.Join(s.p2.dir, "recordings")) + proxies
	for name, text := range map[string]string{"token": token.Secret + "\n", "proxy.yaml": text} {
		if err := os.WriteFile(filepath.Join(s.p2.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.p2.start(t)
	s.ann = s.Login("ann")
	return s
}

// through is the command line of ann's ssh through the proxy at addr.
func (s *stored) through(addr, command string) []string {
	host, port, _ := strings.Cut(addr, ":")
	return []string{"-o", "BatchMode=yes", "-o", "User=" + s.web.Login + "@web-1", "-p", port, host, command}
}

// sessions lists all sessions, the newest first.
func (s *stored) sessions() (list []wire.Session) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.ada.Must("sallyport", "sessions", "ls", "--json")), &list); err != nil {
		s.t.Fatal(err)
	}
	return list
}

// sealed waits until the session's recording is sealed, wholly in the object
// store, and gone from dir; and returns what verifying it there says.
func (s *stored) sealed(x id.Session, dir string, opener recording.Opener) recording.Report {
	s.t.Helper()
	rig.Eventually(s.t, 60*time.Second, "the recording is sealed", func() bool {
		for _, r := range s.sessions() {
			if r.ID == x {
				return r.Recording.State == "sealed" || r.Recording.State == "cut"
			}
		}
		return false
	})
	rig.Eventually(s.t, 60*time.Second, "the recording has left", func() bool {
		_, err := os.Stat(filepath.Join(dir, string(x)+".rec"))
		return os.IsNotExist(err)
	})
	store, err := storage.Open(s.objects.URL("recordings"), time.Now)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := store.Open(context.Background(), x)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	client, err := wire.NewClient(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	var d wire.Discovery
	if err := client.Do(context.Background(), "GET", wire.PathDiscovery, nil, &d); err != nil {
		s.t.Fatal(err)
	}
	report, err := recording.Verify(r, r.Size(), recording.Trust{
		HostCA: s.keys(d.Trust.HostCA), UserCA: s.keys(d.Trust.UserCA), SessionCA: s.keys(d.Trust.SessionCA),
	}, opener)
	if err != nil {
		s.t.Errorf("what is in the object store does not verify: %v", err)
	}
	return report
}

func (s *stored) keys(lines []string) (keys []ssh.PublicKey) {
	s.t.Helper()
	for _, line := range lines {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			s.t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

// TestRecordingsGoToAnObjectStore: of two proxies, while sessions run; they are
// played back through the CA, and verify as they lie there.
func TestRecordingsGoToAnObjectStore(t *testing.T) {
	s := newStored(t)
	dirs := map[id.Proxy]string{"local": filepath.Join(s.Dir, "data", "recordings"), "p2": filepath.Join(s.p2.dir, "recordings")}
	for name, addr := range map[string]string{"local": s.Proxy, "p2": s.p2.addr} {
		if out := s.ann.Must("ssh", s.through(addr, "echo said-through-"+name)...); out != "said-through-"+name+"\n" {
			t.Fatalf("%q", out)
		}
	}
	list := s.sessions()
	if len(list) != 2 {
		t.Fatalf("%d sessions", len(list))
	}
	for _, x := range list {
		if report := s.sealed(x.ID, dirs[x.Proxy], nil); report.Seal == nil {
			t.Errorf("%s has no seal", x.ID)
		}
		want := "said-through-" + string(x.Proxy)
		if out := s.ada.Must("sallyport", "sessions", "export", "--text", "-o", "-", string(x.ID)); !strings.Contains(out, want) {
			t.Errorf("%s, from the object store: %q", want, out)
		}
	}

	// A session whose proxy is killed in the middle, on a line that dies, too.
	s.line.Set(rig.Fault{Cut: 300_000})
	client := rig.Start(t, s.ann.Command("ssh", s.through(s.p2.addr, "for i in $(seq 30000); do echo line $i of many; done; sleep 600")...))
	rig.Eventually(t, 30*time.Second, "there is output", func() bool { return len(client.Log.String()) > 400_000 })
	s.p2.run.Kill()
	s.line.Set(rig.Fault{})
	client.Stop(5 * time.Second)
	delivered := client.Log.String()
	s.p2.start(t)
	cut := s.sessions()[0]
	s.sealed(cut.ID, dirs["p2"], nil)
	text := s.ada.Must("sallyport", "sessions", "export", "--text", "-o", "-", string(cut.ID))
	lines := strings.Split(strings.TrimSpace(delivered), "\n")
	if last := strings.TrimSpace(lines[len(lines)-2]); !strings.Contains(text, last) {
		t.Errorf("%q was delivered, and is not in the recording", last)
	}

	// The object store is away: sessions go on, and nothing is lost.
	s.line.Set(rig.Fault{Refuse: true})
	s.ann.Must("ssh", s.through(s.p2.addr, "echo while-it-was-away")...)
	away := s.sessions()[0]
	if _, err := os.Stat(filepath.Join(dirs["p2"], string(away.ID)+".rec")); err != nil {
		t.Errorf("the recording does not wait here: %v", err)
	}
	// More waits than may: new sessions are refused, and say why.
	for range 2 {
		s.ann.Must("ssh", s.through(s.p2.addr, "head -c 700000 /dev/urandom")...)
	}
	if r := s.ann.Run("ssh", s.through(s.p2.addr, "true")...); r.Status == 0 || !strings.Contains(r.Stderr, "wait here for their storage") {
		t.Errorf("a session begins although too much waits: %s", r)
	}
	waiting := s.sessions()[:3]
	s.line.Set(rig.Fault{})
	for _, x := range waiting {
		s.sealed(x.ID, dirs["p2"], nil)
	}
	if waiting[2].ID != away.ID {
		t.Errorf("the last three are %v", waiting)
	}

	// Encrypted to an auditor, because a role says so.
	auditor, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "auditor.age")
	if err := os.WriteFile(file, []byte(auditor.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opener, err := recording.LoadIdentities(file)
	if err != nil {
		t.Fatal(err)
	}
	asks := fmt.Sprintf("what:  { channels: [exec] }\nrecording: { recipients: [%s], retain: 500d }", auditor.Recipient())
	what := everything[strings.Index(everything, "what:"):strings.Index(everything, "\n---")]
	s.World.Policy(strings.ReplaceAll(strings.Replace(everything, what, asks, 1), "LOGIN", s.web.Login))
	s.ann.Must("ssh", s.through(s.p2.addr, "echo for the auditor alone")...)
	secret := s.sessions()[0]
	if report := s.sealed(secret.ID, dirs["p2"], opener); !report.Encrypted || !report.Opened {
		t.Errorf("encrypted %v, opened %v", report.Encrypted, report.Opened)
	}
	if kept := time.Until(time.Unix(secret.Recording.Retain, 0)); len(secret.Recording.Recipients) != 1 || kept < 499*24*time.Hour {
		t.Errorf("recipients %v, kept %v", secret.Recording.Recipients, kept)
	}
}
