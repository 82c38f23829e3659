package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Better says in which direction a figure improves.
type Better string

const (
	Higher Better = "higher"
	Lower  Better = "lower"
)

// Figure is one measured number with its floor.
type Figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Floor  float64 `json:"floor"`
	Better Better  `json:"better"`
}

// Holds says whether the figure keeps its floor.
func (f Figure) Holds() bool {
	if f.Better == Higher {
		return f.Value >= f.Floor
	}
	return f.Value <= f.Floor
}

// report collects figures, and beside them what was measured on the way: the
// absolute numbers behind a ratio, which have no floor.
type report struct {
	figures []Figure
	beside  []Figure
}

func (r *report) add(f Figure) { r.figures = append(r.figures, f) }
func (r *report) note(name string, value float64, u string) {
	r.beside = append(r.beside, Figure{Name: name, Value: value, Unit: u})
}

// print writes the table that people read.
func (r *report) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "FIGURE\tVALUE\tFLOOR\t")
	for _, f := range r.figures {
		sign, verdict := "<=", ""
		if f.Better == Higher {
			sign = ">="
		}
		if !f.Holds() {
			verdict = "falls short"
		}
		fmt.Fprintf(t, "%s\t%.4g %s\t%s %.4g\t%s\n", f.Name, f.Value, f.Unit, sign, f.Floor, verdict)
	}
	for _, f := range r.beside {
		fmt.Fprintf(t, "  %s\t%.4g %s\t\t\n", f.Name, f.Value, f.Unit)
	}
	t.Flush()
}

// save merges the figures into dir/figures.json and writes dir/bench.txt, which
// benchstat reads.
func (r *report) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, "figures.json")
	var all []Figure
	if old, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(old, &all); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	for _, f := range r.figures {
		all = slices.DeleteFunc(all, func(o Figure) bool { return o.Name == f.Name })
		all = append(all, f)
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return err
	}
	var text strings.Builder
	for _, f := range append(slices.Clone(r.figures), r.beside...) {
		fmt.Fprintf(&text, "Benchmark%s 1 %g %s\n", strings.ReplaceAll(f.Name, " ", "_"), f.Value, strings.ReplaceAll(f.Unit, " ", "_"))
	}
	return os.WriteFile(filepath.Join(dir, "bench.txt"), []byte(text.String()), 0o644)
}

// quantile of samples, 0 to 1. It sorts a copy.
func quantile(samples []time.Duration, q float64) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	s := slices.Clone(samples)
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median of numbers.
func median(v []float64) float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}
