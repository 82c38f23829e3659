package recording

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestAStrangersReaderGetsTheSame runs a reader that was written from
// RECORDING.md, in another language and with another zstd and another AES: the
// page says all that one needs, for chain and seal as well.
func TestAStrangersReaderGetsTheSame(t *testing.T) {
	python := rig.Need(t, "python3", "python3")
	rig.Need(t, "zstd", "zstd")
	read := func(file []byte, args ...string) (string, error) {
		path := filepath.Join(t.TempDir(), "recording")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, append([]string{filepath.Join("testdata", "reader.py"), path}, args...)...).CombinedOutput()
		return strings.ReplaceAll(string(out), " \n", "\n"), err
	}
	const end = "sealed p-1 closed\n"
	for _, f := range forms {
		var want strings.Builder
		for _, f := range stored(sample()) {
			fmt.Fprintf(&want, "%d %d %d %d %x\n", f.Number, f.At.Microseconds(), f.Channel, f.Kind, f.Payload)
		}
		frames := strings.ReplaceAll(want.String(), " \n", "\n")
		var key []string
		if f.header.Encrypted() {
			if exec.Command(python, "-c", "import cryptography").Run() != nil {
				rig.Install(t, "python3-cryptography")
			}
			key = []string{fmt.Sprintf("%x", testKey[:])}
		}
		packed, c1 := recOf(NewPacker(), f, stored(sample()), 12)
		flat, c2 := recOf(&Packer{}, f, stored(sample()), 7)
		raw, c3 := rawOf(f, sample(), 9)
		tail := tailOf(f, sample(), 1, len(sample()))
		files := map[string]struct {
			file []byte
			want string
		}{
			"a sealed recording":         {sealed(f, packed, c1, EndClosed), frames + end},
			"plain blocks":               {sealed(f, flat, c2, EndClosed), frames + end},
			"a recording that was saved": {sealed(f, raw, c3, EndClosed), frames + end},
			"one that is not sealed":     {packed, frames},
			"a tail":                     {tail, frames},
			"a tail that a crash cut":    {append(bytes.Clone(tail), 0, 0, 0, 0, 0, 0, 0, 9), frames},
		}
		for name, test := range files {
			if got, err := read(test.file, key...); err != nil || got != test.want {
				t.Errorf("%s, %s: %v\n%s\nwant\n%s", f.name, name, err, got, test.want)
			}
		}
		// Without the key the chain and the seal's statement are read all the same.
		file := files["a sealed recording"].file
		if f.header.Encrypted() {
			if got, err := read(file); err != nil || got != end {
				t.Errorf("without the key: %v\n%s", err, got)
			}
		}
		for _, at := range []int{20, len(file) / 2, len(file) - 1} {
			b := bytes.Clone(file)
			b[at] ^= 1
			if got, err := read(b, key...); err == nil {
				t.Errorf("%s, byte %d changed: read as\n%s", f.name, at, got)
			}
		}
	}
}
