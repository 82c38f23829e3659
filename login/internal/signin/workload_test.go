package signin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestAWorkloadsToken(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if got, err := FromFile(file("good", "a.b.c\n")); err != nil || got.ID != "a.b.c" || got.Salt != nil {
		t.Errorf("%+v, %v", got, err)
	}
	env := map[string]string{"CI_TOKEN": " a.b.c", "EMPTY": "", "ODD": "hello"}
	if got, err := FromEnv(func(n string) string { return env[n] }, "CI_TOKEN"); err != nil || got.ID != "a.b.c" {
		t.Errorf("%+v, %v", got, err)
	}
	for name, call := range map[string]func() (Tokens, error){
		"a file that is not there":  func() (Tokens, error) { return FromFile(filepath.Join(dir, "none")) },
		"an empty file":             func() (Tokens, error) { return FromFile(file("empty", "\n")) },
		"a file of something else":  func() (Tokens, error) { return FromFile(file("else", "hello")) },
		"a file of two tokens":      func() (Tokens, error) { return FromFile(file("two", "a.b\nc.d")) },
		"a file that is too large":  func() (Tokens, error) { return FromFile(file("large", strings.Repeat("a", maxToken+1))) },
		"a directory":               func() (Tokens, error) { return FromFile(dir) },
		"a variable that is not":    func() (Tokens, error) { return FromEnv(func(n string) string { return env[n] }, "NONE") },
		"an empty variable":         func() (Tokens, error) { return FromEnv(func(n string) string { return env[n] }, "EMPTY") },
		"a variable of other text":  func() (Tokens, error) { return FromEnv(func(n string) string { return env[n] }, "ODD") },
		"a token where a name goes": func() (Tokens, error) { return FromEnv(func(n string) string { return env[n] }, "eyJh.eyJz.c2ln") },
	} {
		_, err := call()
		if fault.ReasonOf(err) != fault.TokenInvalid || strings.Contains(fault.Of(err).Show(), "eyJh") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
