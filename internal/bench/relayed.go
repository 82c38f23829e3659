package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	cipher = "aes128-gcm@openssh.com"
	volume = 512 * mebi
)

// throughput moves 512 MiB each way, in rounds of all targets.
func throughput(b *bench) error {
	targets := b.targets()
	const rounds = 5
	down, up := map[string][]float64{}, map[string][]float64{}
	for range rounds {
		for _, t := range targets {
			d, err := t.download(cipher, volume)
			if err != nil {
				return err
			}
			u, err := t.upload(cipher, volume)
			if err != nil {
				return err
			}
			down[t.name], up[t.name] = append(down[t.name], d), append(up[t.name], u)
		}
	}
	for _, t := range targets {
		b.report.note("download-"+t.name, median(down[t.name]), "MB/s")
		b.report.note("upload-"+t.name, median(up[t.name]), "MB/s")
	}
	// Ratios of the same round, so that drift cancels out.
	ratio := func(m map[string][]float64) float64 {
		var r []float64
		for i := range rounds {
			r = append(r, m["sallyport"][i]/m["relay"][i])
		}
		return median(r)
	}
	b.report.add(Figure{"download-ratio", ratio(down), "of the bare relay, encrypted and chained", 0.85, Higher})
	b.report.add(Figure{"upload-ratio", ratio(up), "of the bare relay, encrypted and chained", 0.85, Higher})
	return nil
}

// echo types into a terminal on the node, a block of keys at each target in
// turn.
func echo(b *bench) error {
	const blocks, keys, warm = 50, 40, 5
	samples := map[string][]time.Duration{}
	targets := b.targets()
	open := map[string]*terminal{}
	for _, t := range targets {
		term, err := t.terminal()
		if err != nil {
			return err
		}
		defer term.close()
		open[t.name] = term
	}
	for block := range warm + blocks {
		for _, t := range targets {
			for range keys {
				took, err := open[t.name].key()
				if err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				if block >= warm {
					samples[t.name] = append(samples[t.name], took)
				}
			}
			if err := open[t.name].enter(keys); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	for _, t := range targets {
		b.report.note("echo-"+t.name+"-p50", milliseconds(quantile(samples[t.name], 0.5)), "ms")
		b.report.note("echo-"+t.name+"-p99", milliseconds(quantile(samples[t.name], 0.99)), "ms")
	}
	added := func(q float64) float64 {
		return milliseconds(quantile(samples["sallyport"], q) - quantile(samples["direct"], q))
	}
	b.report.add(Figure{"echo-added-p50", added(0.5), "ms over direct", 0.35, Lower})
	b.report.add(Figure{"echo-added-p99", added(0.99), "ms over direct", 1.5, Lower})
	return nil
}

// connect runs `ssh node true` over new connections, one after the other.
func connect(b *bench) error {
	const rounds = 40
	samples := map[string][]time.Duration{}
	targets := b.targets()
	for i := range rounds + 3 {
		for _, t := range targets {
			took, err := t.connect()
			if err != nil {
				return err
			}
			if i >= 3 {
				samples[t.name] = append(samples[t.name], took)
			}
		}
	}
	for _, t := range targets {
		b.report.note("connect-"+t.name+"-p50", milliseconds(quantile(samples[t.name], 0.5)), "ms")
	}
	added := milliseconds(quantile(samples["sallyport"], 0.5) - quantile(samples["relay"], 0.5))
	b.report.add(Figure{"connect-added-p50", added, "ms over the bare relay", 12, Lower})
	return nil
}

// connections opens and closes sessions from four clients at once for some
// seconds, and divides them by the processor time of the proxy. Clients and
// sshd share the machine, so wall time would measure them.
func connections(b *bench) error {
	b.up()
	pid := b.world.Child("proxy")
	dial, err := b.dialer()
	if err != nil {
		return err
	}
	var done atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, 4)
	before, until := b.cpu(pid), time.Now().Add(15*time.Second)
	for range 4 {
		wg.Go(func() {
			for time.Now().Before(until) {
				if err := dial.once(); err != nil {
					failed <- err
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	used := b.cpu(pid) - before
	b.report.add(Figure{"connections-per-core-second", float64(done.Load()) / used.Seconds(), "per second of the proxy's processor time", 150, Higher})
	b.report.note("connections-wall", float64(done.Load())/15, "per second, clients and sshd on the same cores")
	return nil
}

// idle holds 2,000 interactive sessions in one proxy.
func idle(b *bench) error {
	b.up()
	const sessions = 2000
	pid := b.world.Child("proxy")
	dial, err := b.dialer()
	if err != nil {
		return err
	}
	// One session first: what every proxy has anyway is not counted.
	if err := dial.once(); err != nil {
		return err
	}
	before := b.resident(pid)
	var held []func()
	defer func() {
		for _, end := range held {
			end()
		}
	}()
	for range sessions {
		end, err := dial.shell()
		if err != nil {
			return fmt.Errorf("after %d sessions: %w", len(held), err)
		}
		held = append(held, end)
	}
	time.Sleep(90 * time.Second) // everything at rest: tails compacted, buffers given back
	after := b.resident(pid)
	b.report.add(Figure{"idle-session-memory", float64(after-before) / sessions / 1024, "KiB a session, 2,000 held, encrypted", 220, Lower})
	return nil
}
