package proxy

import (
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

func TestACommandRunsAndIsRecorded(t *testing.T) {
	w := newWorld(t)
	r := w.you.ssh(w.web.Login+"@web-1", "echo out; echo err >&2; exit 7")
	if r.stdout != "out\n" || r.stderr != "err\n" || r.status != 7 {
		t.Errorf("%+v", r)
	}
	frames := w.recorded(w.last())
	if content(frames, recording.KindOutput) != "out\n" || content(frames, recording.KindStderr) != "err\n" {
		t.Errorf("recorded %q and %q", content(frames, recording.KindOutput), content(frames, recording.KindStderr))
	}
}
