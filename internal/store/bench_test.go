package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// BenchmarkRecordLogin is the store's part of issuing login certificates: each
// operation records a login with two things used once and stores a certificate
// of usual size, both on the disk.
func BenchmarkRecordLogin(b *testing.B) {
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("sqlite/clients=%d", clients), func(b *testing.B) {
			issue(b, open(b, sqliteURL(b)), clients)
		})
		b.Run(fmt.Sprintf("postgres/clients=%d", clients), func(b *testing.B) {
			issue(b, open(b, rig.DurablePostgres(b).URL), clients)
		})
	}
}

func issue(b *testing.B, s *Store, clients int) {
	const people = 1000
	blob := make([]byte, 500)
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				start := time.Now()
				serial, err := s.RecordLogin(b.Context(), benchLogin(n, people))
				if err == nil {
					err = s.Complete(b.Context(), serial, blob)
				}
				if err != nil {
					b.Error(err)
					return
				}
				took[n-1] = time.Since(start)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "issuances/s")
	b.ReportMetric(took[b.N*99/100].Seconds()*1000, "p99-ms")
}

// BenchmarkAppend is how many audit events of usual size become durable a second,
// each waited for by the one who appends it. The floor of 5,000 is for 64 of
// them, on either database.
//
//	go test ./internal/store -run - -bench Append -benchtime 50000x
func BenchmarkAppend(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("sqlite/clients=%d", clients), func(b *testing.B) {
			appendEvents(b, open(b, sqliteURL(b)), clients)
		})
		b.Run(fmt.Sprintf("postgres/clients=%d", clients), func(b *testing.B) {
			appendEvents(b, open(b, rig.DurablePostgres(b).URL), clients)
		})
	}
}

func appendEvents(b *testing.B, s *Store, clients int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := s.Append(b.Context(), denial(n)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if state := must(s.LogState(b.Context()))(b); state.Size != int64(b.N) {
		b.Fatalf("%d events, want %d", state.Size, b.N)
	}
}

// denial is an event such as a busy CA writes.
func denial(n int64) audit.Event {
	return audit.Event{
		Kind: audit.SessionDenied, Outcome: audit.Refused, Reason: string(fault.LoginNotAllowed),
		Actor: fmt.Sprintf("person-%d@example.com", n%1000), Client: "192.0.2.17:50122",
		Identity: id.Identity(fmt.Sprintf("person-%d@example.com", n%1000)), Login: "root",
		Node: id.NodeName(fmt.Sprintf("web-%d", n%500)), NodeID: "n-0123456789ab", Proxy: "p-1", Way: "jump", Revision: 61,
	}
}

func benchLogin(n, people int64) Login {
	var seed [9]byte
	binary.BigEndian.PutUint64(seed[1:], uint64(n))
	nonce := sha256.Sum256(seed[:])
	seed[0] = 1
	token := sha256.Sum256(seed[:])
	now := time.Now().Unix()
	l := login(fmt.Sprintf("person-%d@example.com", n%people), "")
	l.Identity.Seen = now
	l.Once = []Once{{"nonce", nonce[:], now + 600}, {"id_token", token[:], now + 600}}
	return l
}
