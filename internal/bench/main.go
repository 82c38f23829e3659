// Bench is `make bench`: it measures Sallyport with real parts on loopback,
// beside what it is compared with in the same run, prints a table and writes
// .bench/figures.json (and .bench/bench.txt for benchstat).
//
// Targets take turns in each round, because a fixed order measures the machine's
// drift. Nothing here runs in `make test`: a busy machine fails no test.
//
//	make bench               every figure
//	make bench ONLY=echo     one group: its name or one of its figures' names
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// group measures figures that share their preparation.
type group struct {
	name    string
	figures []string
	run     func(*bench) error
}

var groups = []group{
	{"throughput", []string{"download-ratio", "upload-ratio"}, throughput},
	{"sftp", []string{"sftp-download-ratio", "sftp-upload-ratio"}, sftpThroughput},
	{"terminal", []string{"terminal-output-ratio"}, terminalOutput},
	{"echo", []string{"echo-added-p50", "echo-added-p99"}, echo},
	{"connect", []string{"connect-added-p50"}, connect},
	{"connections", []string{"connections-per-core-second"}, connections},
	{"idle", []string{"idle-session-memory"}, idle},
	{"logins", []string{"logins-sqlite", "logins-sqlite-p99", "logins-postgres", "logins-postgres-p99"}, logins},
	{"hour", []string{"interactive-hour", "interactive-hour-of-gzip"}, hour},
	{"audit", []string{"audit-events-sqlite", "audit-events-postgres"}, auditEvents},
	{"verify", []string{"verify-recording", "verify-log"}, verify},
	{"search", []string{"search-sqlite", "search-postgres"}, search},
	{"client", []string{"check", "connect-first-byte"}, client},
	{"agent", []string{"agent-memory"}, agentMemory},
}

func main() {
	only := flag.String("only", "", "one group or figure")
	flag.Parse()
	b := &bench{Suite: &rig.Suite{Out: os.Stderr}}
	if !b.Run(func() { b.measure(*only) }) {
		os.Exit(1)
	}
}

func (b *bench) measure(only string) {
	ran := 0
	for _, g := range groups {
		if only != "" && only != g.name && !slices.Contains(g.figures, only) {
			continue
		}
		ran++
		fmt.Fprintf(os.Stderr, "measuring %s ...\n", g.name)
		if err := g.run(b); err != nil {
			b.Fatalf("%s: %v", g.name, err)
		}
	}
	if ran == 0 {
		var names []string
		for _, g := range groups {
			names = append(names, g.name)
		}
		b.Fatalf("there is no figure %q; groups are %s", only, strings.Join(names, ", "))
	}
	b.report.print(os.Stdout)
	if err := b.report.save(filepath.Join(rig.Root(), ".bench")); err != nil {
		b.Fatalf("save figures: %v", err)
	}
}
