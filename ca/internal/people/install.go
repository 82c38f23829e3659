package people

import (
	_ "embed"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// installer fetches this CA's own executable and enrols a node. It has two
// words to fill in, both from the configuration and never from the request: a
// header must not be able to write shell.
//
//go:embed install.sh
var installer string

func (p *people) install(w http.ResponseWriter, _ *call) error {
	script := strings.NewReplacer("@URL@", p.URL.String(), "@BINARY@", wire.PathBinary).Replace(installer)
	w.Header().Set("Content-Type", "text/x-shellscript; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte(script))
	return nil
}

// downloadTime is enough for this program at 50 KB/s.
const downloadTime = 15 * time.Minute

// binary serves this program to machines of the same kind. There is no download
// host to trust beside the CA that the machine is about to trust anyway.
func (p *people) binary(w http.ResponseWriter, c *call) error {
	system, machine := c.URL.Query().Get("os"), c.URL.Query().Get("arch")
	if system != runtime.GOOS || machine != runtime.GOARCH {
		return fault.New(fault.Missing, fault.NotFound, "this CA runs on %s/%s and has no sallyport for %s/%s", runtime.GOOS, runtime.GOARCH, clip(system), clip(machine)).
			Then("install the package sallyport there, then run: sallyport agent enroll --ca %s", p.URL)
	}
	f, err := os.Open(p.Executable)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	door.Extend(w, downloadTime)
	http.ServeContent(w, c.Request, "", info.ModTime(), f)
	return nil
}
