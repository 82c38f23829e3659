package relay

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestWhatCannotBeRecordedEndsTheSession(t *testing.T) {
	broken := fault.New(fault.Internal, fault.RecorderFailed, "no").Because(errors.New("disk full"))
	ended := make(chan *fault.Error, 10)
	e := &evidence{end: func(f *fault.Error) { ended <- f }, limit: time.Minute}
	if !e.do(func() error { return nil }) || len(ended) != 0 {
		t.Fatal("a frame that was recorded ended the session")
	}
	if e.do(func() error { return broken }) {
		t.Error("a frame that was not recorded may be delivered")
	}
	if f := <-ended; f.Reason != fault.RecorderFailed {
		t.Errorf("ended for %s", f.Reason)
	}
}

func TestARecorderThatHangsEndsTheSession(t *testing.T) {
	ended := make(chan *fault.Error, 10)
	e := &evidence{end: func(f *fault.Error) { ended <- f }, limit: time.Millisecond}
	hang, back := make(chan struct{}), make(chan bool)
	go func() { back <- e.do(func() error { <-hang; return nil }) }()
	if f := <-ended; f.Reason != fault.RecorderFailed {
		t.Errorf("ended for %s", f.Reason)
	}
	if e.do(func() error { t.Error("the recorder was touched again"); return nil }) {
		t.Error("a frame passed a recorder that hangs")
	}
	close(hang)
	if <-back {
		t.Error("what was recorded too late may be delivered")
	}
}
