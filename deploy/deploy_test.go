package deploy

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func units(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("systemd/*.service")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no units: %v", err)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestUnitsAreAcceptedBySystemd asks systemd itself, with the binary where the
// units have it.
func TestUnitsAreAcceptedBySystemd(t *testing.T) {
	analyze := rig.Need(t, "systemd-analyze", "systemd")
	root := t.TempDir()
	for _, path := range units(t) {
		unit := strings.ReplaceAll(read(t, path), Binary, rig.Binary(t))
		// Its own users are made where the unit is installed, not here.
		unit = regexp.MustCompile(`(?m)^User=.*$`).ReplaceAllString(unit, "User=root")
		if err := os.WriteFile(filepath.Join(root, filepath.Base(path)), []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range units(t) {
		cmd := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", filepath.Join(root, filepath.Base(path)))
		if out, err := cmd.CombinedOutput(); err != nil || len(strings.TrimSpace(string(out))) > 0 {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}

// TestUnitsExposeLittle has systemd grade them, from 0.0 (nothing) to 10.0.
func TestUnitsExposeLittle(t *testing.T) {
	analyze := rig.Need(t, "systemd-analyze", "systemd")
	for _, path := range units(t) {
		if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=25", path).CombinedOutput(); err != nil {
			t.Errorf("%s is exposed more than 2.5: %v\n%s", path, err, out)
		}
	}
}

// TestUnitsStartCommandsThatExist asks each command for its help.
func TestUnitsStartCommandsThatExist(t *testing.T) {
	start := regexp.MustCompile(`(?m)^ExecStart=(\S+) (.+)$`)
	for _, path := range units(t) {
		m := start.FindStringSubmatch(read(t, path))
		if m == nil || m[1] != Binary {
			t.Errorf("%s does not start %s", path, Binary)
			continue
		}
		out, err := exec.Command(rig.Binary(t), append(strings.Fields(m[2]), "--help")...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: sallyport %s --help: %v\n%s", path, m[2], err, out)
		}
	}
}

// TestUnitsGiveUpWhatTheyDoNotNeed keeps the fences that every part has.
func TestUnitsGiveUpWhatTheyDoNotNeed(t *testing.T) {
	for _, path := range units(t) {
		lines := strings.Split(read(t, path), "\n")
		for _, want := range []string{
			"NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes",
			"ProtectKernelModules=yes", "ProtectKernelTunables=yes", "ProtectControlGroups=yes", "RestrictNamespaces=yes",
			"RestrictSUIDSGID=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes", "SystemCallArchitectures=native",
			"SystemCallFilter=@system-service", "Restart=always",
		} {
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, want) }) {
				t.Errorf("%s lacks %s", path, want)
			}
		}
		for _, l := range lines {
			if strings.HasPrefix(l, "Environment=") || strings.Contains(l, "--token ") {
				t.Errorf("%s hands something over for all to see: %s", path, l)
			}
		}
	}
}

// TestUsersOfUnitsAreMade has sysusers make them below a folder of its own.
func TestUsersOfUnitsAreMade(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"etc", "usr/lib/sysusers.d"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(root, "usr/lib/sysusers.d/sallyport.conf")
	if err := os.WriteFile(conf, []byte(read(t, "systemd/sysusers.conf")), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(rig.Need(t, "systemd-sysusers", "systemd"), "--root="+root).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && os.Geteuid() != 0 {
		t.Skip("making users takes root")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made := read(t, filepath.Join(root, "etc/passwd"))
	for _, path := range units(t) {
		for _, m := range regexp.MustCompile(`(?m)^User=(.+)$`).FindAllStringSubmatch(read(t, path), -1) {
			if !strings.Contains(made, m[1]+":") {
				t.Errorf("%s runs as %s, which nobody makes:\n%s", path, m[1], made)
			}
		}
	}
}
