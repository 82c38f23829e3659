package people

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// The test's own binary is what the CA serves; as `agent` it shows how it was
// called.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		in, _ := io.ReadAll(os.Stdin)
		fmt.Printf("arguments: %q\ninput: %q\n", os.Args[1:], in)
		return
	}
	os.Exit(m.Run())
}

// The two lines of EXPERIENCE, but for sudo.
func TestTheInstallerInstallsAndEnrols(t *testing.T) {
	w := newWorld(t)
	curl := rig.Need(t, "curl", "curl")
	prefix := t.TempDir()
	if err := os.Mkdir(filepath.Join(prefix, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", curl+" -fsS "+w.url+"/install | sh -s -- --token k3v9-secret --name 'web 1'")
	cmd.Env = append(os.Environ(), "PREFIX="+prefix)
	out, err := cmd.CombinedOutput()
	if os.Geteuid() != 0 {
		if err == nil || !strings.Contains(string(out), "run this as root") {
			t.Errorf("without root: %v\n%s", err, out)
		}
		return
	}
	want := fmt.Sprintf("arguments: %q\ninput: %q\n", []string{"agent", "enroll", "--ca", w.url, "--token-file", "-", "--name", "web 1"}, "k3v9-secret\n")
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	if files, _ := os.ReadDir(filepath.Join(prefix, "bin")); len(files) != 1 || files[0].Name() != "sallyport" {
		t.Errorf("it left %v", files)
	}
}

func TestTheProgramIsServedToMachinesOfTheSameKind(t *testing.T) {
	w := newWorld(t)
	if err := w.send(nil, "GET", wire.PathBinary+"?os="+runtime.GOOS+"&arch="+runtime.GOARCH, nil); err != nil {
		t.Error(err)
	}
	for _, query := range []string{"", "?os=plan9&arch=386", "?os=linux", "?os=" + runtime.GOOS + "&arch=riscv64"} {
		f := fault.Of(w.send(nil, "GET", wire.PathBinary+query, nil))
		if f.Reason != fault.NotFound || !strings.Contains(f.Next, "install the package") {
			t.Errorf("%q: %+v", query, f)
		}
	}
}
