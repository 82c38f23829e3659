package sshconf

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

var discovery = wire.Discovery{
	Proxies: []wire.ProxyAddr{{Name: "p-1", Addr: "access.example.com:3022"}, {Name: "Berlin 2", Addr: "[2001:db8::1]:22"}},
	Names:   []string{"*.example.com", "!public.example.com", "DB-?"},
}

func hostsOf(t *testing.T, d wire.Discovery, nodes ...id.NodeName) Hosts {
	t.Helper()
	h, err := HostsOf(d, nodes)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// setup writes a home directory with the configuration in it. Its program, which
// the stanzas run, ends with status as check would.
func setup(t *testing.T, h Hosts, status int) (config string, p Paths) {
	t.Helper()
	// Spaces, percent signs and what a shell would expand are legal in paths.
	dir := filepath.Join(t.TempDir(), "you & me $HOME 100% (1)")
	p = Paths{Program: filepath.Join(dir, "sallyport"), Key: filepath.Join(dir, "id"), Certificate: filepath.Join(dir, "id-cert.pub"), KnownHosts: filepath.Join(dir, "known_hosts")}
	text, err := Config(h, p)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, p.Program, fmt.Sprintf("#!/bin/sh\necho \"$@\" >> \"${0%%/*}/ran\"\nexit %d\n", status), 0o700)
	config = filepath.Join(dir, "config")
	writeFile(t, config, string(text), 0o600)
	return config, p
}

