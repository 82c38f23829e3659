package rig

import (
	"fmt"
	"io"
	"os"
)

// Suite is a T outside of a test: for the demo, the benchmarks, and the TestMain
// of a package whose tests share one world. What fails in Run ends it.
type Suite struct {
	Out io.Writer
	// Keep is where TempDir makes its directories, which then stay; "" is the
	// system's place, from where they are removed.
	Keep string

	cleanups []func()
}

// failure is how Fatalf leaves Run.
type failure struct{}

// Run calls f, and afterwards what was registered with Cleanup, the last first,
// also when Fatalf ended f. It says whether f came to its end.
func (s *Suite) Run(f func()) (ok bool) {
	defer s.clean()
	defer func() {
		if r := recover(); r != nil {
			if _, ours := r.(failure); !ours {
				s.clean()
				panic(r)
			}
			ok = false
		}
	}()
	f()
	return true
}

func (s *Suite) clean() {
	for len(s.cleanups) > 0 {
		last := s.cleanups[len(s.cleanups)-1]
		s.cleanups = s.cleanups[:len(s.cleanups)-1]
		last()
	}
}

func (s *Suite) Helper() {}

func (s *Suite) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *Suite) Logf(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }

func (s *Suite) Fatalf(format string, args ...any) {
	fmt.Fprintf(s.Out, "\nThis stops here: "+format+"\n", args...)
	panic(failure{})
}

func (s *Suite) TempDir() string {
	if s.Keep != "" {
		if err := os.MkdirAll(s.Keep, 0o755); err != nil {
			s.Fatalf("make directory: %v", err)
		}
	}
	dir, err := os.MkdirTemp(s.Keep, "sallyport-")
	if err != nil {
		s.Fatalf("make directory: %v", err)
	}
	if s.Keep == "" {
		s.Cleanup(func() { os.RemoveAll(dir) })
	}
	return dir
}
