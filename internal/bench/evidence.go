package main

import (
	"fmt"
	"slices"
)

// terminalOutput reads 128 MiB that a program floods its terminal with: the
// worst there is for the recorder, because at a terminal every byte is kept.
func terminalOutput(b *bench) error {
	targets := b.targets()
	const rounds, size = 5, 128 * mebi
	rates := map[string][]float64{}
	for range rounds {
		for _, t := range targets {
			// A terminal may say more than it is asked for.
			rate, err := t.drain(size, t.command([]string{"-tt", "-c", cipher}, fmt.Sprintf("stty raw; head -c %d /dev/zero", size)))
			if err != nil {
				return err
			}
			rates[t.name] = append(rates[t.name], rate)
		}
	}
	var ratios []float64
	for i := range rounds {
		ratios = append(ratios, rates["sallyport"][i]/rates["relay"][i])
	}
	for _, t := range targets {
		b.report.note("terminal-output-"+t.name, median(rates[t.name]), "MB/s")
	}
	b.report.add(Figure{"terminal-output-ratio", median(ratios), "of the bare relay, every byte kept and encrypted", 0.85, Higher})
	return nil
}

// auditEvents: 64 who append to the log, each waiting until its event is durable.
func auditEvents(b *bench) error {
	for _, database := range []string{"sqlite", "postgres"} {
		m, err := goBench("./internal/store", "^BenchmarkAppend$/^"+database+"$/^clients=64$", "50000x", "events/s")
		if err != nil {
			return err
		}
		b.report.add(Figure{"audit-events-" + database, m["events/s"], "audit events per second, durable", 5000, Higher})
	}
	return nil
}

// verify checks an encrypted recording of 1 GiB with its auditor's key, and a log
// of ten million events on disk.
func verify(b *bench) error {
	m, err := goBench("./internal/recording", "^BenchmarkVerify$/^encrypted$/^with_the_key$", "1x", "MB/s")
	if err != nil {
		return err
	}
	b.report.add(Figure{"verify-recording", m["MB/s"], "MB/s, 1 GiB, opened with the key", 300, Higher})
	rates, err := goBenchAll("events/s", "./internal/audit", "^BenchmarkVerifyCopy$", "1x", "-events", "10000000")
	if err != nil {
		return err
	}
	b.report.add(Figure{"verify-log", 1e7 / slices.Min(rates), "s, 10 million events on disk", 60, Lower})
	return nil
}

// search asks six questions of 100,000 sessions.
func search(b *bench) error {
	for _, database := range []string{"sqlite", "postgres"} {
		took, err := goBenchAll("ns/op", "./internal/store", "^BenchmarkSearch$/^"+database+"$", "20x")
		if err != nil {
			return err
		}
		b.report.add(Figure{"search-" + database, slices.Max(took) / 1e6, "ms, the slowest of six questions to 100,000 sessions", 1000, Lower})
	}
	return nil
}
