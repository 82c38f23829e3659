package proxy

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("SALLYPORT_TEST_PROXY") != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}
