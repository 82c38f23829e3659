package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestErrorsReachThePersonAndTheExitStatus(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		status int
		said   string
	}{
		{"success says nothing", nil, 0, ""},
		{"a fault is told with its next step", fault.New(fault.Missing, fault.NodeUnknown, "no node is called web-9").Then("run: sallyport ls"), 1, "sallyport: no node is called web-9\n  run: sallyport ls\n"},
		{"a denial says that it is one", fault.New(fault.Denied, fault.NotAdmin, "ann is no admin here"), 1, "sallyport: denied: ann is no admin here\n"},
		{"bad usage is 2", fault.New(fault.Invalid, fault.BadRequest, "unknown flag"), 2, "sallyport: unknown flag\n"},
		{"a cause of a denial stays hidden", fault.New(fault.Denied, fault.NoRole, "no").Because(errors.New("secret")), 1, "sallyport: denied: no\n"},
		{"a cause of a fault of ours is told to whoever runs it", fault.New(fault.Internal, fault.InternalError, "broken").Because(errors.New("disk")), 1, "sallyport: broken\n  cause: disk\n"},
		{"any other error is told", errors.New("something"), 1, "sallyport: something\n"},
		{"an exit keeps its status and is silent when it was told", &Exit{Status: 254, Silent: true, Err: errors.New("told")}, 254, ""},
		{"an exit is found through wrapping", fmt.Errorf("run: %w", &Exit{Status: 7, Err: errors.New("why")}), 7, "sallyport: run: why\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr strings.Builder
			status := Report(Env{Stderr: &stderr}, c.err)
			if status != c.status || stderr.String() != c.said {
				t.Fatalf("exit status %d, said %q", status, stderr.String())
			}
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	var out, stderr strings.Builder
	env := Env{Stdout: &out, Stderr: &stderr}
	var grammar struct {
		Name string `help:"A name."`
	}
	_, err := Parse(env, "sallyport test", "Tests.", &grammar, []string{"--help"})
	if status := Report(env, err); status != 0 || !strings.Contains(out.String(), "A name.") {
		t.Fatalf("exit status %d, %q", status, out.String())
	}
	_, err = Parse(env, "sallyport test", "Tests.", &grammar, []string{"--nmae", "x"})
	if status := Report(env, err); status != 2 || !strings.Contains(stderr.String(), "sallyport test --help") {
		t.Fatalf("exit status %d, %q", status, stderr.String())
	}
}