// options asks ssh what it would do for a destination.
func options(t *testing.T, config string, args ...string) map[string][]string {
	t.Helper()
	out, err := exec.Command(rig.Need(t, "ssh", "openssh-client"), append([]string{"-F", config, "-G"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh -G: %v\n%s", err, out)
	}
	got := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		got[key] = append(got[key], value)
	}
	return got
}

func ran(t *testing.T, p Paths) string {
	t.Helper()
	out, err := os.ReadFile(filepath.Join(filepath.Dir(p.Program), "ran"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(out)
}

func TestSSHGoesThroughSallyport(t *testing.T) {
	for name, args := range map[string][]string{
		"to a node by a pattern":        {"web-1.example.com"},
		"to a node in capitals":         {"Web-1.Example.COM"},
		"to a node that is listed":      {"web-7"},
		"to a node on another port":     {"-p", "2222", "web-7"},
		"to a node by a short pattern":  {"db-3"},
		"to a node as somebody":         {"deploy@web-7"},
		"over what the person had else": {"-o", "ProxyUseFdpass=no", "-o", "IdentityFile=/other", "web-7"},
	} {
		t.Run(name, func(t *testing.T) {
			config, p := setup(t, hostsOf(t, discovery, "web-7"), 0)
			got := options(t, config, args...)
			// %% is how ssh keeps a percent sign until the command runs.
			program := strings.ReplaceAll(p.Program, "%", "%%")
			if want := "'" + program + "' connect '%h' '%p' '%r'"; len(got["proxycommand"]) != 1 || got["proxycommand"][0] != want {
				t.Errorf("ProxyCommand is %q, want %q", got["proxycommand"], want)
			}
			if got["identitiesonly"][0] != "yes" || got["stricthostkeychecking"][0] != "true" {
				t.Errorf("IdentitiesOnly %q, StrictHostKeyChecking %q", got["identitiesonly"], got["stricthostkeychecking"])
			}
			percent := func(path string) string { return strings.ReplaceAll(path, "%", "%%") }
			if !slices.Contains(got["identityfile"], percent(p.Key)) || got["certificatefile"][0] != percent(p.Certificate) {
				t.Errorf("IdentityFile %q, CertificateFile %q", got["identityfile"], got["certificatefile"])
			}
			if known := got["userknownhostsfile"][0]; !strings.HasPrefix(known, p.KnownHosts+" ") || !strings.HasSuffix(known, "/.ssh/known_hosts2") {
				t.Errorf("UserKnownHostsFile %q", known)
			}
			if got := ran(t, p); got != "check\n" {
				t.Errorf("before it ran %q", got)
			}
		})
	}
}

func TestSSHReachesAProxyWithoutAProxy(t *testing.T) {
	for name, args := range map[string][]string{
		"by its address":           {"access.example.com"},
		"by its name":              {"p-1"},
		"by its IPv6 address":      {"2001:db8::1"},
		"with login and node":      {"deploy@web-7@p-1"},
		"by its name, for a while": {"-W", "web-7:22", "p-1"},
	} {
		t.Run(name, func(t *testing.T) {
			config, p := setup(t, hostsOf(t, discovery, "web-7"), 0)
			got := options(t, config, args...)
			if len(got["proxycommand"]) > 0 || got["identitiesonly"][0] != "yes" || len(got["certificatefile"]) != 1 {
				t.Errorf("ProxyCommand %q, CertificateFile %q", got["proxycommand"], got["certificatefile"])
			}
			if args[len(args)-1] == "p-1" && (got["hostname"][0] != "access.example.com" || got["port"][0] != "3022") {
				t.Errorf("p-1 is %s port %s", got["hostname"], got["port"])
			}
			if got := ran(t, p); got != "check\n" {
				t.Errorf("before it ran %q", got)
			}
		})
	}
}

func TestSSHToOtherHostsIsNoneOfOurs(t *testing.T) {
	for _, host := range []string{"github.com", "public.example.com", "example.com", "db-10", "web-70", "localhost"} {
		config, p := setup(t, hostsOf(t, discovery, "web-7"), 0)
		got := options(t, config, host)
		if len(got["proxycommand"]) > 0 || len(got["certificatefile"]) > 0 || got["identitiesonly"][0] != "no" || ran(t, p) != "" {
			t.Errorf("%s: ProxyCommand %q, CertificateFile %q, ran %q", host, got["proxycommand"], got["certificatefile"], ran(t, p))
		}
	}
}

// TestAnOldSSHReadsItToo: 7.5, of 2017, before lines could be longer than 1023.
func TestAnOldSSHReadsItToo(t *testing.T) {
	old := rig.Need(t, "ssh1", "openssh-client-ssh1")
	var nodes []id.NodeName
	for i := range 500 {
		nodes = append(nodes, id.NodeName(fmt.Sprintf("web-%04d.berlin", i)))
	}
	config, p := setup(t, hostsOf(t, discovery, nodes...), 0)
	for host, want := range map[string]bool{"web-0000.berlin": true, "web-0499.berlin": true, "db-3": true, "access.example.com": false, "web-0500.berlin": false} {
		out, err := exec.Command(old, "-F", config, "-G", host).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := strings.Contains(string(out), "\nproxycommand '"+strings.ReplaceAll(p.Program, "%", "%%")+"' connect '%h' '%p' '%r'\n"); got != want {
			t.Errorf("%s goes through Sallyport: %v\n%s", host, got, out)
		}
	}
}

func TestAnSSHWithoutACertificateConnectsNowhere(t *testing.T) {
	config, _ := setup(t, hostsOf(t, discovery, "web-7"), 1)
	for _, host := range []string{"web-7", "db-3", "web-1.example.com"} {
		got := options(t, config, host)
		if len(got["proxycommand"]) != 1 || got["proxycommand"][0] != "false" || len(got["certificatefile"]) > 0 {
			t.Errorf("%s: ProxyCommand %q, CertificateFile %q", host, got["proxycommand"], got["certificatefile"])
		}
	}
}

func TestAJumpLeavesTheProxyCommandOut(t *testing.T) {
	config, _ := setup(t, hostsOf(t, discovery, "web-7"), 0)
	got := options(t, config, "-J", "p-1", "web-7")
	if len(got["proxycommand"]) > 0 || got["proxyjump"][0] != "p-1" || len(got["certificatefile"]) != 1 {
		t.Errorf("ProxyCommand %q, ProxyJump %q", got["proxycommand"], got["proxyjump"])
	}
}

func TestThousandsOfNodesStayWithinWhatOldSSHReads(t *testing.T) {
	var nodes []id.NodeName
	for i := range 3000 {
		nodes = append(nodes, id.NodeName(fmt.Sprintf("web-%04d.berlin", i)))
	}
	h := hostsOf(t, discovery, nodes...)
	config, p := setup(t, h, 0)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		// What the program's path takes is the test's own doing.
		if len(line)-len(p.Program) > 1000 {
			t.Fatalf("a line of %d bytes", len(line))
		}
	}
	for _, host := range []string{"web-0000.berlin", "web-1500.berlin", "web-2999.berlin"} {
		if got := options(t, config, host); len(got["proxycommand"]) != 1 {
			t.Errorf("%s: ProxyCommand %q", host, got["proxycommand"])
		}
	}
	if got := options(t, config, "web-3000.berlin"); len(got["proxycommand"]) != 0 {
		t.Errorf("a node that is not listed has ProxyCommand %q", got["proxycommand"])
	}
	if got := ran(t, p); got != "check\ncheck\ncheck\n" {
		t.Errorf("check ran: %q", got)
	}
}

func TestNobodyToReachIsNoStanza(t *testing.T) {
	text, err := Config(Hosts{}, Paths{Program: "/bin/sallyport", Key: "/k", Certificate: "/c", KnownHosts: "/h"})
	if err != nil || strings.Contains(string(text), "Match") {
		t.Errorf("%s, %v", text, err)
	}
	if got := KnownHosts(Hosts{}, []ssh.PublicKey{newCA(t).PublicKey()}); len(got) > 0 {
		t.Errorf("known_hosts: %s", got)
	}
}

func TestHostsOfRefusesWhatWouldReachFurther(t *testing.T) {
	for name, c := range map[string]struct {
		d     wire.Discovery
		nodes []id.NodeName
	}{
		"a pattern of every host":         {wire.Discovery{Names: []string{"*"}}, nil},
		"a pattern of every host of dots": {wire.Discovery{Names: []string{"*.*"}}, nil},
		"an empty pattern":                {wire.Discovery{Names: []string{""}}, nil},
		"a negation of nothing":           {wire.Discovery{Names: []string{"!"}}, nil},
		"a pattern with a line break":     {wire.Discovery{Names: []string{"a\n  ProxyCommand evil"}}, nil},
		"a pattern with a space":          {wire.Discovery{Names: []string{"a exec"}}, nil},
		"a pattern with a quote":          {wire.Discovery{Names: []string{`a"`}}, nil},
		"a pattern with a comma":          {wire.Discovery{Names: []string{"a,b"}}, nil},
		"a pattern with a token":          {wire.Discovery{Names: []string{"a%h"}}, nil},
		"a pattern with a comment":        {wire.Discovery{Names: []string{"a#"}}, nil},
		"a pattern like an option":        {wire.Discovery{Names: []string{"-oProxyCommand"}}, nil},
		"a pattern that is too long":      {wire.Discovery{Names: []string{strings.Repeat("a", 300)}}, nil},
		"a proxy without a port":          {wire.Discovery{Proxies: []wire.ProxyAddr{{Addr: "access.example.com"}}}, nil},
		"a proxy on port 0":               {wire.Discovery{Proxies: []wire.ProxyAddr{{Addr: "access.example.com:0"}}}, nil},
		"a proxy on a named port":         {wire.Discovery{Proxies: []wire.ProxyAddr{{Addr: "access.example.com:ssh"}}}, nil},
		"a proxy on no port of TCP's":     {wire.Discovery{Proxies: []wire.ProxyAddr{{Addr: "access.example.com:70000"}}}, nil},
		"a proxy of no host":              {wire.Discovery{Proxies: []wire.ProxyAddr{{Addr: ":22"}}}, nil},
		"a proxy that is a pattern":       {wire.Discovery{Proxies: []wire.ProxyAddr{{Addr: "*.example.com:22"}}}, nil},
		"a proxy with a zone":             {wire.Discovery{Proxies: []wire.ProxyAddr{{Addr: "[fe80::1%$(x)]:22"}}}, nil},
		"a node that is a pattern":        {wire.Discovery{}, []id.NodeName{"*"}},
		"a node with a line break":        {wire.Discovery{}, []id.NodeName{"a\nb"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := HostsOf(c.d, c.nodes); fault.ReasonOf(err) != fault.ConfigInvalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestConfigRefusesPathsThatItCannotQuote(t *testing.T) {
	good := Paths{Program: "/bin/sallyport", Key: "/k", Certificate: "/c", KnownHosts: "/h"}
	for name, change := range map[string]func(*Paths){
		"a program with a quote":           func(p *Paths) { p.Program = "/you're/sallyport" },
		"a program with a double quote":    func(p *Paths) { p.Program = `/a"b/sallyport` },
		"a program with a line break":      func(p *Paths) { p.Program = "/a\nb/sallyport" },
		"a program with a backslash":       func(p *Paths) { p.Program = `/a\b/sallyport` },
		"a key with a double quote":        func(p *Paths) { p.Key = `/a"b` },
		"a key with a variable in its way": func(p *Paths) { p.Key = "/${HOME}/id" },
	} {
		p := good
		change(&p)
		if _, err := Config(Hosts{}, p); fault.ReasonOf(err) != fault.ConfigInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func newCA(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// TestKnownHostsNamesOursAlone asks ssh-keygen, which searches as ssh does.
func TestKnownHostsNamesOursAlone(t *testing.T) {
	keygen := rig.Need(t, "ssh-keygen", "openssh-client")
	file := filepath.Join(t.TempDir(), "known_hosts")
	text := KnownHosts(hostsOf(t, discovery, "web-7"), []ssh.PublicKey{newCA(t).PublicKey(), newCA(t).PublicKey()})
	writeFile(t, file, string(text), 0o600)
	for host, want := range map[string]int{
		"web-7": 2, "[web-7]:2222": 2, "db-3": 2, "a.example.com": 2, "[a.example.com]:22022": 2,
		"access.example.com": 2, "[access.example.com]:3022": 2, "2001:db8::1": 2,
		"github.com": 0, "public.example.com": 0, "[public.example.com]:2222": 0, "web-70": 0, "db-10": 0,
	} {
		out, _ := exec.Command(keygen, "-F", host, "-f", file).Output() // status 1 is "none"
		if got := strings.Count(string(out), "\n@cert-authority "); got != want {
			t.Errorf("%s: %d lines, want %d\n%s", host, got, want, out)
		}
	}
}
