package sshconf

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/login/internal/home"
)

const include = "~/.ssh/sallyport/config"

func TestInstallPutsTheIncludeOnTop(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"of an empty file":            {"", mark + "\nInclude " + include + "\n"},
		"of a file":                   {"Host *\n", mark + "\nInclude " + include + "\nHost *\n"},
		"of a file with DOS lines":    {"Host *\r\n  User you\r\n", mark + "\r\nInclude " + include + "\r\nHost *\r\n  User you\r\n"},
		"of a file without a newline": {"Host *", mark + "\nInclude " + include + "\nHost *"},
		"though it stands lower":      {"Host *\n" + mark + "\nInclude " + include + "\nUser you\n", mark + "\nInclude " + include + "\nHost *\nUser you\n"},
		"though another path does":    {mark + "\nInclude /old/config\nHost *\n", mark + "\nInclude " + include + "\nHost *\n"},
		"though one host has it":      {"Host a\nInclude " + include + "\n", mark + "\nInclude " + include + "\nHost a\nInclude " + include + "\n"},
		"though it is a comment":      {"# Include " + include + "\n", mark + "\nInclude " + include + "\n# Include " + include + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Install([]byte(c.content), include, false)
			if string(got) != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if again := Install(got, include, false); !bytes.Equal(again, got) {
				t.Errorf("a second time it changes to %q", again)
			}
		})
	}
}

func TestInstallLeavesAnIncludeByHand(t *testing.T) {
	for _, content := range []string{
		"Include " + include + "\n",
		"  include = \"" + include + "\"\r\nHost *\r\n",
		"User you\nInclude ~/.orbstack/ssh/config " + include + "\n",
	} {
		if got := Install([]byte(content), include, false); string(got) != content {
			t.Errorf("%q became %q", content, got)
		}
	}
}

// TestInstallAndUninstallAreARoundTrip: whatever the person had is there again.
func TestInstallAndUninstallAreARoundTrip(t *testing.T) {
	line := rapid.OneOf(
		rapid.SampledFrom([]string{"", "Host *", "\tUser you", "Include other", "Match all", mark, markMade, "Include", "# sallyport", "\xff\xfe\x00", "Host a\rHost b"}),
		rapid.StringMatching(`[ -~]{0,20}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		end := rapid.SampledFrom([]string{"\n", "\r\n"})
		var b strings.Builder
		for _, l := range rapid.SliceOfN(line, 0, 12).Draw(t, "lines") {
			b.WriteString(l + end.Draw(t, "end"))
		}
		if rapid.Bool().Draw(t, "no newline at the end") {
			b.WriteString(line.Draw(t, "last"))
		}
		content := []byte(b.String())
		if rest, _ := Uninstall(content); !bytes.Equal(rest, content) {
			t.Skip("this one has a block of ours")
		}
		path := rapid.SampledFrom([]string{include, "/home/you and me/.ssh/sallyport/config"}).Draw(t, "path")
		installed := Install(content, path, false)
		if twice := Install(installed, path, false); !bytes.Equal(twice, installed) {
			t.Fatalf("installed twice: %q", twice)
		}
		rest, made := Uninstall(installed)
		if !bytes.Equal(rest, content) || made {
			t.Fatalf("%q came back as %q", content, rest)
		}
		moved := Install(installed, "/another/home/config", false)
		if rest, _ := Uninstall(moved); !bytes.Equal(rest, content) {
			t.Fatalf("%q came back as %q after a move", content, rest)
		}
	})
}

// dirIn is a home directory of the test's.
func dirIn(t *testing.T, root string) home.Dir {
	t.Helper()
	dir, err := home.Find(func(name string) string {
		if name == "HOME" {
			return root
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.Make(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestTheFileComesBackAsItWas(t *testing.T) {
	const content = "Host *\r\n  User you"
	for name, prepare := range map[string]func(t *testing.T, path string) (keep string){
		"a plain file": func(t *testing.T, path string) string {
			writeFile(t, path, content, 0o640)
			return path
		},
		"a link into dotfiles": func(t *testing.T, path string) string {
			target := filepath.Join(filepath.Dir(filepath.Dir(path)), "dotfiles", "ssh_config")
			writeFile(t, target, content, 0o640)
			if err := os.Symlink("../dotfiles/ssh_config", path); err != nil {
				t.Fatal(err)
			}
			return target
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := dirIn(t, t.TempDir())
			path := dir.UserConfig()
			keep := prepare(t, path)
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []bool{true, false} {
				if added, err := InstallFile(dir); err != nil || added != want {
					t.Fatalf("time %d: added %v, %v", i, added, err)
				}
			}
			if got, err := os.ReadFile(path); err != nil || !strings.Contains(string(got), "Include ") {
				t.Fatalf("%q, %v", got, err)
			}
			if err := UninstallFile(dir); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(keep); err != nil || string(got) != content {
				t.Errorf("%q, %v", got, err)
			}
			if info, err := os.Stat(keep); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if after, err := os.Lstat(path); err != nil || after.Mode().Type() != before.Mode().Type() {
				t.Errorf("the link became %v, %v", after.Mode(), err)
			}
		})
	}
}

func TestAFileThatWasNotThereGoesAgain(t *testing.T) {
	dir := dirIn(t, t.TempDir())
	if added, err := InstallFile(dir); !added || err != nil {
		t.Fatal(added, err)
	}
	if info, err := os.Stat(dir.UserConfig()); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if err := UninstallFile(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir.UserConfig()); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
	if err := UninstallFile(dir); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestAFileOfOursWithAPersonsLinesStays(t *testing.T) {
	dir := dirIn(t, t.TempDir())
	if _, err := InstallFile(dir); err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile(dir.UserConfig())
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir.UserConfig(), string(ours)+"Host a\n", 0o600)
	if err := UninstallFile(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dir.UserConfig()); err != nil || string(got) != "Host a\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAFileThatWasEmptyStaysEmpty(t *testing.T) {
	dir := dirIn(t, t.TempDir())
	writeFile(t, dir.UserConfig(), "", 0o600)
	if _, err := InstallFile(dir); err != nil {
		t.Fatal(err)
	}
	if err := UninstallFile(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dir.UserConfig()); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAFileThatCannotBeChangedIsLeftWithTheLineToAddByHand(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, path string){
		"read-only":         func(t *testing.T, path string) { writeFile(t, path, "Host *\n", 0o400) },
		"a link to nowhere": func(t *testing.T, path string) { symlink(t, "/nonexistent/ssh_config", path) },
		"a directory":       func(t *testing.T, path string) { writeFile(t, filepath.Join(path, "file"), "", 0o600) },
		"somebody else's": func(t *testing.T, path string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			writeFile(t, path, "Host *\n", 0o600)
			if err := os.Chown(path, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := dirIn(t, t.TempDir())
			prepare(t, dir.UserConfig())
			added, err := InstallFile(dir)
			f := fault.Of(err)
			if added || f.Reason != fault.ConfigInvalid || !strings.Contains(f.Next, "Include "+dir.Include()) {
				t.Fatalf("%v, %+v", added, f)
			}
			if content, err := os.ReadFile(dir.UserConfig()); err == nil && string(content) != "Host *\n" {
				t.Errorf("it was changed to %q", content)
			}
		})
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}
