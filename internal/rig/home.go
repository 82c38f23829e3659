package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Home is a person's home directory and shell environment: plain `ssh`, `scp`,
// `sftp` and `sallyport` work in it as they would for a person whose account it
// is. OpenSSH takes the home directory from the password file and not from
// $HOME, so small programs of the same names hand it the configuration.
type Home struct {
	Dir string
	env []string
	t   T
}

// NewHome makes a home in dir, for a person whose browser is the program at
// browser ("" for none).
func NewHome(t T, dir, browser string) *Home {
	t.Helper()
	bin := filepath.Join(dir, "bin")
	for _, d := range []string{bin, filepath.Join(dir, ".ssh")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatalf("make home: %v", err)
		}
	}
	config := filepath.Join(dir, ".ssh", "config")
	for _, program := range []string{"ssh", "scp", "sftp"} {
		script := fmt.Sprintf("#!/bin/sh\n[ -f '%[2]s' ] || exec %[1]s -F none \"$@\"\nexec %[1]s -F '%[2]s' \"$@\"\n", Need(t, program, "openssh-client"), config)
		if err := os.WriteFile(filepath.Join(bin, program), []byte(script), 0o755); err != nil {
			t.Fatalf("make home: %v", err)
		}
	}
	if err := os.Symlink(Binary(t), filepath.Join(bin, "sallyport")); err != nil {
		t.Fatalf("make home: %v", err)
	}
	h := &Home{Dir: dir, t: t}
	// No agent, no display and no bus of whoever runs the tests shines through.
	for _, kv := range os.Environ() {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "HOME", "PATH", "BROWSER", "SSH_AUTH_SOCK", "SSH_CONNECTION", "SSH_TTY", "DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME":
		default:
			h.env = append(h.env, kv)
		}
	}
	h.Set("HOME", dir)
	h.Set("PATH", bin+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if browser != "" {
		h.Set("BROWSER", browser)
	}
	return h
}

// Set changes a variable of the environment.
func (h *Home) Set(name, value string) {
	kept := h.env[:0:0]
	for _, kv := range h.env {
		if !strings.HasPrefix(kv, name+"=") {
			kept = append(kept, kv)
		}
	}
	h.env = append(kept, name+"="+value)
}

// Env is what a shell in this home starts with.
func (h *Home) Env() []string { return h.env }

// Command is a program as this person would start it.
func (h *Home) Command(name string, args ...string) *exec.Cmd {
	if !strings.Contains(name, "/") {
		if own := filepath.Join(h.Dir, "bin", name); isExecutable(own) {
			name = own
		} else if path := find(name); path != "" {
			name = path
		}
	}
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = h.env, h.Dir
	return cmd
}

// Run runs a command to its end and returns what it printed and its exit status.
func (h *Home) Run(name string, args ...string) Result {
	cmd := h.Command(name, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := Result{Command: name + " " + strings.Join(args, " "), Stdout: stdout.String(), Stderr: stderr.String()}
	if cmd.ProcessState == nil {
		h.t.Fatalf("run %s: %v", name, err)
	}
	r.Status = cmd.ProcessState.ExitCode()
	return r
}

// Must is Run for what has to work; it returns stdout.
func (h *Home) Must(name string, args ...string) string {
	h.t.Helper()
	r := h.Run(name, args...)
	if r.Status != 0 {
		h.t.Fatalf("%s", r)
	}
	return r.Stdout
}

// Result is how a command ended.
type Result struct {
	Command, Stdout, Stderr string
	Status                  int // -1 when a signal ended it
}

func (r Result) String() string {
	return fmt.Sprintf("$ %s\n%s%s(exit status %d)", r.Command, r.Stdout, r.Stderr, r.Status)
}
