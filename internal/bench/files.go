package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// sftpFile is what is carried, in bytes.
const sftpFile = 512 * mebi

// sftpTake runs one command of OpenSSH's sftp over t and returns MB/s of wall
// time from its prompt to its end.
func (t target) sftpTake(program, command string) (float64, error) {
	ssh := append([]string{t.ssh[0], "-c", cipher}, t.ssh[1:]...)
	cmd := exec.Command(program, "-q", "-b", "-", "-D", strings.Join(append(ssh, "-s", "sftp"), " "))
	if cmd.Env = t.env; cmd.Env == nil {
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK=")
	}
	cmd.Stdin = strings.NewReader("pwd\n" + command + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var start time.Time
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "Remote working directory") {
			start = time.Now()
		}
	}
	err = cmd.Wait()
	if err != nil || start.IsZero() {
		return 0, fmt.Errorf("%s: sftp %s: %w: %s", t.name, command, err, stderr.String())
	}
	return sftpFile / 1e6 / time.Since(start).Seconds(), nil
}

// sftpThroughput moves a file of 512 MiB each way with OpenSSH's sftp, in rounds
// of all targets. Through Sallyport it is parsed and summed on its way.
func sftpThroughput(b *bench) error {
	targets := b.targets()
	program := rig.Need(b, "sftp", "openssh-client")
	here := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(here, make([]byte, sftpFile), 0o644); err != nil {
		return err
	}
	const rounds = 5
	down, up := map[string][]float64{}, map[string][]float64{}
	for range rounds {
		for _, t := range targets {
			u, err := t.sftpTake(program, "put "+here+" bench-file")
			if err != nil {
				return err
			}
			d, err := t.sftpTake(program, "get bench-file "+here)
			if err != nil {
				return err
			}
			down[t.name], up[t.name] = append(down[t.name], d), append(up[t.name], u)
		}
	}
	for _, t := range targets {
		b.report.note("sftp-download-"+t.name, median(down[t.name]), "MB/s")
		b.report.note("sftp-upload-"+t.name, median(up[t.name]), "MB/s")
	}
	ratio := func(m map[string][]float64) float64 {
		var r []float64
		for i := range rounds {
			r = append(r, m["sallyport"][i]/m["relay"][i])
		}
		return median(r)
	}
	b.report.add(Figure{"sftp-download-ratio", ratio(down), "of the bare relay", 0.80, Higher})
	b.report.add(Figure{"sftp-upload-ratio", ratio(up), "of the bare relay", 0.80, Higher})
	return nil
}
