package export_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/export"
	"github.com/sallyport-ssh/sallyport/internal/recording/hour"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestAsciinemaTakesVersion2 asks Debian's asciinema, which nobody here wrote.
func TestAsciinemaTakesVersion2(t *testing.T) {
	asciinema := rig.Need(t, "asciinema", "asciinema")
	for name, want := range casts(t) {
		path := filepath.Join(t.TempDir(), "session.cast")
		write(t, path, want.v2)
		cmd := exec.Command(asciinema, "cat", path)
		cmd.Env = append(os.Environ(), "ASCIINEMA_CONFIG_HOME="+t.TempDir(), "LC_ALL=C.UTF-8", "PYTHONIOENCODING=utf-8")
		// It wants a terminal, also when its output goes elsewhere.
		terminal, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin, cmd.SysProcAttr = tty, &syscall.SysProcAttr{Setsid: true, Setctty: true}
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		terminal.Close()
		tty.Close()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, said.String())
		}
		if string(out) != want.output {
			t.Errorf("%s: asciinema shows %d bytes, want %d", name, len(out), len(want.output))
		}
	}
}

// TestAsciinemaPlayerTakesBothVersions drives the player that people embed in web
// pages, which nobody here wrote.
func TestAsciinemaPlayerTakesBothVersions(t *testing.T) {
	node, npm := rig.Need(t, "node", "nodejs"), rig.Need(t, "npm", "npm")
	dir := t.TempDir()
	install := exec.Command(npm, "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts", "asciinema-player@3.18.0")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install asciinema-player: %v\n%s", err, out)
	}
	dist := filepath.Join(dir, "node_modules", "asciinema-player", "dist")
	for name, want := range casts(t) {
		for version, text := range map[string]string{"version 2": want.v2, "version 3": want.v3} {
			path := filepath.Join(t.TempDir(), "session.cast")
			write(t, path, text)
			out, err := exec.Command(node, filepath.Join("testdata", "play.mjs"), dist, path).CombinedOutput()
			if err != nil {
				t.Fatalf("%s, %s: %v\n%.2000s", name, version, err, out)
			}
			var seen struct {
				Output   string
				Sizes    []string
				Errors   []any
				Metadata struct{ Duration float64 }
			}
			if err := json.Unmarshal(out, &seen); err != nil {
				t.Fatalf("%s, %s: %v\n%.2000s", name, version, err, out)
			}
			if seen.Output != want.output || len(seen.Errors) > 0 || strings.Join(seen.Sizes, " ") != want.sizes {
				t.Errorf("%s, %s: %d bytes, want %d; sizes %v, want %s; %v", name, version, len(seen.Output), len(want.output), seen.Sizes, want.sizes, seen.Errors)
			}
			if off := seen.Metadata.Duration - want.lasted.Seconds(); off < -1e-3 || off > 1e-3 {
				t.Errorf("%s, %s: lasts %v s, want %v", name, version, seen.Metadata.Duration, want.lasted)
			}
		}
	}
}

// exported is a session in both versions, and what a player must make of them.
type exported struct {
	v2, v3, output, sizes string
	lasted                time.Duration
}

func casts(t *testing.T) map[string]exported {
	t.Helper()
	list := map[string]exported{}
	add := func(name string, frames []recording.Frame, output, sizes string) {
		e := exported{output: output, sizes: sizes, lasted: frames[len(frames)-1].At}
		e.v2 = export.Cast(t, frames, export.Options{Version: export.V2})
		e.v3 = export.Cast(t, frames, export.Options{Version: export.V3})
		list[name] = e
	}
	add("a hard session", export.HardSession(), export.HardSessionText, "120x36 80x24")
	var output strings.Builder
	for _, f := range hour.Frames(1) {
		if f.Kind == recording.KindOutput {
			output.Write(f.Payload)
		}
	}
	add("the hour", hour.Frames(1), output.String(), "120x36")
	return list
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
