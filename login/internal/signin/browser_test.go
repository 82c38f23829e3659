package signin

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFindOpener(t *testing.T) {
	for name, c := range map[string]struct {
		vars map[string]string
		want bool
	}{
		"no display":                          {nil, false},
		"a browser of choice":                 {map[string]string{"BROWSER": "firefox"}, true},
		"a browser of choice, and over SSH":   {map[string]string{"BROWSER": "firefox", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, true},
		"a display that is forwarded by SSH":  {map[string]string{"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, false},
		"a Wayland display, but over SSH too": {map[string]string{"WAYLAND_DISPLAY": "wayland-0", "SSH_CONNECTION": "x"}, false},
	} {
		if got := FindOpener(func(name string) string { return c.vars[name] }) != nil; got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBROWSERIsAListOfCommands(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "browser")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf '%s|' \"$@\" > \"${0%/*}/ran\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for commands, want := range map[string]string{
		script:                             "http://x/?a=b&c|",
		"nonexistent-browser:" + script:    "http://x/?a=b&c|",
		script + " --new %s --end":         "--new|http://x/?a=b&c|--end|",
		"::" + script + " -u=%s:/bin/true": "-u=http://x/?a=b&c|",
	} {
		if err := runBrowser(commands, "http://x/?a=b&c"); err != nil {
			t.Errorf("%s: %v", commands, err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "ran")); err != nil || string(got) != want {
			t.Errorf("%s: ran with %q, %v", commands, got, err)
		}
	}
	if runBrowser("nonexistent-browser", "http://x/") == nil || runBrowser("/bin/false", "http://x/") == nil {
		t.Error("a browser that did not start is no error")
	}
}
