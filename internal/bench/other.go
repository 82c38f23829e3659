package main

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// goBench runs one benchmark of the module and returns its metrics by unit, those
// of its last line; each of units has to be there. It serves where what is
// measured lies behind a part's internal/ door.
func goBench(pkg, pattern, benchtime string, units ...string) (map[string]float64, error) {
	lines, out, err := goBenchLines(pkg, pattern, benchtime)
	if err != nil {
		return nil, err
	}
	metrics := map[string]float64{}
	for _, line := range lines {
		maps.Copy(metrics, line)
	}
	for _, unit := range units {
		if _, measured := metrics[unit]; !measured {
			return nil, fmt.Errorf("%s in %s measured no %s:\n%s", pattern, pkg, unit, out)
		}
	}
	return metrics, nil
}

// goBenchAll returns one unit's value on each line of a benchmark, at least one.
func goBenchAll(unit, pkg, pattern, benchtime string, flags ...string) (values []float64, err error) {
	lines, out, err := goBenchLines(pkg, pattern, benchtime, flags...)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		if v, measured := line[unit]; measured {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("%s in %s measured no %s:\n%s", pattern, pkg, unit, out)
	}
	return values, nil
}

// goBenchLines runs benchmarks of a package and returns the metrics of each, and
// everything that was printed.
func goBenchLines(pkg, pattern, benchtime string, flags ...string) (lines []map[string]float64, out []byte, err error) {
	args := append([]string{"test", "-run", "^$", "-bench", pattern, "-benchtime", benchtime, "-timeout", "20m", pkg}, flags...)
	cmd := exec.Command("go", args...)
	cmd.Dir = rig.Root()
	if out, err = cmd.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("%s in %s: %w\n%s", pattern, pkg, err, out)
	}
	in := bufio.NewScanner(bytes.NewReader(out))
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		metrics := map[string]float64{}
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, nil, fmt.Errorf("%s in %s prints %q", pattern, pkg, in.Text())
			}
			metrics[f[i+1]] = v
		}
		lines = append(lines, metrics)
	}
	return lines, out, nil
}

// logins: eight clients at the API of a CA process, durable commits.
func logins(b *bench) error {
	for _, database := range []string{"sqlite", "postgres"} {
		m, err := goBench("./ca", "^BenchmarkLogin$/^"+database+"$", "20000x", "logins/s", "ms-p99")
		if err != nil {
			return err
		}
		b.report.add(Figure{"logins-" + database, m["logins/s"], "login certificates per second, 8 clients", 3000, Higher})
		b.report.add(Figure{"logins-" + database + "-p99", m["ms-p99"], "ms", 20, Lower})
	}
	return nil
}

// hour writes a scripted hour at a terminal through the recorder: the largest of
// the three that the benchmark has.
func hour(b *bench) error {
	m, err := goBench("./proxy/internal/recorder", "^BenchmarkHour$/^seed_3$", "1x", "bytes", "gzip-bytes")
	if err != nil {
		return err
	}
	b.report.add(Figure{"interactive-hour", m["bytes"] / 1e6, "MB, encrypted, input and all", 0.5, Lower})
	b.report.add(Figure{"interactive-hour-of-gzip", m["bytes"] / m["gzip-bytes"], "of its output as asciicast v2 with gzip", 1.2, Lower})
	b.report.note("interactive-hour-asciicast-gzip", m["gzip-bytes"]/1e6, "MB")
	return nil
}

// client measures what stands before every ssh: `sallyport check` with a fresh
// certificate, and `sallyport connect` until its first byte.
func client(b *bench) error {
	b.up()
	var check, first []time.Duration
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	home, err := b.elsewhere(l.Addr().String())
	if err != nil {
		return err
	}
	for range 50 {
		start := time.Now()
		if r := b.ann.Run("sallyport", "check"); r.Status != 0 {
			return fmt.Errorf("%s", r)
		}
		check = append(check, time.Since(start))

		cmd := home.Command("sallyport", "connect", "bench-node", "22", b.node.Login)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		start = time.Now()
		if err := cmd.Start(); err != nil {
			return err
		}
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			return fmt.Errorf("connect sent nothing: %w", err)
		}
		first = append(first, time.Since(start))
		conn.Close()
		stdin.Close()
		cmd.Wait() // its peer went away: how it ends is not what is measured
	}
	b.report.add(Figure{"check", milliseconds(quantile(check, 0.5)), "ms, the whole process", 15, Lower})
	b.report.note("check-p99", milliseconds(quantile(check, 0.99)), "ms")
	b.report.add(Figure{"connect-first-byte", milliseconds(quantile(first, 0.5)), "ms, the whole process", 15, Lower})
	b.report.note("connect-first-byte-p99", milliseconds(quantile(first, 0.99)), "ms")
	return nil
}

// elsewhere is a copy of ann's home that takes addr for the proxy.
func (b *bench) elsewhere(addr string) (*rig.Home, error) {
	home := rig.NewHome(b, filepath.Join(b.TempDir(), "home"), "")
	from, to := filepath.Join(b.ann.Dir, ".ssh", "sallyport"), filepath.Join(home.Dir, ".ssh", "sallyport")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return nil, err
	}
	for _, name := range []string{"id_ed25519", "state.json"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return nil, err
		}
		data = bytes.ReplaceAll(data, []byte(b.world.Proxy), []byte(addr))
		if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
			return nil, err
		}
	}
	return home, os.Chmod(to, 0o700)
}

// agentMemory is what the running agent of a node holds after it has installed
// everything.
func agentMemory(b *bench) error {
	b.up()
	time.Sleep(10 * time.Second)
	b.report.add(Figure{"agent-memory", float64(b.resident(b.node.Agent.Cmd.Process.Pid)) / 1e6, "MB resident", 25, Lower})
	return nil
}
