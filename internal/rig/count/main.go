// Count reads the events of `go test -json` and shows what a person needs of
// them: a line a package, the whole output of what failed, and at the end the
// counts of tests. It exits 1 when anything failed or nothing ran.
//
//	go test -json ./... | go run ./internal/rig/count
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// event is one line of test2json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
}

type counter struct {
	passed, failed, skipped int
	output                  map[string]*strings.Builder // by package and test, until it passed
	broken                  bool                        // a package failed outside its tests
}

func main() {
	c := counter{output: map[string]*strings.Builder{}}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Println(in.Text()) // the go command's own words
			continue
		}
		c.take(e)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", c.passed, c.failed, c.skipped)
	if c.failed > 0 || c.broken || c.passed == 0 || in.Err() != nil {
		os.Exit(1)
	}
}

func (c *counter) take(e event) {
	key := e.Package + "\x00" + e.Test
	switch e.Action {
	case "output", "build-output":
		if c.output[key] == nil {
			c.output[key] = &strings.Builder{}
		}
		c.output[key].WriteString(e.Output)
	case "pass":
		c.settle(e, "ok  ", &c.passed, false)
	case "skip":
		c.settle(e, "skip", &c.skipped, e.Test != "")
	case "fail", "build-fail":
		c.settle(e, "FAIL", &c.failed, true)
	}
}

// settle counts a test, or reports a package.
func (c *counter) settle(e event, word string, n *int, show bool) {
	key := e.Package + "\x00" + e.Test
	if show && c.output[key] != nil {
		fmt.Print(c.output[key].String())
	}
	delete(c.output, key)
	switch {
	case e.Test != "":
		*n++
	case word != "skip":
		c.broken = c.broken || word == "FAIL"
		fmt.Printf("%s %-60s %7.1fs\n", word, e.Package, e.Elapsed)
	}
}
