package recording

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestAStrangersReaderGetsTheSame runs a reader that was written from
// RECORDING.md, in another language and with another zstd: the page says all that
// one needs.
func TestAStrangersReaderGetsTheSame(t *testing.T) {
	python := rig.Need(t, "python3", "python3")
	rig.Need(t, "zstd", "zstd")
	frames := sample()
	var want strings.Builder
	for _, f := range frames {
		fmt.Fprintf(&want, "%d %d %d %d %x\n", f.Number, f.At.Microseconds(), f.Channel, f.Kind, f.Payload)
	}
	for name, file := range map[string][]byte{
		"a finished part":         recOf(NewPacker(), testHeader, frames, 12),
		"plain blocks":            recOf(&Packer{}, testHeader, frames, 7),
		"a tail":                  tailOf(testHeader, 0, frames),
		"a tail that a crash cut": append(tailOf(testHeader, 0, frames), 0, 0, 0, 0, 0, 0, 0, 9),
	} {
		path := filepath.Join(t.TempDir(), "recording")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, filepath.Join("testdata", "reader.py"), path).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if got := strings.ReplaceAll(string(out), " \n", "\n"); got != strings.ReplaceAll(want.String(), " \n", "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want.String())
		}
	}
}
