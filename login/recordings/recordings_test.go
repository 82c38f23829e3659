package recordings

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// bench is an empty directory of somebody who has no login, with the evidence
// that internal/bundle keeps for its own tests.
func bench(t *testing.T) {
	t.Helper()
	from, err := filepath.Abs("../../internal/bundle/testdata")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, name := range []string{"clear.bundle", "encrypted.bundle", "trust.json", "auditor.key"} {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(name, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// run calls `sallyport recording` with args.
func run(args ...string) (status int, stdout, stderr string) {
	var out, said bytes.Buffer
	env := cli.Env{Stdout: &out, Stderr: &said, Getenv: func(name string) string {
		return map[string]string{"HOME": "/nonexistent"}[name]
	}}
	connect := func(context.Context, cli.Env) (*wire.Client, error) { return nil, errors.New("the CA was asked") }
	err := Commands(connect)["recording"](context.Background(), env, args)
	return cli.Report(env, err), out.String(), said.String()
}

func TestVerifySaysWhatItChecked(t *testing.T) {
	bench(t)
	if status, _, said := run("export", "clear.bundle", "--as", "recording", "-o", "clear.rec"); status != 0 {
		t.Fatal(said)
	}
	flipped, err := os.ReadFile("clear.bundle")
	if err != nil {
		t.Fatal(err)
	}
	flipped[bytes.Index(flipped, []byte("\x89SPR"))+2000] ^= 1
	if err := os.WriteFile("flipped.bundle", flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("cut.bundle", flipped[:9000], 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		want   []string
	}{
		"keys of the auditor's own": {[]string{"--trust", "trust.json", "clear.bundle"}, 0, []string{
			"recording  7kq2-m9x4d   41 commands, 1 file, 7m 0s\n",
			"opened by certificate serial 88214 for you@example.com, login postgres, node db-1, from 10.0.4.7\n",
			"allowed by role db-oncall, policy 61\n", "9 frames, unbroken; sealed by proxy p-2; in the log at 13, under checkpoint 15\n",
			"by the keys in trust.json\nverified.\n"}},
		"no keys":                        {[]string{"clear.bundle"}, 1, []string{"NOT verified: everything fits together", "user CA     SHA256:", "--trust-bundle clear.bundle"}},
		"keys that were compared":        {[]string{"--trust-bundle", "clear.bundle"}, 0, []string{"which you have compared\nverified.\n"}},
		"encrypted, without a key":       {[]string{"--trust", "trust.json", "encrypted.bundle"}, 0, []string{"content encrypted; to open it as well: --identity FILE", "verified."}},
		"a bare recording":               {[]string{"--trust-bundle", "clear.rec"}, 2, []string{"a bare recording brings no keys"}},
		"a bare recording without keys":  {[]string{"clear.rec"}, 1, []string{"there are no keys"}},
		"a bare recording with its keys": {[]string{"--trust", "trust.json", "clear.rec"}, 0, []string{"not checked: whether the audit log knows", "verified."}},
		"one byte flipped":               {[]string{"--trust", "trust.json", "flipped.bundle"}, 1, []string{"NOT verified:\n  recording: ", "was changed"}},
		"the end cut off":                {[]string{"--trust", "trust.json", "cut.bundle"}, 1, []string{"NOT verified:\n  ", "the file ends before it"}},
		"one of two flipped":             {[]string{"--trust", "trust.json", "clear.bundle", "flipped.bundle"}, 1, []string{"verified.\n\nrecording  7kq2-m9x4d", "NOT verified:"}},
		"a file that is no bundle":       {[]string{"--trust", "trust.json", "trust.json"}, 1, []string{"NOT verified:\n  bundle: this is no bundle"}},
		"a file that is not there":       {[]string{"--trust", "trust.json", "no.bundle"}, 1, []string{"there is no file no.bundle"}},
		"keys that are none":             {[]string{"--trust", "auditor.key", "clear.bundle"}, 2, []string{"auditor.key: read keys"}},
		"keys that are not there":        {[]string{"--trust", "no.json", "clear.bundle"}, 1, []string{"there are no keys at no.json"}},
		"an identity that is none":       {[]string{"--trust", "trust.json", "--identity", "trust.json", "clear.bundle"}, 2, []string{"holds no age identity"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, said := run(append([]string{"verify"}, c.args...)...)
			if status != c.status {
				t.Errorf("exit status %d", status)
			}
			for _, want := range c.want {
				if !strings.Contains(out+said, want) {
					t.Errorf("it does not say %q:\n%s%s", want, out, said)
				}
			}
		})
	}
}

func TestVerifyPrintsJSON(t *testing.T) {
	bench(t)
	status, out, said := run("verify", "--json", "--trust", "trust.json", "--identity", "auditor.key", "clear.bundle", "encrypted.bundle")
	var list []struct {
		Evidence, Session string
		Verified          bool
		Keys              string
		Recording         struct {
			Identity string
			Opened   bool
		}
		Log      struct{ Sealed, Size int64 }
		Findings []struct{ Where, Flaw, What string }
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 || len(list) != 2 {
		t.Fatalf("exit status %d, %v\n%s%s", status, err, out, said)
	}
	for _, r := range list {
		if !r.Verified || r.Session != "7kq2-m9x4d" || r.Keys != "file" || !r.Recording.Opened || r.Log.Size == 0 || r.Findings == nil {
			t.Errorf("%+v", r)
		}
	}
}

func TestExportWritesWholeFilesOrNone(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		status int
		file   string // that is there afterwards; "" is none
		want   string // in it, or said
	}{
		"a bundle again":                     {[]string{"clear.bundle", "--as", "bundle", "-o", "again.bundle"}, 0, "again.bundle", "recording.rec"},
		"a bundle that is named by itself":   {[]string{"clear.bundle", "--as", "bundle"}, 0, "7kq2-m9x4d.bundle", "recording.rec"},
		"a recording":                        {[]string{"clear.bundle", "--as", "recording", "-o", "x.rec"}, 0, "x.rec", "\x89SPR"},
		"a text":                             {[]string{"clear.bundle", "--as", "text", "-o", "x.txt"}, 0, "x.txt", "uid=114(postgres)"},
		"an asciicast":                       {[]string{"clear.bundle", "--as", "asciicast", "-o", "x.cast"}, 0, "x.cast", `"version":3`},
		"a text to standard output":          {[]string{"clear.bundle", "--as", "text", "-o", "-"}, 0, "", "uid=114(postgres)"},
		"an encrypted text, with its key":    {[]string{"encrypted.bundle", "--as", "text", "--identity", "auditor.key", "-o", "x.txt"}, 0, "x.txt", "uid=114(postgres)"},
		"an encrypted text, without it":      {[]string{"encrypted.bundle", "--as", "text", "-o", "x.txt"}, 1, "", "is encrypted to its auditors"},
		"an encrypted recording, without":    {[]string{"encrypted.bundle", "--as", "recording", "-o", "x.rec"}, 0, "x.rec", "\x89SPR"},
		"a channel that is not there":        {[]string{"clear.bundle", "--as", "text", "--channel", "9", "-o", "x.txt"}, 1, "", "has no channel 9"},
		"files where none were kept":         {[]string{"clear.bundle", "--as", "files", "-o", "x.files"}, 1, "", "no content of files was kept"},
		"files to standard output":           {[]string{"clear.bundle", "--as", "files", "-o", "-"}, 2, "", "into a folder"},
		"a folder that is not there":         {[]string{"clear.bundle", "--as", "text", "-o", "none/x.txt"}, 1, "", "none/x.txt"},
		"another form":                       {[]string{"clear.bundle", "--as", "pdf"}, 2, "", "pdf"},
		"a session, and nobody is logged in": {[]string{"8ab3-k2m4n", "--as", "bundle"}, 1, "", "the CA was asked"},
	} {
		t.Run(name, func(t *testing.T) {
			bench(t)
			status, out, said := run(append([]string{"export"}, c.args...)...)
			if status != c.status {
				t.Errorf("exit status %d: %s", status, said)
			}
			text := out + said
			if c.file != "" {
				content, err := os.ReadFile(c.file)
				if err != nil {
					t.Fatal(err)
				}
				text = string(content)
				if err := os.Remove(c.file); err != nil {
					t.Error(err)
				}
			}
			if !strings.Contains(text, c.want) {
				t.Errorf("there is no %q in\n%.500s", c.want, text)
			}
			if left, err := os.ReadDir("."); err != nil || len(left) != 4 {
				t.Errorf("something is left behind: %v, %v", left, err)
			}
		})
	}
}

func TestTrustNeedsALogin(t *testing.T) {
	if status, out, said := run("trust"); status != 1 || out != "" || !strings.Contains(said, "sallyport login") {
		t.Errorf("%d, %q, %q", status, out, said)
	}
}
