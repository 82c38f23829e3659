package sshdconf

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func TestALineIsSplitAsSshdSplitsIt(t *testing.T) {
	for raw, want := range map[string]Line{
		"":                                  {},
		"   ":                               {},
		"# Include /x":                      {},
		"\t#x":                              {},
		"PermitRootLogin yes":               {Keyword: "permitrootlogin", Args: []string{"yes"}},
		"  permitrootlogin\t yes \r":        {Keyword: "permitrootlogin", Args: []string{"yes"}},
		"PermitRootLogin=yes":               {Keyword: "permitrootlogin", Args: []string{"yes"}},
		"PermitRootLogin = yes":             {Keyword: "permitrootlogin", Args: []string{"yes"}},
		`Include "/a b/*.conf" /c`:          {Keyword: "include", Args: []string{"/a b/*.conf", "/c"}},
		`Include "/a b/*.conf`:              {Keyword: "include", Args: []string{"/a b/*.conf"}},
		"Match User a,b Address 10.0.0.0/8": {Keyword: "match", Args: []string{"User", "a,b", "Address", "10.0.0.0/8"}},
		"UsePAM yes # for now":              {Keyword: "usepam", Args: []string{"yes"}},
		"X11Forwarding":                     {Keyword: "x11forwarding"},
	} {
		want.Raw = raw
		if got := parseLine(raw); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", raw, got, want)
		}
	}
}

// write makes files below a fresh directory.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// effective asks the real sshd.
func effective(t *testing.T, config string) Effective {
	t.Helper()
	out, err := exec.Command(rig.Need(t, "sshd", "openssh-server"), "-T", "-f", config).CombinedOutput()
	if err != nil {
		t.Fatalf("sshd -T: %v: %s", err, out)
	}
	return ParseEffective(out)
}

