package outfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestAFileIsWrittenWholeOrNotAtAll(t *testing.T) {
	broken := errors.New("the CA went away")
	for name, c := range map[string]struct {
		before string // "" is no file
		write  func(io.Writer) error
		want   string
		err    error
	}{
		"a new file":                      {"", text("new"), "new", nil},
		"a file that was there":           {"old, and longer", text("new"), "new", nil},
		"a write that fails":              {"", half(broken), "", broken},
		"a write that fails over another": {"old", half(broken), "old", broken},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "session.bundle")
			if c.before != "" {
				if err := os.WriteFile(path, []byte(c.before), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := Write(path, nil, c.write); !errors.Is(err, c.err) {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if c.want == "" && !os.IsNotExist(err) || string(got) != c.want {
				t.Errorf("the file is %q, %v", got, err)
			}
			left, err := os.ReadDir(dir)
			if want := min(len(c.want), 1); err != nil || len(left) != want {
				t.Errorf("%d files are there: %v, %v", len(left), left, err)
			}
			if info, err := os.Stat(path); c.err == nil && (err != nil || info.Mode().Perm() != 0o600) {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
		})
	}
}

func TestADashIsStandardOutput(t *testing.T) {
	var out bytes.Buffer
	if err := Write(Stdout, &out, text("here")); err != nil || out.String() != "here" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestADeviceStaysOne(t *testing.T) {
	if err := Write(os.DevNull, nil, text("x")); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := Write(t.TempDir(), nil, text("x")); err == nil {
		t.Error("a folder was written")
	}
}

func TestAFolderThatIsNotThereIsNamed(t *testing.T) {
	if err := Write(filepath.Join(t.TempDir(), "none", "x"), nil, text("x")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

func half(err error) func(io.Writer) error {
	return func(w io.Writer) error { io.WriteString(w, "half"); return err }
}
