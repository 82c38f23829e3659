package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return path
}

func TestASecretLosesOneNewline(t *testing.T) {
	for text, want := range map[string]string{"s3cret": "s3cret", "s3cret\n": "s3cret", "s3cret\r\n": "s3cret", "a\n\n": "a\n", " a ": " a ", "a\r": "a\r"} {
		got, err := ReadSecret(write(t, "pass", text, 0o400))
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestASecretThatOthersMayUseIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777} {
		_, err := ReadSecret(write(t, "pass", "s3cret\n", mode))
		f := fault.Of(err)
		if f.Reason != fault.ConfigInvalid || !strings.HasPrefix(f.Next, "run: chmod 600 ") {
			t.Errorf("%04o: %v", mode, err)
		}
		if strings.Contains(f.Error()+f.Show(), "s3cret") {
			t.Errorf("%04o: the secret stands in the error", mode)
		}
	}
}

func TestWhatIsNoSecretIsRefused(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{
		"no path":         "",
		"a missing file":  filepath.Join(dir, "none"),
		"a directory":     dir,
		"an empty file":   write(t, "a", "", 0o600),
		"a lone newline":  write(t, "b", "\n", 0o600),
		"too much for it": write(t, "c", strings.Repeat("x", maxSecret+1), 0o600),
	} {
		if got, err := ReadSecret(path); fault.ReasonOf(err) != fault.ConfigInvalid || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestCredentialsOfSystemdAreTakenWithTheirAccessList(t *testing.T) {
	path := write(t, "pass", "s3cret\n", 0o440)
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path)+"/")
	if got, err := ReadSecret(path); err != nil || string(got) != "s3cret" {
		t.Fatalf("%q, %v", got, err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(filepath.Dir(path)))
	if _, err := ReadSecret(path); err == nil {
		t.Fatal("taken from below another service's directory")
	}
}
