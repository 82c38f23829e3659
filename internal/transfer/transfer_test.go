package transfer

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

func TestACommandIsNamed(t *testing.T) {
	for _, test := range []struct {
		command string
		want    string // tool direction paths
	}{
		{"scp -t /tmp/x", "scp up /tmp/x"},
		{"scp -v -r -p -d -t -- -odd", "scp up -odd"},
		{"scp -rpf 'a b' c", "scp down a b|c"},
		{"scp -l 100 -t x", "scp up x"},
		{"/usr/bin/scp -f ~/x*", "scp down ~/x*"},
		{"scp a b", "exec  "},
		{"scp", "exec  "},
		{"rsync --server -vlogDtpre.iLsfxCIvu . /srv/www/", "rsync up /srv/www/"},
		{"rsync --server --sender -vlogDtpre.iLsfxCIvu . a b", "rsync down a|b"},
		{"sudo rsync --server -e.LsfxCIvu --delete . x", "rsync up x"},
		{"rsync -a a b", "exec  "},
		{"git-upload-pack '/srv/repo.git'", "git down /srv/repo.git"},
		{"git upload-pack 'repo'", "git down repo"},
		{"git-receive-pack 'it'\\''s'", "git up it's"},
		{"git-upload-archive 'repo'", "git down repo"},
		{"git status", "exec  "},
		{"/usr/lib/openssh/sftp-server -R", "sftp  "},
		{"uptime", "exec  "},
		{"", "exec  "},
		{"   ", "exec  "},
		{"scp -t x; rm -rf /", "exec  "},
		{"scp -t $(id)", "exec  "},
		{"scp -t \"$HOME\"", "exec  "},
		{"scp -t `id`", "exec  "},
		{"scp -t x &", "exec  "},
		{"scp -t x | tee y", "exec  "},
		{"scp -t x > y", "exec  "},
		{"scp -t x\nid", "exec  "},
		{"PATH=/tmp scp -t x", "exec  "},
		{"s?p -t x", "exec  "},
		{"scp -t 'x", "exec  "},
		{"scp -t \"x", "exec  "},
		{"scp -t x\\", "exec  "},
		{"#scp -t x", "exec  "},
		{"scp -t x #y", "exec  "},
		{`scp -t "a\"b\c"`, `scp up a"b\c`},
	} {
		got := Name([]byte(test.command))
		if s := got.Tool + " " + got.Direction + " " + string(bytes.Join(got.Paths, []byte("|"))); s != test.want {
			t.Errorf("%q: %q, want %q", test.command, s, test.want)
		}
		if (got.Tool == "exec") != (got.Args == nil) {
			t.Errorf("%q: arguments %q", test.command, got.Args)
		}
	}
}

// FuzzSplit: what is called simple has the words that a real shell finds, where
// the shell expands nothing.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"scp -t 'a b'", `a "b\"c" d\ e`, "a #b", "a;b", `"`, `a ''`, "a ~ *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words, simple := split([]byte(s))
		if !simple || strings.ContainsAny(s, "~*?[{!}]\x00") || len(words) == 0 || len(words) > 100 {
			return
		}
		out, err := exec.Command("/bin/sh", "-c", "printf '%s\\0' x "+s).Output()
		want := "x\x00" + string(bytes.Join(words, []byte{0})) + "\x00"
		if err != nil || string(out) != want {
			t.Fatalf("%q: %q, the shell says %q, %v", s, want, out, err)
		}
	})
}