// TestACopyMeansToSshdWhatTheOriginalMeans is checked by sshd.
func TestACopyMeansToSshdWhatTheOriginalMeans(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	rig.NewKey(t, key)
	dir := write(t, map[string]string{
		"sshd_config":   "HostKey " + key + "\nMaxAuthTries 5\nInclude DIR/d/*.conf DIR/none/*.conf\nInclude \"DIR/with space\"\nMaxSessions 9\nMatch User nobody-here\n Include DIR/match\n",
		"d/20-b.conf":   "MaxAuthTries 1\nLoginGraceTime 20\nMatch all\n PermitTTY no\n",
		"d/10-a.conf":   "LoginGraceTime 10\nInclude DIR/deep\n",
		"d/30-c.conf":   "MaxStartups 7\n",
		"d/ignored.txt": "Nonsense\n",
		"deep":          "ClientAliveInterval 33\n",
		"with space":    "Banner none\nMaxSessions 8\n",
		"match":         "Banner /etc/issue\n",
	})
	config := filepath.Join(dir, "sshd_config")
	tree, err := Load(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := tree.Copy(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got, want := effective(t, copied), effective(t, config)
	for keyword := range want {
		if !slices.Equal(got[keyword], want[keyword]) {
			t.Errorf("%s is %q, in the original %q", keyword, got[keyword], want[keyword])
		}
	}
	for keyword, value := range map[string]string{"maxauthtries": "5", "logingracetime": "10", "clientaliveinterval": "33", "maxsessions": "8", "maxstartups": "7:30:7"} {
		if !strings.HasPrefix(want.One(keyword), strings.Split(value, ":")[0]) {
			t.Errorf("the original's %s is %q; this test expects %s", keyword, want.One(keyword), value)
		}
	}
}

func TestAnOverlayStandsInForFiles(t *testing.T) {
	dir := write(t, map[string]string{
		"sshd_config": "Include DIR/d/*.conf\nUsePAM no\n",
		"d/50.conf":   "MaxSessions 5\n",
		"d/60.conf":   "MaxSessions 6\n",
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	tree, err := Load(at("sshd_config"), Overlay{at("d/00.conf"): []byte("MaxSessions 0\n"), at("d/50.conf"): nil})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range tree.Settings() {
		got = append(got, s.Place()+": "+s.Raw)
	}
	want := []string{at("d/00.conf") + " line 1: MaxSessions 0", at("d/60.conf") + " line 1: MaxSessions 6", at("sshd_config") + " line 2: UsePAM no"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !tree.Includes(at("d/00.conf")) || tree.Includes(at("d/50.conf")) {
		t.Error("Includes is wrong about the overlay")
	}
}

func TestAnIncludeInsideAMatchBlockIsNone(t *testing.T) {
	dir := write(t, map[string]string{"sshd_config": "Match User x\nInclude DIR/d/*.conf\n", "d/00.conf": "UsePAM no\n"})
	tree, err := Load(filepath.Join(dir, "sshd_config"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if tree.Includes(filepath.Join(dir, "d/00.conf")) {
		t.Error("it counts")
	}
	if s := tree.Settings(); len(s) != 1 || s[0].Match != "User x" {
		t.Errorf("settings %+v", s)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"nothing":                     {},
		"a file that includes itself": {"sshd_config": "Include DIR/sshd_config\n"},
		"a pattern that is none":      {"sshd_config": "Include DIR/[\n"},
		"a directory":                 {"sshd_config/x": "", "y": ""},
		"a file of two megabytes":     {"sshd_config": strings.Repeat("# x\n", 1<<19)},
	} {
		if _, err := Load(filepath.Join(write(t, files), "sshd_config"), nil); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

func TestTheIncludeLineComesAndGoesByteForByte(t *testing.T) {
	const path = "/etc/ssh/sshd_config.d/00-sallyport.conf"
	for _, original := range []string{"", "\n", "UsePAM yes", "UsePAM yes\n", "# comment\r\nUsePAM yes\r\n", "\n\nInclude /etc/ssh/sshd_config.d/*.conf\n"} {
		with := WithInclude([]byte(original), path)
		if !HasInclude(with, path) || HasInclude([]byte(original), path) {
			t.Errorf("%q: HasInclude is wrong", original)
		}
		if twice := WithInclude(with, path); string(twice) != string(with) {
			t.Errorf("%q: put there twice: %q", original, twice)
		}
		if back := WithoutInclude(with); string(back) != original {
			t.Errorf("%q comes back as %q", original, back)
		}
	}
	// The admin's own first line came before it since.
	moved := "UsePAM yes\n" + string(WithInclude([]byte("X11Forwarding no\n"), path))
	if got := string(WithoutInclude([]byte(moved))); got != "UsePAM yes\nX11Forwarding no\n" {
		t.Errorf("got %q", got)
	}
	// Somebody took the line and left the comment: the next line is theirs.
	if got := string(WithoutInclude([]byte(mark + "\nUsePAM yes\n"))); got != "UsePAM yes\n" {
		t.Errorf("got %q", got)
	}
}

func TestVersions(t *testing.T) {
	for out, want := range map[string]Version{
		"OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.20 7 Apr 2026":                   {9, 2},
		"unknown option -- V\nOpenSSH_8.4p1 Debian-5+deb11u3, OpenSSL 1.1.1w\nusage: ": {8, 4},
		"OpenSSH_10.0p2, OpenSSL 3.5.9":                                                {10, 0},
	} {
		if got, err := ParseVersion([]byte(out)); err != nil || got != want {
			t.Errorf("%q is %v, %v", out, got, err)
		}
	}
	for _, out := range []string{"", "Dropbear v2022.83", "OpenSSH", "OpenSSH_9", "OpenSSH_99999999999999999999.1"} {
		if got, err := ParseVersion([]byte(out)); err == nil {
			t.Errorf("%q is %v", out, got)
		}
	}
	for _, c := range []struct {
		a, b Version
		want bool
	}{{Version{8, 2}, Version{8, 2}, true}, {Version{8, 1}, Version{8, 2}, false}, {Version{10, 0}, Version{9, 8}, true}, {Version{9, 8}, Version{10, 0}, false}, {Version{}, Version{0, 1}, false}} {
		if got := c.a.AtLeast(c.b); got != c.want {
			t.Errorf("%v at least %v: %v", c.a, c.b, got)
		}
	}
}

func FuzzTree(f *testing.F) {
	f.Add([]byte("Include x\nMatch User a\n  UsePAM no\n"))
	f.Add([]byte("Include \"a b\" c\n\n# x\nKey=value\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.Contains(strings.ToLower(string(text)), "include") {
			// What is included is this machine's business.
			for _, l := range parse(text) {
				if l.Keyword == "include" {
					return
				}
			}
		}
		tree, err := Load("/c", Overlay{"/c": text})
		if err != nil {
			return
		}
		copied, err := tree.Copy(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(copied)
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSuffix(string(got), "\n") != strings.TrimSuffix(string(text), "\n") {
			t.Errorf("%q was copied as %q", text, got)
		}
		for _, s := range tree.Settings() {
			if s.Keyword == "" || s.Number < 1 {
				t.Errorf("setting %+v", s)
			}
		}
	})
}

func FuzzInclude(f *testing.F) {
	f.Add([]byte("UsePAM yes\n"))
	f.Add([]byte(mark + "\nInclude \"/x\"\nUsePAM yes\n"))
	f.Fuzz(func(t *testing.T, config []byte) {
		bare := WithoutInclude(config)
		with := WithInclude(config, "/d/00.conf")
		if !HasInclude(with, "/d/00.conf") || string(WithoutInclude(with)) != string(bare) {
			t.Errorf("%q: with %q, without %q", config, with, bare)
		}
	})
}

func FuzzEffective(f *testing.F) {
	f.Add([]byte("port 22\nhostkey /a\nhostkey /b\nciphers a,b\n"))
	f.Add([]byte("x\n y\r\nOpenSSH_9.2"))
	f.Fuzz(func(t *testing.T, out []byte) {
		e := ParseEffective(out)
		for keyword, values := range e {
			if keyword == "" || len(values) == 0 {
				t.Errorf("%q has %q", keyword, values)
			}
			e.List(keyword)
		}
		ParseVersion(out)
		WantOf(out).Missing(e)
	})
}
