package ca

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/testissuer"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// BenchmarkLogin is login certificates per second through the CA's API: 8
// clients over HTTP, tokens made beforehand, every certificate durable. The CA
// and its signer are processes of their own, and share the machine with the
// clients (and with PostgreSQL).
//
//	go test ./ca/ -run - -bench Login -benchtime 20000x
func BenchmarkLogin(b *testing.B) {
	for name, database := range map[string]func(testing.TB) string{
		"sqlite":   func(testing.TB) string { return "" },
		"postgres": func(b testing.TB) string { return rig.DurablePostgres(b).URL },
	} {
		b.Run(name, func(b *testing.B) {
			i := testissuer.New(b)
			in := install(b, i.URL, "log: {level: warn}", databaseYAML(database(b)))
			in.run = in.spawn()
			rig.Eventually(b, 20*time.Second, "the CA answers", func() bool {
				return in.client().Do(b.Context(), "GET", wire.PathHealth, nil, nil) == nil
			})
			benchmarkLogins(b, in, i)
		})
	}
}

func databaseYAML(url string) string {
	if url == "" {
		return ""
	}
	return "database: " + url
}

func benchmarkLogins(b *testing.B, in *installation, i *testissuer.Issuer) {
	const clients, people = 8, 64
	requests := make([]wire.LoginRequest, b.N+1)
	var everybody []*person
	for range people {
		everybody = append(everybody, newPerson(b))
	}
	for n := range requests {
		p := *everybody[n%people]
		p.salt = freshSalt()
		claims := i.Claims(p.nonce())
		name := string(rune('a'+n%people%26)) + string(rune('a'+n%people/26))
		claims["sub"], claims["email"] = name, name+"@example.com"
		requests[n] = p.request(b, i.Sign(claims))
	}
	c := in.client()
	if err := c.Do(b.Context(), "POST", wire.PathLogin, requests[b.N], nil); err != nil {
		b.Fatal(err)
	}
	ca, signer := in.run.Cmd.Process.Pid, children(b, in.run.Cmd.Process.Pid)[0]
	spentCA, spentSigner := processorTime(b, ca), processorTime(b, signer)
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			c := in.client()
			for {
				n := int(next.Add(1)) - 1
				if n >= b.N {
					return
				}
				begin := time.Now()
				if err := c.Do(b.Context(), "POST", wire.PathLogin, requests[n], &wire.LoginResponse{}); err != nil {
					b.Errorf("login %d: %v", n, err)
					return
				}
				took[n] = time.Since(begin)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "ms-p99")
	b.ReportMetric(float64((processorTime(b, ca)-spentCA).Microseconds())/float64(b.N), "ca-µs")
	b.ReportMetric(float64((processorTime(b, signer)-spentSigner).Microseconds())/float64(b.N), "signer-µs")
	b.ReportMetric(0, "ns/op")
}

// processorTime is what a process has used so far, user and system (proc(5),
// /proc/pid/stat, fields 14 and 15, in hundredths of a second).
func processorTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var user, system time.Duration
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return (user + system) * 10 * time.Millisecond
}
