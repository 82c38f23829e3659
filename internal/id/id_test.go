package id

import (
	"strings"
	"testing"
)

func TestNamesThatCouldBeMistakenAreRefused(t *testing.T) {
	parse := map[string]func(string) error{
		"identity": func(s string) error { _, err := ParseIdentity(s); return err },
		"login":    func(s string) error { _, err := ParseLogin(s); return err },
		"node":     func(s string) error { _, err := ParseNodeName(s); return err },
		"node id":  func(s string) error { _, err := ParseNode(s); return err },
		"session":  func(s string) error { _, err := ParseSession(s); return err },
	}
	for _, c := range []struct {
		kind, name string
		ok         bool
	}{
		{"identity", "you@example.com", true},
		{"identity", "ci:acme/site", true},
		{"identity", "", false},
		{"identity", "you@example.com,root", false}, // OpenSSH's list separator
		{"identity", "a b", false},
		{"identity", "a=b", false}, // would forge a field of a KeyID
		{"identity", "you@example.com\n", false},
		{"identity", "*", false},
		{"identity", "yöu@example.com", false},
		{"identity", strings.Repeat("a", MaxIdentity+1), false},
		{"login", "deploy", true},
		{"login", "svc$", true},
		{"login", "root@web-1", false},
		{"login", "-oProxyCommand=x", false}, // an option in somebody's argv
		{"login", "..", false},
		{"login", "a\x00", false},
		{"login", "*", false},
		{"login", strings.Repeat("a", MaxLogin+1), false},
		{"node", "web-1.example.com", true},
		{"node", "Web-1", false}, // ssh lower-cases; two spellings would be two nodes
		{"node", "-web", false},
		{"node", "a..b", false},
		{"node", "web_1", true},
		{"node", "web-*", false},
		{"node", "::1", false},
		{"node id", string(NewNode()), true},
		{"node id", "n-", false},
		{"node id", "web-1", false},
		{"session", string(NewSession()), true},
		{"session", "../../etc/pw", false}, // it becomes a file name
		{"session", "7kq2-m9x4", false},
		{"session", "7kq2-m9x4I", false},
	} {
		if err := parse[c.kind](c.name); (err == nil) != c.ok {
			t.Errorf("%s %q: %v", c.kind, c.name, err)
		}
	}
}

func TestFreshNamesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		for _, s := range []string{string(NewNode()), string(NewSession())} {
			if seen[s] {
				t.Fatalf("%s came twice", s)
			}
			seen[s] = true
		}
	}
}

// FuzzNames: whatever is accepted can stand in a principal list, a KeyID and a
// path without meaning anything else there.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"you@example.com", "root", "web-1", "n-0123456789ab", "7kq2-m9x4d", "a,b", "../x", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := ParseIdentity(s); err == nil && strings.ContainsAny(s, ", =*?!\"'\n\x00") {
			t.Errorf("identity %q", s)
		}
		if _, err := ParseLogin(s); err == nil && (strings.ContainsAny(s, ",@ =*/\n\x00") || s[0] == '-') {
			t.Errorf("login %q", s)
		}
		if _, err := ParseNodeName(s); err == nil && (strings.ContainsAny(s, ",@ =*/\n\x00") || s != strings.ToLower(s)) {
			t.Errorf("node name %q", s)
		}
		if _, err := ParseSession(s); err == nil && strings.ContainsAny(s, "./\n\x00") {
			t.Errorf("session %q", s)
		}
	})
}
