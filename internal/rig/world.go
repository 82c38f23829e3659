package rig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// World is a whole installation on loopback, as `sallyport up` makes it: an OIDC
// provider, CA and signer, a proxy, and people with homes. Nodes are added to
// it. Everything in it is the real program.
type World struct {
	Dir   string // keys, database, recordings, configuration: the operator's
	URL   string // the people's door
	Proxy string // host:port
	IDP   *Provider
	Up    *Process

	t      T
	args   []string
	people map[string]*Home
}

// People of every World. Ada is the admin; ann is an engineer on call for
// databases; bob is an engineer.
var People = []Person{
	Someone("ada", "platform"),
	Someone("ann", "eng", "db-oncall"),
	Someone("bob", "eng"),
}

// NewWorld brings an installation up in dir, "" for a temporary directory.
func NewWorld(t T, dir string) *World {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	w := &World{Dir: dir, t: t, Proxy: FreeAddr(t), IDP: IDP(t, People...), people: map[string]*Home{}}
	listen, parts := FreeAddr(t), FreeAddr(t)
	w.URL = "http://" + listen
	w.args = []string{"up", "--dir", filepath.Join(dir, "data"), "--issuer", w.IDP.Issuer, "--admin", "platform",
		"--url", w.URL, "--listen", listen, "--parts", parts, "--ssh", w.Proxy}
	w.Start()
	return w
}

// Command is the command line that brought the world up.
func (w *World) Command() string { return "sallyport " + strings.Join(w.args, " ") }

// Start brings it up again after Up was stopped.
func (w *World) Start() {
	w.t.Helper()
	w.Up = Start(w.t, exec.Command(Binary(w.t), w.args...))
	Eventually(w.t, 60*time.Second, "sallyport is up", func() bool {
		select {
		case <-w.Up.Done():
			w.t.Fatalf("sallyport up ended:\n%s", w.Up.Log)
		default:
		}
		return strings.Contains(w.Up.Log.String(), "Sallyport is up")
	})
}

// Child is the pid of a part that `sallyport up` runs: "ca" or "proxy".
func (w *World) Child(part string) int {
	w.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	for _, path := range all {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // ended in between
		}
		var pid, parent int
		var state byte
		fmt.Sscanf(string(stat), "%d", &pid)
		fmt.Sscanf(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " %c %d", &state, &parent)
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if args := bytes.Split(line, []byte{0}); parent == w.Up.Cmd.Process.Pid && len(args) > 1 && string(args[1]) == part {
			return pid
		}
	}
	w.t.Fatalf("sallyport up has no %s", part)
	return 0
}

// Home is the home of one of People, made at the first call, not yet logged in.
func (w *World) Home(name string) *Home {
	w.t.Helper()
	if h := w.people[name]; h != nil {
		return h
	}
	h := NewHome(w.t, filepath.Join(w.Dir, "home-"+name), w.IDP.Browser(name))
	w.people[name] = h
	return h
}

// Login is Home after `sallyport login`.
func (w *World) Login(name string) *Home {
	w.t.Helper()
	h := w.Home(name)
	h.Must("sallyport", "login", w.URL)
	return h
}

// Policy applies the text as the whole policy; ada is logged in for it.
func (w *World) Policy(text string) {
	w.t.Helper()
	path := filepath.Join(w.Dir, "policy.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatalf("write policy: %v", err)
	}
	w.admin().Must("sallyport", "policy", "apply", "-f", path)
}

func (w *World) admin() *Home {
	if h := w.people["ada"]; h != nil {
		return h
	}
	return w.Login("ada")
}

// Token makes a join token for a node of this name with labels "k=v".
func (w *World) Token(name string, labels ...string) string {
	w.t.Helper()
	args := []string{"token", "create", "--json", "--part", "agent", "--name", name}
	for _, l := range labels {
		args = append(args, "--label", l)
	}
	var token struct{ Secret string }
	if err := json.Unmarshal([]byte(w.admin().Must("sallyport", args...)), &token); err != nil || token.Secret == "" {
		w.t.Fatalf("read token: %v", err)
	}
	return token.Secret
}

// Member is a node of the world: its sshd and its agent.
type Member struct {
	*Sshd
	Name  string
	State string // the agent's directory
	Agent *Process

	Command string // that enrolled it
	Said    string // what that printed

	t T
}

// Join starts an sshd, enrols it under name, and runs its agent.
func (w *World) Join(name string, config SSHDConfig, labels ...string) *Member {
	w.t.Helper()
	return w.Enrol(SSHD(w.t, config), name, w.Token(name, labels...))
}

// Enrol makes an sshd a node, by a join token, and runs its agent.
func (w *World) Enrol(sshd *Sshd, name, token string) *Member {
	w.t.Helper()
	m := &Member{Sshd: sshd, Name: name, State: RootDir(w.t), t: w.t}
	file := filepath.Join(m.State, "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		w.t.Fatalf("write token: %v", err)
	}
	args := append([]string{"agent", "enroll", "--no-service", "--ca", w.URL, "--token-file", file, "--name", name, "--addr", sshd.Addr}, m.flags()...)
	m.Command = "sallyport " + strings.Join(args, " ")
	out, err := exec.Command(Binary(w.t), args...).CombinedOutput()
	if m.Said = string(out); err != nil {
		w.t.Fatalf("enrol %s: %v\n%s", name, err, out)
	}
	m.StartAgent()
	return m
}

// flags of the agent that name this node's private places.
func (m *Member) flags() []string {
	return []string{"--dir", m.State, "--sshd-config", m.Config()}
}

// StartAgent runs the agent, at first or again.
func (m *Member) StartAgent() {
	m.Agent = Start(m.t, exec.Command(Binary(m.t), append([]string{"agent", "run"}, m.flags()...)...))
}
