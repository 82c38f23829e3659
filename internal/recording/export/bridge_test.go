package export

import (
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// What players_test.go, which is outside of the package because the hour imports
// it, needs of its fixtures.

const HardSessionText = sessionText

func HardSession() []recording.Frame { return session().frames }

func Cast(t testing.TB, frames []recording.Frame, o Options) string {
	return cast(t, &script{frames: frames}, o)
}
